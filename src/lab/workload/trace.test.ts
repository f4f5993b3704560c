import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import type { Arrival } from '#lab/virtual-fleet.ts'
import { workloadFromTrace } from './trace.ts'
import { parseTrace, TraceError } from './trace-file.ts'

const mooncake = '{"timestamp":3000,"input_length":600,"output_length":5,"hash_ids":[0,7]}'
const azure = 'TIMESTAMP,ContextTokens,GeneratedTokens'

describe('a trace file', () => {
  test("is read in Mooncake's format", () => {
    const later = mooncake.replace('3000', '9000')
    assert.deepEqual(parseTrace('a.jsonl', `${later}\n\n${mooncake}\n`), {
      format: 'mooncake',
      requests: [
        { atMs: 0, inputTokens: 600, outputTokens: 5, blocks: [0, 7] },
        { atMs: 6_000, inputTokens: 600, outputTokens: 5, blocks: [0, 7] },
      ],
    })
  })

  const heads = [
    { name: "Azure's own", head: azure, first: '2023-11-16 18:17:03.9799600', second: '2023-11-16 18:17:04.0319600' },
    { name: "Vidur's", head: 'arrived_at,num_prefill_tokens,num_decode_tokens', first: '12.5', second: '12.552' },
    { name: "the laboratory's", head: 'seconds,context_tokens,generated_tokens', first: '0.000', second: '0.052' },
  ]
  for (const { name, head, first, second } of heads) {
    test(`is read in ${name} CSV, with either end of line and with a byte order mark`, () => {
      for (const end of ['\n', '\r\n']) {
        const { format, requests } = parseTrace(
          'a.csv',
          `\ufeff${[head, `${first},4808,10`, `${second},31,0`].join(end)}`,
        )
        assert.equal(format, 'azure')
        assert.deepEqual(
          requests.map(({ atMs, ...others }) => ({ atMs: Math.round(atMs * 1e3) / 1e3, ...others })),
          [
            { atMs: 0, inputTokens: 4_808, outputTokens: 10, blocks: [] },
            { atMs: 52, inputTokens: 31, outputTokens: 0, blocks: [] },
          ],
        )
      }
    })
  }

  const mistakes = [
    { name: 'nothing', text: '', message: 'a:1: this is not a trace' },
    { name: 'something else', text: 'when,what\n1,2\n', message: 'a:1: this is not a trace' },
    { name: 'no request', text: `${azure}\n`, message: 'a:1: there is no request' },
    { name: 'a line that is not JSON', text: `${mooncake}\n{"timestamp":\n`, message: 'a:2: this is not JSON' },
    { name: 'JSON that is no object', text: `${mooncake}\nnull\n`, message: 'a:2: timestamp' },
    { name: 'a missing block', text: `${mooncake}\n${mooncake.replace('[0,7]', '[0]')}`, message: 'a:2: hash_ids' },
    { name: 'no length', text: mooncake.replace('600', '"600"'), message: 'a:1: input_length' },
    { name: 'a negative time', text: mooncake.replace('3000', '-1'), message: 'a:1: timestamp' },
    { name: 'an endless prompt', text: mooncake.replace('600', '1e9'), message: 'a:1: input_length' },
    { name: 'a prompt that fits no engine', text: `${azure}\n1,299999,10\n`, message: 'a:2: more than 300000 tokens' },
    { name: 'a field too few', text: `${azure}\n1,2\n`, message: 'a:2: a line has three fields' },
    { name: 'a field too many', text: `${azure}\n1,2,3,4\n`, message: 'a:2: a line has three fields' },
    { name: 'a time that is none', text: `${azure}\nsoon,2,3\n`, message: "a:2: 'soon' is neither" },
    { name: 'a date that is none', text: `${azure}\n2023-19-16 18:17:03,2,3\n`, message: "a:2: '2023-19-16" },
    { name: 'half a token', text: `${azure}\n1,2.5,3\n`, message: 'a:2: the second field' },
  ] as const
  for (const { name, text, message } of mistakes) {
    test(`with ${name} is refused with its name and line`, () => {
      assert.throws(
        () => parseTrace('a', text),
        (error) => error instanceof TraceError && error.message.startsWith(message),
      )
    })
  }

  test('is refused when another format was asked for', () => {
    assert.throws(() => parseTrace('a', mooncake, 'azure'), /a:1: this is not a trace in the format azure/)
  })
})

function arrivalsOf(text: string, load: number): readonly Arrival[] {
  const setup = { seed: 1, load, endMs: Number.POSITIVE_INFINITY, blockSize: 16, readTrace: () => '' }
  return [...workloadFromTrace('a', text).create(setup).arrivals]
}

describe('a replayed trace', () => {
  test('comes as fast as asked, and shares what has equal ids', () => {
    const lines = [0, 1_500, 2_750].map((ms) => mooncake.replace('3000', String(ms)))
    const arrivals = arrivalsOf(lines.join('\n'), 2)
    assert.deepEqual(
      arrivals.map(({ atMs }) => atMs),
      [0, 750, 1_375],
    )
    const [one, two] = arrivals
    const promptBlocks = Math.floor(600 / 16)
    assert.deepEqual(
      one?.request.blockHashes.subarray(0, promptBlocks),
      two?.request.blockHashes.subarray(0, promptBlocks),
    )
  })

  test('spreads requests over the steps of a coarse clock, and only there', () => {
    const lines = [0, 0, 0, 3_000, 3_000, 6_000].map((ms) => mooncake.replace('3000', String(ms)))
    const times = arrivalsOf(lines.join('\n'), 1).map(({ atMs }) => atMs)
    assert.equal(new Set(times).size, 6)
    assert.deepEqual(
      times.map((atMs) => Math.floor(atMs / 3_000)),
      [0, 0, 0, 1, 1, 2],
    )
  })

  test('without blocks shares nothing', () => {
    const arrivals = arrivalsOf(`${azure}\n1,64,4\n1.5,64,4\n`, 1)
    assert.equal(new Set(arrivals.flatMap(({ request }) => [...request.blockHashes])).size, 8)
  })

  for (const [file, requests, seconds] of [
    ['mooncake-conversation-600s.jsonl', 1_750, 597],
    ['azure-2023-conv-900s.csv', 4_424, 899],
    ['azure-2023-code-900s.csv', 2_598, 899],
  ] as const) {
    test(`${file} has as many requests as its source says`, () => {
      const text = readFileSync(new URL(`../../../bench/traces/${file}`, import.meta.url), 'utf8')
      const trace = parseTrace(file, text)
      assert.equal(trace.requests.length, requests)
      assert.ok(Math.abs((trace.requests.at(-1)?.atMs ?? 0) / 1e3 - seconds) < 3)
    })
  }
})
