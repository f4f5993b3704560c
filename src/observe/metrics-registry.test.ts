import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allMetrics, metrics } from './catalog.ts'
import { createMetricColumns, type MetricColumns, metricBufferBytes } from './metric-columns.ts'
import { type Sample, sampleOf } from './metric-definition.ts'
import { createMetricsRegistry, type MetricsRegistry } from './metrics-registry.ts'

function addThread(registry: MetricsRegistry, thread: string): MetricColumns {
  const buffer = new SharedArrayBuffer(metricBufferBytes)
  registry.addThread(thread, buffer)
  const onSeries = (series: Parameters<MetricsRegistry['series']>[1]) => registry.series(thread, series)
  return createMetricColumns({ buffer, definitions: allMetrics, onSeries })
}

const value = '(?:[+-]?(?:[0-9.]+(?:e[+-]?[0-9]+)?|Inf)|NaN)'
const label = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"'
const sampleLine = new RegExp(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\\{(${label}(?:,${label})*)\\})? (${value})$`)

/** The samples of a page by name and labels; fails on anything that is not in the Prometheus text format 0.0.4. */
async function samplesOf(registry: MetricsRegistry): Promise<Map<string, number>> {
  const { body } = await registry.render()
  assert.ok(body.endsWith('\n'))
  const samples = new Map<string, number>()
  const typed = new Set<string>()
  for (const line of body.split('\n')) {
    if (line === '') continue
    if (line.startsWith('# TYPE ')) {
      const name = line.split(' ')[2] ?? ''
      assert.ok(!typed.has(name), `${name} is typed once`)
      typed.add(name)
    }
    if (line.startsWith('#')) continue
    const [, name = '', labels = '', text = ''] = sampleLine.exec(line) ?? assert.fail(`not a sample: ${line}`)
    assert.ok(typed.has(name) || typed.has(name.replace(/_(bucket|sum|count)$/, '')), `${name} has a type`)
    const key = labels === '' ? name : `${name}{${labels}}`
    assert.ok(!samples.has(key), `${key} comes once`)
    samples.set(key, Number(text.replace('Inf', 'Infinity')))
  }
  return samples
}

test('the sums of threads are on the page', async () => {
  const registry = createMetricsRegistry()
  const [first, second] = [addThread(registry, '0'), addThread(registry, '1')]
  first.counter(metrics.refusals, { reason: 'draining' }).add(2)
  second.counter(metrics.refusals, { reason: 'draining' }).add(3)
  second.counter(metrics.refusals, { reason: 'no-endpoint' }).add(1)
  first.gauge(metrics.requestsInFlight, { model: 'm' }).set(4)
  second.gauge(metrics.requestsInFlight, { model: 'm' }).set(5)
  const samples = await samplesOf(registry)
  assert.equal(samples.get('infer_gateway_refusals_total{reason="draining"}'), 5)
  assert.equal(samples.get('infer_gateway_refusals_total{reason="no-endpoint"}'), 1)
  assert.equal(samples.get('infer_gateway_requests_in_flight{model="m"}'), 9)
  assert.equal(samples.get('infer_gateway_threads'), 2)
})

test('a histogram shows cumulative buckets, and count equals the last of them', async () => {
  const registry = createMetricsRegistry()
  const histogram = addThread(registry, '0').histogram(metrics.eventLoopDelay, { thread: '0' })
  for (const seconds of [0.0005, 0.001, 0.0011, 0.3, 99]) histogram.observe(seconds)
  const samples = await samplesOf(registry)
  const bucket = (le: string) => samples.get(`infer_gateway_event_loop_delay_seconds_bucket{le="${le}",thread="0"}`)
  assert.deepEqual(['0.001', '0.002', '0.2', '0.5', '1', '+Inf'].map(bucket), [2, 3, 3, 4, 4, 5])
  assert.equal(samples.get('infer_gateway_event_loop_delay_seconds_count{thread="0"}'), 5)
  assert.equal(
    samples.get('infer_gateway_event_loop_delay_seconds_sum{thread="0"}'),
    0.0005 + 0.001 + 0.0011 + 0.3 + 99,
  )
})

test('what a thread counted outlives it, its gauges do not', async () => {
  const registry = createMetricsRegistry()
  const columns = addThread(registry, '0')
  columns.counter(metrics.refusals, { reason: 'draining' }).add(2)
  columns.histogram(metrics.overhead, { phase: 'before' }).observe(0.5)
  columns.gauge(metrics.requestsInFlight, { model: 'm' }).set(4)
  registry.removeThread('0')
  addThread(registry, '0').counter(metrics.refusals, { reason: 'draining' }).add(1)
  const samples = await samplesOf(registry)
  assert.equal(samples.get('infer_gateway_refusals_total{reason="draining"}'), 3)
  assert.equal(samples.get('infer_gateway_overhead_seconds_count{phase="before"}'), 1)
  assert.equal(samples.get('infer_gateway_requests_in_flight{model="m"}'), undefined)
})

test('a thread that comes back under its name without being removed loses nothing', async () => {
  const registry = createMetricsRegistry()
  addThread(registry, '0').counter(metrics.refusals, { reason: 'draining' }).add(2)
  addThread(registry, '0').counter(metrics.refusals, { reason: 'draining' }).add(1)
  assert.equal((await samplesOf(registry)).get('infer_gateway_refusals_total{reason="draining"}'), 3)
})

test('label values with quotes, backslashes and line ends are escaped', async () => {
  const registry = createMetricsRegistry()
  const columns = addThread(registry, '0')
  columns.gauge(metrics.requestsInFlight, { model: 'a"b\\c\nd{},=é' }).set(1)
  columns.histogram(metrics.eventLoopDelay, { thread: '"\\\n' }).observe(0)
  const samples = await samplesOf(registry)
  assert.equal(samples.get('infer_gateway_requests_in_flight{model="a\\"b\\\\c\\nd{},=é"}'), 1)
  assert.equal(samples.get('infer_gateway_event_loop_delay_seconds_count{thread="\\"\\\\\\n"}'), 1)
})

test('infinities are written as the format wants them, values that are not known are absent', async () => {
  const registry = createMetricsRegistry()
  const values: Record<string, number> = {
    plus: Infinity,
    minus: -Infinity,
    unknown: Number.NaN,
    tiny: 1e-9,
    huge: 1e21,
  }
  registry.addCollector(() =>
    Object.entries(values).map(([endpoint, at]) => sampleOf(metrics.scrapeAge, { model_server: 's', endpoint }, at)),
  )
  const samples = await samplesOf(registry)
  for (const [endpoint, at] of Object.entries(values)) {
    const found = samples.get(`infer_gateway_scrape_age_seconds{model_server="s",endpoint="${endpoint}"}`)
    assert.equal(found, endpoint === 'unknown' ? undefined : at)
  }
})

test('a written NaN is NaN on the page', async () => {
  const registry = createMetricsRegistry()
  addThread(registry, '0').gauge(metrics.requestsInFlight, { model: 'm Nan' }).set(Number.NaN)
  assert.match((await registry.render()).body, /^infer_gateway_requests_in_flight\{model="m Nan"\} NaN$/m)
})

test('collectors are asked at each page, and one that throws spoils nothing', async () => {
  const registry = createMetricsRegistry()
  let calls = 0
  registry.addCollector((): Sample[] => {
    throw new Error('broken')
  })
  registry.addCollector(() => [sampleOf(metrics.scrapeFailures, { model_server: 's', endpoint: 'e' }, ++calls)])
  await samplesOf(registry)
  const samples = await samplesOf(registry)
  assert.equal(samples.get('infer_gateway_scrape_failures_total{model_server="s",endpoint="e"}'), 2)
})

test('folded series are counted over all threads, also those that are gone', async () => {
  const registry = createMetricsRegistry()
  for (const thread of ['0', '1']) {
    const buffer = new SharedArrayBuffer(metricBufferBytes)
    registry.addThread(thread, buffer)
    const columns = createMetricColumns({ buffer, definitions: allMetrics, maxSeriesPerMetric: 1, onSeries: () => {} })
    columns.counter(metrics.refusals, { reason: 'a' })
    columns.counter(metrics.refusals, { reason: 'b' })
  }
  registry.removeThread('0')
  assert.equal((await samplesOf(registry)).get('infer_gateway_metric_series_folded_total'), 2)
})

test('series of unknown metrics and threads are ignored', async () => {
  const registry = createMetricsRegistry()
  registry.series('nobody', { metric: metrics.refusals.name, labels: ['draining'], offset: 1 })
  registry.addThread('0', new SharedArrayBuffer(64))
  registry.series('0', { metric: 'no_such_metric', labels: [], offset: 1 })
  assert.doesNotMatch((await registry.render()).body, /draining|no_such_metric/)
})

test('the page has every metric of the catalog and, when asked for, those of the process', async () => {
  const registry = createMetricsRegistry({ processMetrics: true })
  const { body, contentType } = await registry.render()
  assert.equal(contentType, 'text/plain; version=0.0.4; charset=utf-8')
  const lines = new Set(body.split('\n'))
  for (const { name, type } of allMetrics) assert.ok(lines.has(`# TYPE ${name} ${type}`), name)
  assert.match(body, /^process_resident_memory_bytes [0-9]+$/m)
  await samplesOf(registry)
})
