import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { draftOutcome, type Outcome } from '#core/outcome.ts'
import { createTimeFormat, maxLineBytes, writeAccessLine } from './access-line.ts'
import { LineWriter } from './line-writer.ts'

const time = '2026-11-21T13:40:16.000Z'

function lineOf(outcome: Partial<Outcome>): string {
  const line = new LineWriter(maxLineBytes)
  writeAccessLine(line, { ...draftOutcome(1000), ...outcome }, time)
  return line.bytes.toString('utf8', 0, line.length)
}

const fieldsOf = (outcome: Partial<Outcome>): Record<string, unknown> =>
  JSON.parse(lineOf(outcome)) as Record<string, unknown>

const served: Partial<Outcome> = {
  requestId: 'req-1',
  listener: 'default',
  clientAddress: '10.0.0.9',
  method: 'POST',
  path: '/v1/chat/completions',
  api: 'chat',
  model: 'sql',
  upstreamModel: 'sql-v2',
  route: 'default/llama',
  modelServer: 'default/llama',
  endpoint: '10.0.0.11:8000',
  why: 'least-request 0.93 of 3',
  attempts: 2,
  status: 200,
  stream: true,
  receivedAtMs: 1000.5,
  sentAtMs: 1000.75,
  firstTokenAtMs: 1040.25,
  lastTokenAtMs: 2000,
  upstreamEndAtMs: 2000.75,
  endedAtMs: 2001,
  requestBytes: 300,
  responseBytes: 4_000_000_000,
  usage: { inputTokens: 12, outputTokens: 34, cachedTokens: 0 },
}

test('a served request is one line with everything that is known of it', () => {
  assert.deepEqual(fieldsOf(served), {
    time,
    request_id: 'req-1',
    listener: 'default',
    client: '10.0.0.9',
    method: 'POST',
    path: '/v1/chat/completions',
    api: 'chat',
    model: 'sql',
    upstream_model: 'sql-v2',
    route: 'default/llama',
    model_server: 'default/llama',
    endpoint: '10.0.0.11:8000',
    why: 'least-request 0.93 of 3',
    attempts: 2,
    status: 200,
    stream: true,
    total_ms: 1001,
    before_upstream_ms: 0.75,
    ttft_ms: 40.25,
    upstream_ms: 1000,
    bytes_in: 300,
    bytes_out: 4_000_000_000,
    input_tokens: 12,
    output_tokens: 34,
    cached_tokens: 0,
  })
})

test('a refused request says why, and leaves out what never happened', () => {
  assert.deepEqual(fieldsOf({ status: 404, refusal: 'unknown-model', errorSource: 'client', endedAtMs: 1000.1 }), {
    time,
    attempts: 0,
    status: 404,
    reason: 'unknown-model',
    error_source: 'client',
    stream: false,
    total_ms: 0.1,
    bytes_in: 0,
    bytes_out: 0,
  })
})

test('an abort, a cut and a fault of the gateway are named', () => {
  const fields = fieldsOf({ abort: 'queued', cut: true, errorSource: 'self', refusal: 'internal-error' })
  assert.equal(fields.client_abort, 'queued')
  assert.equal(fields.cut, true)
  assert.equal(fields.error_source, 'gateway')
})

test('any text survives the way through a line, whatever is in it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 512 }), (text) => {
      const line = lineOf({ model: text })
      assert.equal(line.indexOf('\n'), line.length - 1)
      assert.doesNotMatch(line.slice(0, -1), /[\p{Cc}\u2028\u2029]/u)
      assert.equal((JSON.parse(line) as { model?: string }).model, text === '' ? undefined : text)
    }),
  )
})

test('half a surrogate pair stays valid UTF-8', () => {
  assert.match(lineOf({ model: 'a\ud83d' }), /"model":"a\\ud83d"/)
})

test('a long text is cut, and the longest line fits its bound', () => {
  const long = '\u0001'.repeat(100_000)
  assert.equal((fieldsOf({ model: long }).model as string).length, 513)
  const texts = ['requestId', 'listener', 'clientAddress', 'method', 'path', 'model', 'upstreamModel', 'route'] as const
  const everything: Record<string, unknown> = {
    modelServer: long,
    endpoint: long,
    why: long,
    refusal: long,
    abort: long,
  }
  for (const key of texts) everything[key] = long
  const numbers = { attempts: -1.7e308, status: 1e308, requestBytes: 1.1e-300, responseBytes: 2 ** 60 }
  const usage = { inputTokens: 1 / 3, outputTokens: 1e300, cachedTokens: Infinity }
  const line = lineOf({ ...everything, api: long as 'chat', ...numbers, usage, endedAtMs: 1e300, sentAtMs: -1e300 })
  assert.ok(Buffer.byteLength(line) <= maxLineBytes)
  JSON.parse(line)
})

test('numbers and durations are written exactly', () => {
  fc.assert(
    fc.property(fc.nat(2 ** 31 - 1), fc.nat(10_000_000), (count, us) => {
      const fields = fieldsOf({ status: count, endedAtMs: 1000 + us / 1000 })
      assert.equal(fields.status, count)
      assert.equal(fields.total_ms, us / 1000)
    }),
  )
})

test('a clock that stepped back gives 0, never a negative duration', () => {
  assert.equal(fieldsOf({ endedAtMs: 999 }).total_ms, 0)
})

test('times are written as Date does', () => {
  const timeText = createTimeFormat()
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4e12 }), (wallMs) => {
      assert.equal(timeText(wallMs), new Date(wallMs).toISOString())
      assert.equal(timeText(wallMs + 0.7), new Date(wallMs).toISOString())
    }),
  )
})
