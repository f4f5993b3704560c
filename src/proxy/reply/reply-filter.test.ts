/** Replies of engines through the filters, cut at every byte: the bytes for the client and the usage never change. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { DialectName } from '#core/api.ts'
import type { Usage } from '#core/usage.ts'
import { dialectOf } from '#dialect/dialects.ts'
import { JsonReply } from './json-reply.ts'
import { PlainReply } from './plain-reply.ts'
import type { ReplyFilter, ReplyWork } from './reply-filter.ts'
import { SseReply } from './sse-reply.ts'

interface Filtered {
  readonly output: string
  readonly usage: Usage
  /** As told when the first bytes left, and again at the end. */
  readonly lengthChanges: readonly [first: number | undefined, last: number | undefined]
}

const clientModel = 'Kunde/"ä" 😀'
const clientName = JSON.stringify(clientModel)
const passOn: ReplyWork = { clientModel: undefined, hideUsage: false }
const rename: ReplyWork = { clientModel, hideUsage: false }
const hide: ReplyWork = { clientModel: undefined, hideUsage: true }
const both: ReplyWork = { clientModel, hideUsage: true }

const fixture = (name: string): Buffer => readFileSync(new URL(`fixtures/${name}`, import.meta.url))

function filterOf(name: string, dialect: DialectName, work: ReplyWork): ReplyFilter {
  return name.endsWith('.sse') ? new SseReply(dialectOf(dialect), work) : new JsonReply(dialectOf(dialect), work)
}

/** Feeds a filter from one reused read buffer that holds other bytes around what was read, as connections do. */
function feed(filter: ReplyFilter, slices: readonly Buffer[]): Filtered {
  const largest = Math.max(0, ...slices.map(({ length }) => length))
  const read = Buffer.alloc(largest + 40)
  const parts: Buffer[] = []
  let first: number | undefined
  const sink = {
    write(data: Buffer, start: number, end: number): void {
      assert.ok(start >= 0 && start <= end && end <= data.length)
      if (end > start && parts.length === 0) first = filter.lengthChange()
      if (end > start) parts.push(Buffer.from(data.subarray(start, end)))
    },
  }
  for (const slice of slices) {
    read.write('"usage":"model":\n\n  ', 0)
    slice.copy(read, 20)
    read.write('\n\ndata: {"model":"\n\n', 20 + slice.length)
    filter.push(read, 20, 20 + slice.length, sink)
    read.fill(0x58)
  }
  filter.finish(sink)
  const { usage } = filter
  return { output: Buffer.concat(parts).toString(), usage, lengthChanges: [first, filter.lengthChange()] }
}

function cutAt(data: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [0, ...cuts.map((cut) => cut % (data.length + 1)).toSorted((a, b) => a - b), data.length]
  return at.slice(1).map((end, i) => data.subarray(at[i], end))
}

interface Case {
  readonly name: string
  readonly dialect: DialectName
  readonly usage: readonly [input?: number, output?: number, cached?: number]
  /** How often the reply names the model as an API field. */
  readonly names: number
  /** Whether it ends with a chunk that has usage only. */
  readonly usageChunk: boolean
}

const cases: readonly Case[] = [
  { name: 'vllm-chat.sse', dialect: 'openai', usage: [12, 4, 0], names: 6, usageChunk: true },
  { name: 'vllm-completions.sse', dialect: 'openai', usage: [3, 3, 0], names: 3, usageChunk: true },
  { name: 'vllm-continuous.sse', dialect: 'openai', usage: [12, 2], names: 2, usageChunk: false },
  { name: 'vllm-aborted.sse', dialect: 'openai', usage: [], names: 1, usageChunk: false },
  { name: 'vllm-messages.sse', dialect: 'anthropic', usage: [6, 3, 0], names: 1, usageChunk: false },
  { name: 'anthropic.sse', dialect: 'anthropic', usage: [26, 15, 20], names: 1, usageChunk: false },
  { name: 'llamacpp-chat.sse', dialect: 'openai', usage: [10, 2, 9], names: 4, usageChunk: true },
  { name: 'responses.sse', dialect: 'openai', usage: [12, 4, 4], names: 3, usageChunk: false },
  { name: 'sglang-generate.sse', dialect: 'openai', usage: [5, 3, 3], names: 0, usageChunk: false },
  { name: 'vllm-chat.json', dialect: 'openai', usage: [12, 8, 0], names: 1, usageChunk: false },
  { name: 'llamacpp-chat.json', dialect: 'openai', usage: [10, 5, 9], names: 1, usageChunk: false },
  { name: 'responses.json', dialect: 'openai', usage: [12, 4, 4], names: 1, usageChunk: false },
  { name: 'messages.json', dialect: 'anthropic', usage: [29, 11, 20], names: 1, usageChunk: false },
  { name: 'embeddings.json', dialect: 'openai', usage: [7], names: 1, usageChunk: false },
  { name: 'sglang-generate.json', dialect: 'openai', usage: [5, 3, 3], names: 0, usageChunk: false },
]

