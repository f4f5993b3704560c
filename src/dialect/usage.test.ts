import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { DialectName } from '#core/api.ts'
import type { JsonRecord } from './dialect.ts'
import { dialectOf } from './dialects.ts'

interface Case {
  readonly name: string
  readonly record: JsonRecord
  readonly usage:
    | readonly [input?: number | undefined, output?: number | undefined, cached?: number | undefined]
    | undefined
}

const openai: readonly Case[] = [
  {
    name: 'chat',
    record: { usage: { prompt_tokens: 12, completion_tokens: 8, prompt_tokens_details: { cached_tokens: 4 } } },
    usage: [12, 8, 4],
  },
  {
    name: 'chat without details',
    record: { usage: { prompt_tokens: 12, completion_tokens: 8, prompt_tokens_details: null } },
    usage: [12, 8],
  },
  { name: 'embeddings', record: { usage: { prompt_tokens: 7, total_tokens: 7 } }, usage: [7] },
  {
    name: 'Responses',
    record: { usage: { input_tokens: 5, output_tokens: 3, input_tokens_details: { cached_tokens: 1 } } },
    usage: [5, 3, 1],
  },
  {
    name: 'a Responses event',
    record: { type: 'response.completed', response: { usage: { input_tokens: 5, output_tokens: 3 } } },
    usage: [5, 3],
  },
  {
    name: 'a Responses event without usage',
    record: { type: 'response.created', response: { usage: null } },
    usage: undefined,
  },
  {
    name: 'SGLang /generate',
    record: { text: 'x', meta_info: { prompt_tokens: 5, completion_tokens: 2, cached_tokens: 4 } },
    usage: [5, 2, 4],
  },
  { name: 'Ollama’s text in `response`', record: { response: 'text', usage: { prompt_tokens: 1 } }, usage: [1] },
  { name: 'zeros', record: { usage: { prompt_tokens: 0, completion_tokens: 0 } }, usage: [0, 0] },
  {
    name: 'values that are no counts',
    record: { usage: { prompt_tokens: -1, completion_tokens: '8', prompt_tokens_details: { cached_tokens: null } } },
    usage: [],
  },
  { name: 'null', record: { usage: null }, usage: undefined },
  { name: 'a number', record: { usage: 5 }, usage: undefined },
  { name: 'a list', record: { usage: [] }, usage: undefined },
  { name: 'nothing', record: {}, usage: undefined },
]

const anthropic: readonly Case[] = [
  { name: 'a reply', record: { usage: { input_tokens: 6, output_tokens: 11 } }, usage: [6, 11] },
  {
    name: 'a reply with caching: the parts add up',
    record: {
      usage: { input_tokens: 6, output_tokens: 11, cache_creation_input_tokens: 3, cache_read_input_tokens: 20 },
    },
    usage: [29, 11, 20],
  },
  {
    name: 'message_start',
    record: { type: 'message_start', message: { usage: { input_tokens: 6, output_tokens: 0 } } },
    usage: [6, 0],
  },
  {
    name: 'message_delta',
    record: { type: 'message_delta', delta: {}, usage: { output_tokens: 15 } },
    usage: [undefined, 15],
  },
  { name: 'a cache alone', record: { usage: { cache_read_input_tokens: 20 } }, usage: [undefined, undefined, 20] },
  { name: 'nulls', record: { usage: { input_tokens: 6, cache_read_input_tokens: null } }, usage: [6] },
  { name: 'nothing', record: { type: 'ping' }, usage: undefined },
]

for (const [name, cases] of [
  ['openai', openai],
  ['anthropic', anthropic],
] as const) {
  describe(`usage of ${name}`, () => {
    const dialect = dialectOf(name satisfies DialectName)
    for (const { name: title, record, usage } of cases) {
      test(title, () => {
        const [inputTokens, outputTokens, cachedTokens] = usage ?? []
        assert.deepEqual(
          dialect.usageOf(record),
          usage === undefined ? undefined : { inputTokens, outputTokens, cachedTokens },
        )
      })
    }
  })
}

test('a chunk is usage only when its list of choices is empty and its usage an object', () => {
  const { isUsageOnly } = dialectOf('openai')
  assert.equal(isUsageOnly({ choices: [], usage: { prompt_tokens: 1 } }), true)
  for (const record of [
    {},
    { choices: [] },
    { choices: [], usage: null },
    { choices: [{}], usage: {} },
    { usage: {} },
    { choices: {}, usage: {} },
  ]) {
    assert.equal(isUsageOnly(record), false)
  }
  assert.equal(dialectOf('anthropic').isUsageOnly({ choices: [], usage: {} }), false)
})
