/** Nanoseconds per metric update, per recorded outcome and per access log line: `scripts/run node bench/micro/metrics.ts`. */
import { systemClock } from '#core/clock.ts'
import { draftOutcome, type Outcome } from '#core/outcome.ts'
import { createTimeFormat, writeAccessLine } from '#observe/access-line.ts'
import { createAccessLog } from '#observe/access-log.ts'
import { allMetrics, metrics } from '#observe/catalog.ts'
import { LineWriter } from '#observe/line-writer.ts'
import { createMetricColumns, metricBufferBytes } from '#observe/metric-columns.ts'
import { createMetricsRegistry } from '#observe/metrics-registry.ts'
import { createRecorder, type RecorderPorts } from '#observe/record-outcome.ts'

const rounds = 7

/** Prints the median over rounds: other work on the machine only makes single rounds slower. */
function measure(name: string, times: number, run: (times: number) => void): void {
  run(times)
  const perCall: number[] = []
  for (let round = 0; round < rounds; round++) {
    const started = process.hrtime.bigint()
    run(times)
    perCall.push(Number(process.hrtime.bigint() - started) / times)
  }
  const median = perCall.toSorted((a, b) => a - b)[rounds >> 1] ?? Number.NaN
  console.log(`${name.padEnd(44)} ${median.toFixed(1).padStart(9)} ns`)
}

const snapshot: RecorderPorts['snapshot'] = {
  listeners: [{ name: 'default' }],
  routes: [{ modelName: 'llama-3.1-8b', adapters: ['sql', 'chat'] }],
  modelServers: [{ key: 'default/llama', engine: 'vllm' }],
}

const registry = createMetricsRegistry({ processMetrics: true })
const buffer = new SharedArrayBuffer(metricBufferBytes)
registry.addThread('bench', buffer)
const columns = createMetricColumns({
  buffer,
  definitions: allMetrics,
  onSeries: (series) => registry.series('bench', series),
})
const counter = columns.counter(metrics.refusals, { reason: 'no-endpoint' })
const gauge = columns.gauge(metrics.requestsInFlight, { model: 'llama-3.1-8b' })
const histogram = columns.histogram(metrics.overhead, { phase: 'before' })

const outcomes: Outcome[] = Array.from({ length: 64 }, (_, i) => ({
  ...draftOutcome(1000 + i),
  requestId: `0af7651916cd43dd8448eb211c80319c-${i}`,
  listener: 'default',
  clientAddress: '10.12.0.17',
  method: 'POST',
  path: '/v1/chat/completions',
  api: 'chat',
  model: ['llama-3.1-8b', 'sql', 'chat'][i % 3] as string,
  upstreamModel: 'meta-llama/Llama-3.1-8B-Instruct',
  route: 'default/llama-3.1-8b',
  modelServer: 'default/llama',
  endpoint: '10.0.0.11:8000',
  why: 'least-request 0.93 of 3',
  attempts: 1,
  status: 200,
  stream: true,
  receivedAtMs: 1000.2 + i,
  sentAtMs: 1000.3 + i,
  firstTokenAtMs: 1043.7 + i,
  lastTokenAtMs: 3000.1 + i,
  upstreamEndAtMs: 3000.4 + i,
  endedAtMs: 3000.5 + i,
  requestBytes: 2310,
  responseBytes: 18_221,
  usage: { inputTokens: 512, outputTokens: 100 + i, cachedTokens: 256 },
}))

const clock = systemClock()
const accessLog = createAccessLog({
  clock,
  sink: { write: (_batch, done) => done(true) },
  onDropped: () => undefined,
})
const recorder = createRecorder({ columns, snapshot, accessLog: undefined })
const logging = createRecorder({ columns, snapshot, accessLog })
const timeText = createTimeFormat()
const line = new LineWriter(65_536)
let bytes = 0

measure('counter.add', 2e7, (times) => {
  for (let i = 0; i < times; i++) counter.add(1)
})
measure('gauge.set', 2e7, (times) => {
  for (let i = 0; i < times; i++) gauge.set(i)
})
measure('histogram.observe (16 buckets)', 1e7, (times) => {
  for (let i = 0; i < times; i++) histogram.observe((i & 1023) / 20_000)
})
measure('columns.counter (child look-up)', 1e6, (times) => {
  for (let i = 0; i < times; i++) columns.counter(metrics.refusals, { reason: 'no-endpoint' })
})
measure('recorder.inFlight', 5e6, (times) => {
  for (let i = 0; i < times; i++) recorder.inFlight('sql').add(1)
})
measure('recorder.record, no log', 2e6, (times) => {
  for (let i = 0; i < times; i++) recorder.record(outcomes[i & 63] as Outcome)
})
measure('writeAccessLine', 5e5, (times) => {
  for (let i = 0; i < times; i++) {
    line.length = 0
    writeAccessLine(line, outcomes[i & 63] as Outcome, timeText(i))
  }
})
measure('JSON.stringify of the same outcome', 5e5, (times) => {
  for (let i = 0; i < times; i++) bytes += JSON.stringify(outcomes[i & 63]).length
})
measure('recorder.record with log (batched, no I/O)', 5e5, (times) => {
  for (let i = 0; i < times; i++) logging.record(outcomes[i & 63] as Outcome)
})

for (let i = 0; i < 200; i++) {
  const labels = { model_server: `default/server-${i}`, result: 'ok' }
  columns.counter(metrics.attempts, labels).add(1)
  columns.histogram(metrics.eventLoopDelay, { thread: `thread-${i}` }).observe(0.001)
}
const page = await registry.render()
const lines = page.body.split('\n').length
const started = process.hrtime.bigint()
for (let i = 0; i < 50; i++) await registry.render()
const renderMs = Number(process.hrtime.bigint() - started) / 50 / 1e6
console.log(
  `a page of ${lines} lines takes ${renderMs.toFixed(2)} ms; an access line has ${line.length} bytes (${bytes > 0})`,
)
