import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { lineChart, lineCharts, smallLineChart } from './line-chart.ts'
import { mean, percentile } from './percentile.ts'

describe('a line chart', () => {
  const series = {
    name: 'a < b',
    color: '#123',
    points: [
      [0, 1],
      [10, 1_500],
    ] as const,
  }
  const chart = { title: 'A & B', x: { label: 'x' }, y: { label: 'y' }, series: [series] }

  test('draws a linear axis from 0 and puts the greatest value inside', () => {
    const svg = lineCharts([chart])
    assert.match(svg, /A &amp; B/)
    assert.match(svg, /a &lt; b/)
    for (const tick of ['0', '500', '1,000', '1,500']) assert.ok(svg.includes(`>${tick}</text>`), tick)
    assert.match(svg, /L496 58"/, 'the last point is at the upper right corner')
  })

  test('draws a logarithmic axis over the powers of ten around the values and leaves out what has no logarithm', () => {
    const points = [...series.points, [12, 0] as const, [13, Number.NaN] as const]
    const svg = smallLineChart({ ...chart, y: { label: '', isLogarithmic: true }, series: [{ ...series, points }] })
    for (const tick of ['1', '10', '100', '1,000', '10,000']) assert.ok(svg.includes(`>${tick}</text>`), tick)
    assert.doesNotMatch(svg, /NaN|Infinity/)
  })

  test('names a series once in the legend of several charts, in as many rows as it takes', () => {
    const one = { ...chart, series: [{ ...series, name: 'once', marksOnly: true }] }
    assert.equal(lineCharts([one, one]).split('>once<').length, 2)
    const many = Array.from({ length: 9 }, (_, i) => ({ ...series, name: `a name that is long ${i}` }))
    const heights = [one, { ...chart, series: many }].map(
      (each) => /viewBox="0 0 520 (\d+)/.exec(lineCharts([each]))?.[1],
    )
    assert.ok(Number(heights[1]) > Number(heights[0]), heights.join(' '))
  })

  test('leaves its style to the page when it is small', () => {
    assert.ok(lineChart(chart).includes('<style>'))
    assert.ok(!smallLineChart(chart).includes('<style>'))
  })
})

describe('a percentile', () => {
  const cases = [
    { values: [5, 1, 3], part: 0.5, wanted: 3 },
    { values: [5, 1, 3, 2], part: 0.5, wanted: 2 },
    { values: [5, 1, 3], part: 0.9, wanted: 5 },
    { values: [5, 1, 3], part: 0, wanted: 1 },
    { values: [], part: 0.5, wanted: Number.NaN },
  ]
  for (const { values, part, wanted } of cases) {
    test(`of ${JSON.stringify(values)} at ${part} is ${wanted}`, () => {
      assert.equal(percentile(Float64Array.from(values), part), wanted)
    })
  }

  test('and a mean read all values', () => {
    assert.equal(mean(Float64Array.of(1, 2, 6)), 3)
  })
})