function usageOf({ usage: [inputTokens, outputTokens, cachedTokens] }: Case): Usage {
  return { inputTokens, outputTokens, cachedTokens }
}

/** The client's name taken out again: what must be left is the input. */
function renamedBack(output: string): { text: string; names: number } {
  const parts = output.split(clientName)
  return { text: parts.join('"tiny"'), names: parts.length - 1 }
}

describe('an engine reply', () => {
  for (const sample of cases) {
    const data = fixture(sample.name)
    const run = (work: ReplyWork, slices: readonly Buffer[]): Filtered =>
      feed(filterOf(sample.name, sample.dialect, work), slices)

    test(`${sample.name} passes unchanged, and its usage is read`, () => {
      const { output, usage, lengthChanges } = run(passOn, [data])
      assert.equal(output, data.toString())
      assert.deepEqual(usage, usageOf(sample))
      assert.deepEqual(lengthChanges, [0, 0])
    })

    test(`${sample.name} gets the client's model name wherever the API names the model, and nowhere else`, () => {
      const { output, usage, lengthChanges } = run(rename, [data])
      assert.deepEqual(renamedBack(output), { text: data.toString(), names: sample.names })
      assert.deepEqual(usage, usageOf(sample))
      const grown = Buffer.byteLength(output) - data.length
      for (const change of lengthChanges) assert.ok(change === undefined || change === grown)
      if (sample.name.endsWith('.json')) assert.equal(lengthChanges[0], grown)
    })

    test(`${sample.name} loses only the usage chunk when that is hidden`, () => {
      const { output, usage } = run(hide, [data])
      assert.deepEqual(usage, usageOf(sample))
      const events = data.toString().match(/.+?\n\n/gs) ?? []
      const kept = sample.usageChunk
        ? events.filter((event) => !event.includes('"choices":[],')).join('')
        : data.toString()
      assert.equal(output, kept)
    })

    test(`${sample.name} cut at any byte, or after every byte, gives the same`, () => {
      for (const work of [passOn, rename, hide, both]) {
        const whole = run(work, [data])
        for (let cut = 1; cut < data.length; cut++) {
          assert.deepEqual(run(work, [data.subarray(0, cut), data.subarray(cut)]), whole, `cut at ${cut}`)
        }
        assert.deepEqual(
          run(
            work,
            [...data].map((byte) => Buffer.of(byte)),
          ),
          whole,
        )
      }
    })
  }
})

test('a short stream cut at any two bytes gives the same, with LF and with CRLF', () => {
  const lines = [
    'data: {"model":"m","choices":[{}]}\n\n',
    'event: e\ndata: {"choices":[],"usage":{"prompt_tokens":1},"model":"m"}\n\n',
    'data: [DONE]\n\n',
  ]
  for (const text of [lines.join(''), lines.join('').replaceAll('\n', '\r\n')]) {
    const data = Buffer.from(text)
    const run = (slices: readonly Buffer[]): Filtered => feed(filterOf('x.sse', 'openai', both), slices)
    const whole = run([data])
    assert.equal(whole.usage.inputTokens, 1)
    const kept = [lines[0], lines[2]].join('').replace('"m"', clientName)
    assert.equal(whole.output.replaceAll('\r\n', '\n'), kept)
    for (let first = 0; first <= data.length; first++) {
      for (let second = first; second <= data.length; second += 1) {
        const slices = [data.subarray(0, first), data.subarray(first, second), data.subarray(second)]
        const { output, usage } = run(slices)
        if (output !== whole.output || usage.inputTokens !== 1) assert.fail(`cut at ${first} and ${second}: ${output}`)
      }
    }
  }
})

