import assert from 'node:assert/strict'
import { test } from 'node:test'
import { draftOutcome, type Outcome } from '#core/outcome.ts'
import { allMetrics } from './catalog.ts'
import type { LabelSource } from './label-values.ts'
import { createMetricColumns, metricBufferBytes, type SeriesAnnouncement } from './metric-columns.ts'
import { createRecorder } from './record-outcome.ts'

const snapshot: LabelSource = {
  listeners: [{ name: 'default' }],
  routes: [
    { modelName: 'llama', adapters: ['sql'] },
    { modelName: undefined, adapters: ['chat'] },
  ],
  modelServers: [
    { key: 'default/a', engine: 'vllm' },
    { key: 'default/b', engine: 'sglang' },
  ],
}

function harness() {
  const announced: SeriesAnnouncement[] = []
  const buffer = new SharedArrayBuffer(metricBufferBytes)
  const cells = new Float64Array(buffer)
  const columns = createMetricColumns({ buffer, definitions: allMetrics, onSeries: (series) => announced.push(series) })
  const logged: Outcome[] = []
  const accessLog = { write: (outcome: Outcome) => void logged.push(outcome), flush: () => Promise.resolve() }
  const recorder = createRecorder({ columns, snapshot, accessLog })
  /** Value of a counter or gauge, sum and count of a histogram; undefined when there is no such series. */
  const read = (metric: string, ...labels: string[]): number | readonly [number, number] | undefined => {
    const series = announced.find((one) => one.metric === metric && one.labels.join() === labels.join())
    const definition = allMetrics.find(({ name }) => name === metric) ?? assert.fail(`no metric ${metric}`)
    if (series === undefined) return undefined
    const sum = cells[series.offset] ?? Number.NaN
    if (definition.type !== 'histogram') return sum
    const counts = cells.subarray(series.offset + 1, series.offset + 2 + definition.buckets.length)
    return [Math.round(sum * 1e6) / 1e6, counts.reduce((a, b) => a + b, 0)]
  }
  return { recorder, announced, logged, read }
}

const served = (more: Partial<Outcome> = {}): Outcome => ({
  ...draftOutcome(1000),
  listener: 'default',
  api: 'chat',
  model: 'llama',
  modelServer: 'default/a',
  endpoint: '10.0.0.1:8000',
  attempts: 1,
  status: 200,
  receivedAtMs: 1001,
  sentAtMs: 1001.5,
  firstTokenAtMs: 1101,
  lastTokenAtMs: 2001,
  upstreamEndAtMs: 2001.25,
  endedAtMs: 2001.5,
  requestBytes: 10,
  responseBytes: 20,
  usage: { inputTokens: 7, outputTokens: 11, cachedTokens: 4 },
  ...more,
})

const genAi = (...more: string[]) => ['chat', 'vllm', 'llama', ...more] as const

test('a served request is counted in every metric it has a part in', () => {
  const { recorder, read } = harness()
  recorder.record(served({ stream: true }))
  assert.equal(read('infer_gateway_requests_total', 'llama', 'chat', '200'), 1)
  assert.deepEqual(read('gen_ai_server_request_duration_seconds', ...genAi('')), [1.0015, 1])
  assert.deepEqual(read('gen_ai_server_time_to_first_token_seconds', ...genAi()), [0.101, 1])
  assert.deepEqual(read('gen_ai_server_time_per_output_token_seconds', ...genAi()), [0.09, 1])
  assert.deepEqual(read('gen_ai_client_token_usage', ...genAi('input')), [7, 1])
  assert.deepEqual(read('gen_ai_client_token_usage', ...genAi('output')), [11, 1])
  assert.equal(read('infer_gateway_tokens_total', 'llama', 'cached'), 4)
  assert.deepEqual(read('infer_gateway_overhead_seconds', 'before'), [0.0005, 1])
  assert.deepEqual(read('infer_gateway_overhead_seconds', 'after'), [0.00025, 1])
  assert.equal(read('infer_gateway_body_bytes_total', 'in'), 10)
  assert.equal(read('infer_gateway_body_bytes_total', 'out'), 20)
  assert.equal(read('infer_gateway_upstream_attempts_total', 'default/a', 'ok'), 1)
})

