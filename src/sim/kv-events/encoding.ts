import type { BlockName, BlockRemoved, BlockStored, EventBatch, KvEvent } from './kv-event.ts'
import { MsgpackWriter } from './msgpack-writer.ts'

/**
 * Whose wire form events have: `vllm` is that of vLLM 0.24 and newer (an array of maps), `vllm-array` that of vLLM up to 0.23
 * (an array of arrays), `sglang` that of SGLang (arrays, one event for each block, hashes as signed numbers).
 */
export type EncodingName = 'vllm' | 'vllm-array' | 'sglang'

/** One field of an event: always there, or left out while it has no value. */
interface Field<Event> {
  readonly key: string
  readonly isOptional?: true
  /** Whether the event has a value; a field without one is nil, or left out when it is optional. */
  has(event: Event): boolean
  write(writer: MsgpackWriter, event: Event): void
}

/** The fields of an event that are there in one version of an engine, in order. */
interface Fields {
  readonly stored: readonly Field<BlockStored>[]
  readonly removed: readonly Field<BlockRemoved>[]
}

interface Encoding extends Fields {
  /** Events as maps from field to value, or as arrays that end with the last optional field that has a value. */
  readonly form: 'map' | 'array'
}

const always = (): true => true

function writeUnsigned(writer: MsgpackWriter, name: BlockName): void {
  if (typeof name === 'bigint') writer.int(BigInt.asUintN(64, name))
  else writer.bytes(name)
}

function writeSigned(writer: MsgpackWriter, name: BlockName): void {
  if (typeof name === 'bigint') writer.int(BigInt.asIntN(64, name))
  else writer.bytes(name)
}

type WriteName = typeof writeUnsigned

function namesField(writeName: WriteName): Field<BlockStored | BlockRemoved> {
  return {
    key: 'block_hashes',
    has: always,
    write(writer, { names }) {
      writer.array(names.length)
      for (const name of names) writeName(writer, name)
    },
  }
}

function blockFields(writeName: WriteName): Field<BlockStored>[] {
  return [
    namesField(writeName),
    {
      key: 'parent_block_hash',
      has: ({ parent }) => parent !== undefined,
      write(writer, { parent }) {
        if (parent !== undefined) writeName(writer, parent)
      },
    },
    {
      key: 'token_ids',
      has: always,
      write(writer, { tokenIds }) {
        writer.array(tokenIds.length)
        for (let i = 0; i < tokenIds.length; i++) writer.uint(tokenIds[i]!)
      },
    },
    { key: 'block_size', has: always, write: (writer, { blockSize }) => writer.uint(blockSize) },
    numberField('lora_id', ({ loraId }) => loraId),
  ]
}

function numberField<Event>(key: string, value: (event: Event) => number | undefined): Field<Event> {
  const write = (writer: MsgpackWriter, event: Event): void => writer.uint(value(event) ?? 0)
  return { key, has: (event) => value(event) !== undefined, write }
}

function textField<Event>(key: string, value: (event: Event) => string | undefined): Field<Event> {
  const write = (writer: MsgpackWriter, event: Event): void => writer.text(value(event) ?? '')
  return { key, has: (event) => value(event) !== undefined, write }
}

function optional<Event>(field: Field<Event>): Field<Event> {
  return { ...field, isOptional: true }
}

const extraKeys: Field<BlockStored> = {
  key: 'extra_keys',
  has: (event) => event.extraKeys !== undefined,
  write(writer, event) {
    const all = event.extraKeys ?? []
    writer.array(all.length)
    for (const keys of all) {
      if (keys === undefined) {
        writer.nil()
        continue
      }
      writer.array(keys.length)
      for (const key of keys) writer.text(key)
    }
  },
}

/** `vllm/distributed/kv_events.py` of 0.32; the fields behind the sliding window never have a value here. */
const vllmFields: Fields = {
  stored: [
    ...blockFields(writeUnsigned),
    textField('medium', ({ medium }) => medium),
    textField('lora_name', ({ loraName }) => loraName),
    optional(extraKeys),
    optional(numberField('group_idx', ({ groupIdx }) => groupIdx)),
    optional(textField('kv_cache_spec_kind', ({ cacheSpecKind }) => cacheSpecKind)),
    optional(numberField('kv_cache_spec_sliding_window', ({ slidingWindow }) => slidingWindow)),
  ],
  removed: [
    namesField(writeUnsigned),
    textField('medium', ({ medium }) => medium),
    optional(numberField('group_idx', ({ groupIdx }) => groupIdx)),
  ],
}

/** `sglang/srt/disaggregation/kv_events.py`. */
const sglangFields: Fields = {
  stored: [...blockFields(writeSigned), optional(textField('medium', ({ medium }) => medium))],
  removed: [namesField(writeSigned), optional(textField('medium', ({ medium }) => medium))],
}

const encodings: Readonly<Record<EncodingName, Encoding>> = {
  vllm: { form: 'map', ...vllmFields },
  'vllm-array': { form: 'array', ...vllmFields },
  sglang: { form: 'array', ...sglangFields },
}

/** Whether replays repeat the topic, as vLLM does since 0.26; the other forms leave that frame out. */
export function hasTopicInReplay(name: EncodingName): boolean {
  return name === 'vllm'
}

/** Encodes batches of events, as the engine of one encoding does. Not for use by two at a time. */
export class BatchEncoder {
  readonly #encoding: Encoding
  readonly #writer = new MsgpackWriter()

  constructor(name: EncodingName) {
    this.#encoding = encodings[name]
  }

  /** The payload of one message: `[time, events, rank]`. */
  encode({ timeS, events, rank }: EventBatch): Buffer {
    const writer = this.#writer
    writer.array(rank === undefined ? 2 : 3)
    writer.float(timeS)
    writer.array(events.length)
    for (const event of events) this.#write(event)
    if (rank === null) writer.nil()
    else if (rank !== undefined) writer.uint(rank)
    return writer.take()
  }

  #write(event: KvEvent): void {
    switch (event.type) {
      case 'BlockStored':
        return this.#writeFields(event.type, this.#encoding.stored, event)
      case 'BlockRemoved':
        return this.#writeFields(event.type, this.#encoding.removed, event)
      case 'AllBlocksCleared':
        return this.#writeFields(event.type, [], event)
    }
  }

  #writeFields<Event>(tag: string, fields: readonly Field<Event>[], event: Event): void {
    if (this.#encoding.form === 'map') this.#writeMap(tag, fields, event)
    else this.#writeArray(tag, fields, event)
  }

  #writeMap<Event>(tag: string, fields: readonly Field<Event>[], event: Event): void {
    const present = fields.filter((field) => field.isOptional !== true || field.has(event))
    this.#writer.map(1 + present.length)
    this.#writer.text('type')
    this.#writer.text(tag)
    for (const field of present) {
      this.#writer.text(field.key)
      this.#writeValue(field, event)
    }
  }

  #writeArray<Event>(tag: string, fields: readonly Field<Event>[], event: Event): void {
    const last = fields.findLastIndex((field) => field.isOptional !== true || field.has(event))
    this.#writer.array(2 + last)
    this.#writer.text(tag)
    for (let i = 0; i <= last; i++) this.#writeValue(fields[i]!, event)
  }

  #writeValue<Event>(field: Field<Event>, event: Event): void {
    if (field.has(event)) field.write(this.#writer, event)
    else this.#writer.nil()
  }
}
