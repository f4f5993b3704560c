import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { lineCharts } from './line-chart.ts'
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

  test('draws a linear axis from 0 and puts the greatest value inside', () => {
    const svg = lineCharts([{ title: 'A & B', xLabel: 'x', yLabel: 'y', series: [series] }])
    assert.match(svg, /^<svg xmlns[^>]*viewBox="0 0 520 372"/)
    assert.match(svg, /A &amp; B/)
    assert.match(svg, /a &lt; b/)
    for (const tick of ['0', '500', '1k', '1.5k']) assert.ok(svg.includes(`>${tick}</text>`), tick)
    assert.match(svg, /M66\.0 \d+\.\d+L504\.0 40\.0/, 'the last point is at the upper right corner')
  })

  test('draws a logarithmic axis over the powers of ten around the values', () => {
    const svg = lineCharts([{ title: '', xLabel: '', yLabel: '', isLogarithmic: true, series: [series] }])
    for (const tick of ['1', '10', '100', '1k', '10k']) assert.ok(svg.includes(`>${tick}</text>`), tick)
  })

  test('names a series once in the legend of several charts', () => {
    const chart = { title: '', xLabel: '', yLabel: '', series: [{ ...series, name: 'once', marksOnly: true }] }
    const svg = lineCharts([chart, chart])
    assert.equal(svg.split('>once<').length, 2)
    assert.match(svg, /viewBox="0 0 1040 372"/)
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