test('an answer that is no stream has neither a first token nor a time per token', () => {
  const { recorder, read } = harness()
  recorder.record(served({ stream: false }))
  assert.equal(read('gen_ai_server_time_to_first_token_seconds', ...genAi()), undefined)
})

test('a stream of one token has no time per further token', () => {
  const { recorder, read } = harness()
  recorder.record(served({ stream: true, usage: { inputTokens: 1, outputTokens: 1, cachedTokens: undefined } }))
  assert.deepEqual(read('gen_ai_server_time_per_output_token_seconds', ...genAi()), [0, 0])
})

const failures = [
  { name: 'a refusal', more: { status: 503, refusal: 'no-endpoint' }, errorType: 'no-endpoint' },
  { name: 'an error of the engine', more: { status: 400 }, errorType: '400' },
  { name: 'a client that left', more: { status: 200, abort: 'answering' }, errorType: 'client-abort' },
  {
    name: 'an error event in the stream',
    more: { status: 200, hasErrorEvent: true },
    errorType: 'upstream-error-event',
  },
  { name: 'a status that is none', more: { status: 7777 }, errorType: 'other' },
] satisfies readonly { name: string; more: Partial<Outcome>; errorType: string }[]

for (const { name, more, errorType } of failures) {
  test(`${name} has its own error type and no token timings`, () => {
    const { recorder, read } = harness()
    recorder.record(served({ ...more, stream: true }))
    assert.deepEqual(read('gen_ai_server_request_duration_seconds', ...genAi(errorType)), [1.0015, 1])
    assert.equal(read('gen_ai_server_time_to_first_token_seconds', ...genAi()), undefined)
  })
}

test('a request refused before anything was known of it is counted without names', () => {
  const { recorder, read, announced } = harness()
  recorder.record({ ...draftOutcome(1000), status: 400, refusal: 'malformed-request', endedAtMs: 1001 })
  assert.equal(read('infer_gateway_requests_total', 'none', 'none', '400'), 1)
  assert.equal(read('infer_gateway_refusals_total', 'malformed-request'), 1)
  assert.equal(announced.filter(({ metric }) => metric.startsWith('gen_ai')).length, 0)
  assert.deepEqual(read('infer_gateway_overhead_seconds', 'before'), [0, 0])
})

test('names that the snapshot does not know are one series, however many clients invent', () => {
  const { recorder, read, announced } = harness()
  for (let i = 0; i < 5000; i++) recorder.record(served({ model: `invented-${i}`, modelServer: undefined }))
  assert.equal(read('infer_gateway_requests_total', 'other', 'chat', '200'), 5000)
  assert.ok(announced.length < 30)
  recorder.inFlight('invented').add(1)
  assert.equal(read('infer_gateway_requests_in_flight', 'other'), 1)
})

test("names of engines' adapters and routes are labels as they are", () => {
  const { recorder, read } = harness()
  for (const model of ['sql', 'chat']) recorder.record(served({ model }))
  assert.equal(read('infer_gateway_requests_total', 'sql', 'chat', '200'), 1)
  assert.equal(read('infer_gateway_requests_total', 'chat', 'chat', '200'), 1)
})

test('a retry is counted under the failure that caused it, and a last failure causes none', () => {
  const { recorder, read } = harness()
  const failed = { modelServer: 'default/b', endpoint: 'x:1' }
  const failedAttempts = [
    { ...failed, reason: 'upstream-unreachable' },
    { ...failed, reason: 'status-503' },
  ] as const
  recorder.record(served({ attempts: 3, failedAttempts }))
  recorder.record(served({ attempts: 2, failedAttempts, status: 503 }))
  assert.equal(read('infer_gateway_upstream_attempts_total', 'default/b', 'upstream-unreachable'), 2)
  assert.equal(read('infer_gateway_upstream_attempts_total', 'default/b', 'status-503'), 2)
  assert.equal(read('infer_gateway_upstream_attempts_total', 'default/a', 'ok'), 1)
  assert.equal(read('infer_gateway_upstream_retries_total', 'default/b', 'upstream-unreachable'), 2)
  assert.equal(read('infer_gateway_upstream_retries_total', 'default/b', 'status-503'), 1)
})

