import { decode } from '@msgpack/msgpack'
import { Fault } from '#core/fault.ts'
import { maxBlockTokens } from '#struct/token-chain.ts'

/** Where an engine keeps a block: on the accelerator, or anywhere below. */
export type KvTier = 'gpu' | 'cpu'

/** A run of consecutive full blocks that the engine can find from now on. */
export interface StoredRun {
  readonly type: 'stored'
  /** The engine's names of the blocks. */
  readonly names: readonly bigint[]
  /** Of the block before the first; undefined at the start of a prompt. */
  readonly parent: bigint | undefined
  /** Of all blocks: `names.length * blockTokens`. */
  readonly tokenIds: readonly number[]
  readonly blockTokens: number
  /** Name of the LoRA adapter, '' for none, `#ID` where the engine says no name. */
  readonly adapter: string
  /** For each block what else was hashed, as one text; '' for nothing. */
  readonly extras: readonly string[]
  readonly tier: KvTier
  readonly group: number
  /** Whether the group's blocks are those that prompts are found by: not sliding windows nor state spaces. */
  readonly isWhole: boolean
}

/** Blocks that gave way. */
export interface RemovedBlocks {
  readonly type: 'removed'
  readonly names: readonly bigint[]
  readonly tier: KvTier
  readonly group: number
}

export type KvEvent = StoredRun | RemovedBlocks | { readonly type: 'cleared' }

/** The events of one message, to be applied in order. */
export interface KvBatch {
  /** When the engine sent it, seconds since the epoch by its clock. */
  readonly timeS: number
  readonly events: readonly KvEvent[]
}

/** Names of array positions, after the tag (model-servers.md 2.1). */
const storedFields = [
  'block_hashes',
  'parent_block_hash',
  'token_ids',
  'block_size',
  'lora_id',
  'medium',
  'lora_name',
  'extra_keys',
  'group_idx',
  'kv_cache_spec_kind',
] as const
const removedFields = ['block_hashes', 'medium', 'group_idx'] as const

const wholeKinds: ReadonlySet<unknown> = new Set([
  undefined,
  null,
  'full_attention',
  'mla_attention',
  'sink_full_attention',
])

type Fields = Readonly<Record<string, unknown>>

/**
 * Reads the payload of a message of vLLM or SGLang: MessagePack, the batch and its events as arrays or as maps. Events of
 * other kinds are left out. Throws a Fault for what is none of this.
 */
export function readBatch(payload: Uint8Array): KvBatch {
  let batch: unknown
  try {
    batch = decode(payload, { useBigInt64: true })
  } catch (cause) {
    throw new Fault('upstream', 'a KV event message is no MessagePack', { cause })
  }
  const [timeS, events] = Array.isArray(batch) ? batch : [fieldsOf(batch)['ts'], fieldsOf(batch)['events']]
  if (typeof timeS !== 'number' || !Array.isArray(events)) throw malformed('it is no batch of events')
  return { timeS, events: events.flatMap(readEvent) }
}

function readEvent(event: unknown): KvEvent[] {
  const [type, fields] = Array.isArray(event) ? namedFields(event) : [fieldsOf(event)['type'], fieldsOf(event)]
  if (type === 'AllBlocksCleared') return [{ type: 'cleared' }]
  if (type === 'BlockRemoved') {
    const names = listOf(fields['block_hashes']).map(nameOf)
    return [{ type: 'removed', names, tier: tierOf(fields['medium']), group: groupOf(fields['group_idx']) }]
  }
  return type === 'BlockStored' ? [readStored(fields)] : []
}

function readStored(fields: Fields): StoredRun {
  const names = listOf(fields['block_hashes']).map(nameOf)
  const tokenIds = listOf(fields['token_ids']) as readonly number[]
  const blockTokens = fields['block_size']
  if (typeof blockTokens !== 'number' || !Number.isInteger(blockTokens) || blockTokens < 1)
    throw malformed('a block has no size')
  if (blockTokens > maxBlockTokens) throw malformed(`a block has ${blockTokens} tokens`)
  if (tokenIds.length !== names.length * blockTokens) throw malformed('tokens and blocks do not agree')
  const parent = fields['parent_block_hash']
  const adapter = adapterOf(fields['lora_name'], fields['lora_id'])
  const extraKeys = Array.isArray(fields['extra_keys']) ? fields['extra_keys'] : []
  return {
    type: 'stored',
    names,
    parent: parent === undefined || parent === null ? undefined : nameOf(parent),
    tokenIds,
    blockTokens,
    adapter,
    extras: names.map((_, i) => extrasOf(extraKeys[i], adapter)),
    tier: tierOf(fields['medium']),
    group: groupOf(fields['group_idx']),
    isWhole: wholeKinds.has(fields['kv_cache_spec_kind']),
  }
}

function namedFields([type, ...values]: readonly unknown[]): [unknown, Fields] {
  const names = type === 'BlockRemoved' ? removedFields : storedFields
  return [type, Object.fromEntries(names.map((name, i) => [name, values[i]]))]
}

/** 64 bits without a sign: SGLang writes signed numbers, vLLM may write whole digests, of which the last 8 bytes count. */
function nameOf(value: unknown): bigint {
  if (typeof value === 'bigint') return BigInt.asUintN(64, value)
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt.asUintN(64, BigInt(value))
  if (value instanceof Uint8Array && value.length >= 8) {
    return new DataView(value.buffer, value.byteOffset, value.length).getBigUint64(value.length - 8)
  }
  throw malformed('a block has no name')
}

function adapterOf(name: unknown, id: unknown): string {
  if (typeof name === 'string') return name
  return typeof id === 'number' || typeof id === 'bigint' ? `#${id}` : ''
}

/** The adapter's name stands first among the keys where there is one, and is known already. */
function extrasOf(keys: unknown, adapter: string): string {
  if (!Array.isArray(keys)) return ''
  const rest = adapter !== '' && keys[0] === adapter ? keys.slice(1) : keys
  return rest.length === 0 ? '' : JSON.stringify(rest, (_, value: unknown) => plain(value))
}

function plain(value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}

function tierOf(medium: unknown): KvTier {
  return typeof medium !== 'string' || medium.toUpperCase() === 'GPU' ? 'gpu' : 'cpu'
}

function groupOf(value: unknown): number {
  return typeof value === 'number' ? value : 0
}

function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed('a list is missing')
  return value
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {}
}

function malformed(what: string): Fault {
  return new Fault('upstream', `a KV event message cannot be read: ${what}`)
}
