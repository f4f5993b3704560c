import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import type { DialectName } from '#core/api.ts'
import type { EventKind, JsonRecord } from './dialect.ts'
import { dialectOf } from './dialects.ts'

interface Case {
  readonly name: string
  readonly kind: EventKind
  readonly records: readonly JsonRecord[]
}

const choice = (delta: unknown, more: JsonRecord = {}): JsonRecord => ({
  id: 'x',
  choices: [{ index: 0, delta, logprobs: null, finish_reason: null, ...more }],
  usage: null,
})

const openai: readonly Case[] = [
  {
    name: 'deltas without anything generated',
    kind: 'preamble',
    records: [
      choice({ role: 'assistant', content: '' }),
      choice({ role: 'assistant' }),
      choice({}),
      choice({ role: 'assistant', content: null, tool_calls: [], reasoning_content: null }),
      { choices: [{ index: 0, text: '', finish_reason: null }] },
      { choices: [], prompt_filter_results: [{}] },
    ],
  },
  {
    name: 'deltas with something',
    kind: 'content',
    records: [
      choice({ content: ' ' }),
      choice({ role: 'assistant', content: 'Hi' }),
      choice({ reasoning_content: 'hm' }),
      choice({ tool_calls: [{ index: 0 }] }),
      choice({}, { finish_reason: 'stop' }),
      { choices: [{ index: 0, text: 'a', finish_reason: null }] },
      { choices: [{}] },
      { choices: [], usage: { prompt_tokens: 1 } },
      { text: 'a', meta_info: {} },
      { object: 'something', choices: 5 },
      {},
    ],
  },
  {
    name: 'events of the Responses API before anything is generated',
    kind: 'preamble',
    records: [
      { type: 'response.created', response: { error: null, output: [] } },
      { type: 'response.in_progress', response: { error: null } },
      { type: 'response.output_item.added', item: {} },
      { type: 'response.content_part.added', part: {} },
      { type: 'response.output_text.delta', delta: '' },
    ],
  },
  {
    name: 'events of the Responses API with something',
    kind: 'content',
    records: [
      { type: 'response.output_text.delta', delta: 'x' },
      { type: 'response.completed', response: { error: null } },
      { type: 'response.incomplete', response: {} },
    ],
  },
  {
    name: 'errors of the engine',
    kind: 'error',
    records: [
      { error: { message: 'CUDA error', type: 'InternalServerError', param: null, code: 500 } },
      { error: { message: 'EngineCore died', type: 'internal_error', code: null } },
      { error: { message: 'overloaded', http_status_code: 429, type: 'overloaded' } },
      { error: { message: 'generation failed', http_status_code: 424 } },
      { error: { message: 'incomplete', http_status_code: 500 } },
      { error: 'Request failed during generation', error_type: 'generation' },
      { object: 'error', message: 'x', type: 'InternalServerError', code: 500 },
      { error: { message: 'x', code: 'server_error' } },
      { type: 'error', code: 'server_error', message: 'x', param: null },
      { type: 'response.failed', response: { status: 'failed', error: { code: 'server_error', message: 'x' } } },
      { type: 'response.failed' },
      { ...choice({}), error: { message: 'x' } },
    ],
  },
  {
    name: 'errors that every engine would answer with',
    kind: 'content',
    records: [
      { error: { message: 'too long', type: 'BadRequestError', param: null, code: 400 } },
      { error: { message: 'x', http_status_code: 422 } },
      { error: 'Input validation error', error_type: 'validation' },
      { object: 'error', message: 'x', type: 'BadRequestError', code: 400 },
      { error: { message: 'x', type: 'invalid_request_error', code: null } },
      { type: 'response.failed', response: { error: { code: 'invalid_prompt', message: 'x' } } },
    ],
  },
]

const anthropic: readonly Case[] = [
  {
    name: 'events before anything is generated',
    kind: 'preamble',
    records: [
      { type: 'message_start', message: {} },
      { type: 'ping' },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '', signature: '' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: '' } },
    ],
  },
  {
    name: 'events with something',
    kind: 'content',
    records: [
      { type: 'content_block_start', index: 0, content_block: { type: 'tool_use', id: 't', name: 'f', input: {} } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'a' } },
      { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: { stop_reason: 'end_turn' } },
      { type: 'message_stop' },
      { type: 'something_new' },
    ],
  },
  {
    name: 'errors of the engine',
    kind: 'error',
    records: [
      ...['overloaded_error', 'api_error', 'timeout_error', 'rate_limit_error', 'new_error'].map((type) => ({
        type: 'error',
        error: { type, message: 'x' },
      })),
      { type: 'error' },
      { error: { message: 'x', type: 'InternalServerError', code: 500 } },
    ],
  },
  {
    name: 'errors that every engine would answer with',
    kind: 'content',
    records: [
      ...['invalid_request_error', 'authentication_error', 'not_found_error', 'request_too_large'].map((type) => ({
        type: 'error',
        error: { type, message: 'x' },
      })),
      { error: { message: 'x', type: 'BadRequestError', code: 400 } },
    ],
  },
]

for (const [dialect, cases] of [
  ['openai', openai],
  ['anthropic', anthropic],
] as const satisfies readonly (readonly [DialectName, readonly Case[]])[]) {
  describe(`events of ${dialect}`, () => {
    for (const { name, kind, records } of cases) {
      test(`${name}: ${kind}`, () => {
        for (const record of records) assert.equal(dialectOf(dialect).eventKind(record), kind, JSON.stringify(record))
      })
    }
  })
}

test('no event of a recorded stream that went well is an error, and each stream gets to its content', () => {
  const fixtures: readonly (readonly [DialectName, string])[] = [
    ['openai', 'vllm-chat'],
    ['openai', 'vllm-completions'],
    ['openai', 'vllm-continuous'],
    ['anthropic', 'vllm-messages'],
    ['anthropic', 'anthropic'],
    ['openai', 'llamacpp-chat'],
    ['openai', 'responses'],
    ['openai', 'sglang-generate'],
  ]
  for (const [dialect, name] of fixtures) {
    const text = readFileSync(new URL(`../proxy/reply/fixtures/${name}.sse`, import.meta.url), 'utf8')
    const payloads = [...text.matchAll(/^data: (\{.*\})$/gm)].map((match) => JSON.parse(match[1] ?? '') as JsonRecord)
    const kinds = payloads.map((payload) => dialectOf(dialect).eventKind(payload))
    assert.ok(!kinds.includes('error'), name)
    const first = kinds.indexOf('content')
    assert.ok(first >= 0 && first <= 3, `${name}: ${kinds.join(' ')}`)
  }
})