test('aborts, cuts, error events, skipped targets and refused connections are counted', () => {
  const { recorder, read } = harness()
  recorder.record(served({ hasErrorEvent: true }))
  assert.equal(read('infer_gateway_stream_error_events_total', 'default/a'), 1)
  recorder.record(served({ abort: 'before-first-byte' }))
  recorder.record(served({ cut: true, refusal: 'upstream-reset' }))
  recorder.record(served({ skippedTargets: ['default/b', 'default/gone'] }))
  recorder.refused('too-many-connections')
  assert.equal(read('infer_gateway_client_aborts_total', 'before-first-byte'), 1)
  assert.equal(read('infer_gateway_streams_cut_total', 'upstream-reset'), 1)
  assert.equal(read('infer_gateway_skipped_targets_total', 'default/b'), 1)
  assert.equal(read('infer_gateway_skipped_targets_total', 'other'), 1)
  assert.equal(read('infer_gateway_refusals_total', 'too-many-connections'), 1)
})

test('a new snapshot brings its names, and a request of the old one ends on the gauge it began on', () => {
  const { recorder, read } = harness()
  const gauge = recorder.inFlight('llama')
  gauge.add(1)
  recorder.applySnapshot({ ...snapshot, routes: [{ modelName: 'qwen', adapters: [] }] })
  recorder.record(served({ model: 'qwen' }))
  recorder.record(served({ model: 'llama' }))
  gauge.add(-1)
  assert.equal(read('infer_gateway_requests_total', 'qwen', 'chat', '200'), 1)
  assert.equal(read('infer_gateway_requests_total', 'other', 'chat', '200'), 1)
  assert.equal(read('infer_gateway_requests_in_flight', 'llama'), 0)
})

test('open connections are kept per listener', () => {
  const { recorder, read } = harness()
  recorder.connections('default').set(12)
  recorder.connections('unheard-of').set(1)
  assert.equal(read('infer_gateway_connections_open', 'default'), 12)
  assert.equal(read('infer_gateway_connections_open', 'other'), 1)
})

test('each outcome is logged once', () => {
  const { recorder, logged } = harness()
  const outcome = served()
  recorder.record(outcome)
  assert.deepEqual(logged, [outcome])
})

test('open tunnels are kept per model', () => {
  const { recorder, read } = harness()
  recorder.tunnels('llama').add(2)
  recorder.tunnels('llama').add(-1)
  recorder.tunnels('invented').add(1)
  assert.equal(read('infer_gateway_tunnels_open', 'llama'), 1)
  assert.equal(read('infer_gateway_tunnels_open', 'other'), 1)
})

test('cached tokens that were in reach and those had are counted by model server, where any were in reach', () => {
  const { recorder, read } = harness()
  recorder.record(served({ reachableTokens: 900, realizedTokens: 600 }))
  recorder.record(served({ reachableTokens: 100, realizedTokens: 100 }))
  recorder.record(served({ reachableTokens: 2000, realizedTokens: 2000, prefixCopies: 3 }))
  recorder.record(served({ modelServer: 'default/b' }))
  assert.equal(read('infer_gateway_prefix_reachable_tokens_total', 'default/a'), 3000)
  assert.equal(read('infer_gateway_prefix_realized_tokens_total', 'default/a'), 2700)
  assert.equal(read('infer_gateway_prefix_reachable_tokens_total', 'default/b'), undefined)
  assert.deepEqual(read('infer_gateway_prefix_copies', 'default/a'), [3, 1])
})