test('property: any stream of events, cut anywhere, loses and gains nothing', () => {
  const event = fc.constantFrom(
    'data: {"model":"tiny","choices":[{"index":0}]}\n\n',
    'data: {"choices":[{}],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n',
    'data: {"model":null,"usage":null,"choices":[]}\r\n\r\n',
    ': keep-alive\n\n',
    'event: ping\ndata: {}\r\n\r\n',
    'data: {"model":"tiny",\ndata: "usage":{"prompt_tokens":99}}\n\n',
    'data: not json "usage" {\n\n',
    'data: [{"model":"tiny","usage":{}}]\n\n',
    'data: {"model":"tiny"} {"usage":1}\n\n',
    '\n',
    'data: {"message":{"model":"tiny"},"response":{"x":{"model":"other"},"model":"tiny"}}\n\n',
  )
  const tail = fc.constantFrom('', 'data: {"model":"tiny"', 'data: {"model":"tiny"}\n', 'data: [DONE]')
  fc.assert(
    fc.property(fc.array(event, { maxLength: 8 }), tail, fc.array(fc.nat(), { maxLength: 8 }), (events, end, cuts) => {
      const data = Buffer.from(events.join('') + end)
      for (const work of [passOn, rename, hide, both]) {
        const whole = feed(filterOf('x.sse', 'openai', work), [data])
        assert.deepEqual(feed(filterOf('x.sse', 'openai', work), cutAt(data, cuts)), whole)
        assert.equal(renamedBack(whole.output).text, data.toString())
      }
    }),
    { seed: 61, numRuns: 500 },
  )
})

test('a chunk with usage is hidden only when its list of choices is empty and its usage an object', () => {
  const kept = [
    '{"choices":[],"usage":null}',
    '{"choices":[],"prompt_filter_results":[],"x":"\\"usage\\""}',
    '{"choices":[{"delta":{}}],"usage":{"prompt_tokens":1}}',
    '{"usage":{"prompt_tokens":1}}',
    '{"choices":{},"usage":{"prompt_tokens":1}}',
    '{"choices":[],"x":{"usage":{"prompt_tokens":1}}}',
  ]
  for (const text of kept) {
    const data = Buffer.from(`data: ${text}\n\n`)
    assert.equal(feed(filterOf('x.sse', 'openai', hide), [data]).output, data.toString(), text)
  }
  const hidden = Buffer.from('id: 1\ndata: { "usage" : {"prompt_tokens":1} , "choices" : [ ] }\n\n')
  assert.deepEqual(feed(filterOf('x.sse', 'openai', hide), [hidden]).output, '')
})

test('events longer than are held pass in pieces, and those behind them are read again', () => {
  const long = (newline: string): string => `data: {"model":"tiny","b64":"${'A'.repeat(300_000)}"}${newline}${newline}`
  for (const newline of ['\n', '\r\n']) {
    const usage = `data: {"model":"tiny","choices":[],"usage":{"prompt_tokens":7}}${newline}${newline}`
    const text = long(newline) + usage + long(newline) + usage
    const data = Buffer.from(text)
    const ends = [...text.matchAll(/\n\r?\n/g)].map(({ index }) => index)
    for (const shift of [0, 1, 2, 3, 1000]) {
      const cuts = ends.map((end) => end + shift)
      const reads = cutAt(data, [...cuts, ...Array.from({ length: 20 }, (_, i) => i * 40_000)])
      const filter = new SseReply(dialectOf('openai'), both)
      const { output, usage: seen } = feed(filter, reads)
      assert.equal(renamedBack(output).text, long(newline) + long(newline), `shift ${shift}`)
      assert.equal(seen.inputTokens, 7)
      assert.equal(filter.isBetweenEvents, true)
    }
  }
})

test('inside an event that is too long the stream is not between two events', () => {
  const filter = new SseReply(dialectOf('openai'), passOn)
  const sink = { write: () => {} }
  const part = Buffer.alloc(100_000, 'x')
  filter.push(part, 0, part.length, sink)
  assert.equal(filter.isBetweenEvents, true)
  filter.push(part, 0, part.length, sink)
  filter.push(part, 0, part.length, sink)
  assert.equal(filter.isBetweenEvents, false)
  filter.push(Buffer.from('\n\n'), 0, 2, sink)
  assert.equal(filter.isBetweenEvents, true)
})

