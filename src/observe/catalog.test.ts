import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allMetrics, metrics } from './catalog.ts'
import { renderMetricsReference } from './reference-metrics.ts'

for (const metric of allMetrics) {
  test(`${metric.name} follows the rules of Prometheus naming`, () => {
    assert.match(metric.name, /^(infer_gateway|gen_ai)_[a-z0-9]+(_[a-z0-9]+)*$/)
    assert.equal(metric.name.endsWith('_total'), metric.type === 'counter')
    assert.ok(metric.help.endsWith('.'), 'the help is a sentence')
    if (metric.unit !== '') assert.match(metric.name, new RegExp(`_${metric.unit}(_total)?$`))
    for (const label of metric.labels) assert.match(label, /^[a-z][a-z_]*$/)
    assert.equal(new Set(metric.labels).size, metric.labels.length)
    assert.ok(!metric.labels.includes('le'))
  })

  test(`${metric.name} has ascending buckets if it is a histogram, and none if not`, () => {
    assert.equal(metric.buckets.length > 0, metric.type === 'histogram')
    assert.deepEqual(
      metric.buckets,
      [...new Set(metric.buckets)].toSorted((a, b) => a - b),
    )
  })

  test(`${metric.name} says that it is of the OpenTelemetry conventions exactly when it is`, () => {
    assert.equal(metric.convention !== undefined, metric.name.startsWith('gen_ai_'))
    if (metric.convention !== undefined) {
      assert.ok(metric.name.startsWith(metric.convention.replaceAll('.', '_')))
    }
  })
}

test('no two metrics have one name', () => {
  assert.equal(new Set(allMetrics.map(({ name }) => name)).size, allMetrics.length)
})

test("every value read at scrape comes from nobody's columns: no histogram among them", () => {
  for (const metric of allMetrics) if (metric.origin === 'read at scrape') assert.notEqual(metric.type, 'histogram')
})

test('the reference page has one row for each metric and one line of buckets for each histogram', () => {
  const lines = renderMetricsReference().split('\n')
  for (const { name, type } of allMetrics) {
    const rows = lines.filter((line) => line.startsWith(`| \`${name}\` |`))
    assert.equal(rows.length, type === 'histogram' ? 2 : 1, name)
  }
  assert.ok(lines.some((line) => line.includes(metrics.requestDuration.convention ?? '-')))
})
