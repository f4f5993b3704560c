import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { allMetrics, metrics, otherLabel } from './catalog.ts'
import {
  cellsOf,
  createMetricColumns,
  foldedCell,
  type MetricColumnsPlan,
  metricBufferBytes,
  type SeriesAnnouncement,
} from './metric-columns.ts'

function columnsFor(plan: Partial<MetricColumnsPlan> = {}) {
  const announced: SeriesAnnouncement[] = []
  const buffer = plan.buffer ?? new SharedArrayBuffer(metricBufferBytes)
  const onSeries = (series: SeriesAnnouncement) => announced.push(series)
  const columns = createMetricColumns({ definitions: allMetrics, onSeries, ...plan, buffer })
  return { columns, announced, cells: new Float64Array(buffer) }
}

const bytesOfAll = (1 + allMetrics.reduce((sum, metric) => sum + cellsOf(metric), 0)) * 8

test('a counter adds up in the cell that was announced', () => {
  const { columns, announced, cells } = columnsFor()
  const counter = columns.counter(metrics.refusals, { reason: 'no-endpoint' })
  counter.add(1)
  counter.add(2.5)
  assert.equal(announced.length, 1)
  assert.deepEqual(announced[0], {
    metric: 'infer_gateway_refusals_total',
    labels: ['no-endpoint'],
    offset: announced[0]?.offset,
  })
  assert.equal(cells[announced[0]?.offset ?? 0], 3.5)
})

test('a gauge is set and moved', () => {
  const { columns, announced, cells } = columnsFor()
  const gauge = columns.gauge(metrics.connectionsOpen, { listener: 'default' })
  gauge.set(7)
  gauge.add(-2)
  assert.equal(cells[announced[0]?.offset ?? 0], 5)
})

test('asking twice for one series gives one series', () => {
  const { columns, announced } = columnsFor()
  const labels = { model_server: 'a/b', result: 'ok' }
  assert.equal(columns.counter(metrics.attempts, labels), columns.counter(metrics.attempts, { ...labels }))
  assert.equal(announced.length, 1)
})

test('label values are announced in the order of the definition, whatever order they are given in', () => {
  const { columns, announced } = columnsFor()
  columns.counter(metrics.requests, { status: '200', model: 'm', api: 'chat' })
  assert.deepEqual(announced[0]?.labels, ['m', 'chat', '200'])
})

test('a value falls into the first bucket whose bound is not below it', () => {
  const bounds = metrics.eventLoopDelay.buckets
  fc.assert(
    fc.property(fc.oneof(fc.double({ noNaN: true }), fc.constantFrom(...bounds, 0, -1, Infinity)), (value) => {
      const { columns, announced, cells } = columnsFor({ buffer: new SharedArrayBuffer(bytesOfAll + 1024) })
      columns.histogram(metrics.eventLoopDelay, { thread: '0' }).observe(value)
      const first = (announced[0]?.offset ?? 0) + 1
      const expected = bounds.findIndex((bound) => value <= bound)
      const filled = [...cells.subarray(first, first + bounds.length + 1)].indexOf(1)
      assert.equal(filled, expected === -1 ? bounds.length : expected)
      assert.equal(cells[first - 1], value === 0 ? 0 : value)
    }),
    { numRuns: 200 },
  )
})

test('a histogram does not count NaN', () => {
  const { columns, announced, cells } = columnsFor()
  columns.histogram(metrics.overhead, { phase: 'after' }).observe(Number.NaN)
  const offset = announced[0]?.offset ?? 0
  assert.ok(cells.subarray(offset, offset + cellsOf(metrics.overhead)).every((cell) => cell === 0))
})

test('series beyond the bound share the series named other, and that is counted', () => {
  const { columns, announced, cells } = columnsFor({ maxSeriesPerMetric: 3 })
  const children = Array.from({ length: 10 }, (_, i) => columns.counter(metrics.refusals, { reason: `reason-${i}` }))
  for (const child of children) child.add(1)
  assert.deepEqual(
    announced.map(({ labels }) => labels[0]),
    ['reason-0', 'reason-1', 'reason-2', otherLabel],
  )
  assert.equal(cells[announced[3]?.offset ?? 0], 7)
  assert.equal(cells[foldedCell], 7)
})

test('a full buffer loses labels, never a value and never its neighbours', () => {
  const { columns, announced, cells } = columnsFor({ buffer: new SharedArrayBuffer(bytesOfAll + 8 * 20) })
  for (let i = 0; i < 100; i++) {
    columns.counter(metrics.refusals, { reason: `reason-${i}` }).add(1)
    columns.histogram(metrics.overhead, { phase: `phase-${i}` }).observe(0.001)
  }
  const sum = (metric: string, cellOffset: number, count: number) =>
    announced
      .filter((series) => series.metric === metric)
      .reduce((total, { offset }) => {
        const from = offset + cellOffset
        return total + cells.subarray(from, from + count).reduce((a, b) => a + b, 0)
      }, 0)
  assert.equal(sum(metrics.refusals.name, 0, 1), 100)
  assert.equal(sum(metrics.overhead.name, 1, cellsOf(metrics.overhead) - 1), 100)
  assert.ok((cells[foldedCell] ?? 0) > 0)
})

test('a buffer without room for one series of each metric is refused at once', () => {
  assert.throws(() => columnsFor({ buffer: new SharedArrayBuffer(bytesOfAll - 8) }), RangeError)
  assert.doesNotThrow(() => columnsFor({ buffer: new SharedArrayBuffer(bytesOfAll) }))
})

test('a metric that is not in the catalog is refused', () => {
  const { columns } = columnsFor({ definitions: [metrics.refusals] })
  assert.throws(() => columns.counter(metrics.attempts, { model_server: 'a', result: 'ok' }), /not among/)
})