test('whole events leave at once and an incomplete one waits', () => {
  const filter = new SseReply(dialectOf('openai'), both)
  let output = ''
  const sink = {
    write: (data: Buffer, start: number, end: number) => void (output += data.toString('latin1', start, end)),
  }
  const push = (text: string): void => filter.push(Buffer.from(text), 0, text.length, sink)
  push('data: 1\n\ndata: 2\n\ndata: 3')
  assert.equal(output, 'data: 1\n\ndata: 2\n\n')
  push('\n')
  assert.equal(output, 'data: 1\n\ndata: 2\n\n')
  push('\n')
  assert.equal(output, 'data: 1\n\ndata: 2\n\ndata: 3\n\n')
})

describe('a JSON reply that is not what it says passes unchanged', () => {
  const texts = [
    '',
    'null',
    '[{"model":"tiny"}]',
    'upstream error',
    '{"model":',
    '{"model":null,"usage":null}',
    '{"model":{"model":"tiny"}}',
    '{"x":1,"model" "tiny"}',
    '{"x":{"model":"tiny","usage":{"prompt_tokens":5}}}',
    '<html>',
    '{"usage"}',
    '{"x":"usage"}',
  ]
  for (const text of texts) {
    test(JSON.stringify(text), () => {
      const data = Buffer.from(text)
      for (let cut = 0; cut <= data.length; cut++) {
        const { output, usage } = feed(filterOf('x.json', 'openai', both), [data.subarray(0, cut), data.subarray(cut)])
        assert.equal(output, text)
        assert.equal(usage.inputTokens, undefined)
      }
    })
  }
})

test('a name behind more bytes than are held is put back, and the length is then open', () => {
  for (const distance of [60_000, 70_000, 200_000]) {
    const data = Buffer.from(`{"data":[${'0.125,'.repeat(distance / 6)}1],"model":"tiny","usage":{"prompt_tokens":9}}`)
    for (const size of [1000, 1447, 30_000, 65_536]) {
      const reads = cutAt(
        data,
        Array.from({ length: Math.floor(data.length / size) }, (_, i) => (i + 1) * size),
      )
      const { output, usage, lengthChanges } = feed(filterOf('x.json', 'openai', rename), reads)
      assert.deepEqual(renamedBack(output), { text: data.toString(), names: 1 })
      assert.equal(usage.inputTokens, 9)
      const isOpen = lengthChanges[0] === undefined
      assert.ok(isOpen || lengthChanges[0] === Buffer.byteLength(output) - data.length)
      if (distance === 60_000) assert.equal(isOpen, false)
    }
  }
})

test('a name cut anywhere behind more bytes than are held is put back', () => {
  const data = Buffer.from(`{"data":"${'x'.repeat(70_000)}","model":"tiny","x":1}`)
  const at = data.indexOf('"model"')
  for (let cut = at - 3; cut < at + 20; cut++) {
    const reads = [data.subarray(0, 66_000), data.subarray(66_000, cut), data.subarray(cut)]
    assert.equal(renamedBack(feed(filterOf('x.json', 'openai', rename), reads).output).names, 1)
  }
})

test('usage is found behind others of its name, and a mention further away than the kept end is not', () => {
  const usageIn = (text: string): number | undefined =>
    feed(filterOf('x.json', 'openai', passOn), [Buffer.from(text)]).usage.inputTokens
  assert.equal(usageIn('{"usage":{"prompt_tokens":3},"kind":"usage","x":{"usage":{"prompt_tokens":4}}}'), 3)
  assert.equal(usageIn('{"x":{"usage":{"prompt_tokens":4}},"usage":{"prompt_tokens":3}}\n'), 3)
  assert.equal(usageIn(`{"usage":{"prompt_tokens":3},"x":"${'y'.repeat(10_000)}"}`), undefined)
  assert.equal(usageIn(`{"x":"${'y'.repeat(100_000)}","usage":{"prompt_tokens":3}}`), 3)
})

test('other replies pass unchanged', () => {
  const filter = new PlainReply()
  const { output, usage, lengthChanges } = feed(filter, [Buffer.from('data: {"usage"'), Buffer.from(':1}\n\n')])
  assert.equal(output, 'data: {"usage":1}\n\n')
  assert.equal(usage.inputTokens, undefined)
  assert.deepEqual(lengthChanges, [0, 0])
})
