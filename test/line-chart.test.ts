import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lineChart, niceTicks } from '#lab/line-chart.ts'
import { slopeOf } from '#scripts/plot/slope.ts'

test('ticks are round numbers around the data', () => {
  const cases = [
    [0, 100, [0, 20, 40, 60, 80, 100]],
    [0, 101, [0, 50, 100, 150]],
    [3, 7, [3, 4, 5, 6, 7]],
    [0, 0.0004, [0, 0.0001, 0.0002, 0.0003, 0.0004]],
    [5, 5, [5, 6]],
    [0, 0, [0, 0.2]],
  ] as const
  for (const [min, max, ticks] of cases) assert.deepEqual(niceTicks(min, max), ticks, `${min} to ${max}`)
})

test('a chart names its axes, escapes its texts and keeps every point inside', () => {
  const points = Array.from({ length: 50 }, (_, i) => [i * 1000, 80 + Math.sin(i) * 10] as const)
  const svg = lineChart({
    title: 'Memory <after> "chaos" & more',
    x: { label: 'requests' },
    y: { label: 'resident memory, MiB' },
    series: [
      { name: 'all', points },
      { name: 'part', points: points.slice(0, 9), isFaint: true },
    ],
  })
  assert.match(svg, /Memory &lt;after&gt; &quot;chaos&quot; &amp; more/)
  assert.match(svg, />resident memory, MiB</)
  assert.equal([...svg.matchAll(/<path /g)].length, 2)
  const numbers = [...svg.matchAll(/[ML](-?[\d.]+) (-?[\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)] as const)
  assert.equal(numbers.length, 59)
  for (const [x, y] of numbers) assert.ok(x >= 0 && x <= 760 && y >= 0 && y <= 400, `${x} ${y}`)
})

test('a chart without points is an error', () => {
  const axis = { label: 'x' }
  assert.throws(() => lineChart({ title: 'none', x: axis, y: axis, series: [] }), /'none' has no points/)
})

test('the slope is that of the line through the points', () => {
  assert.equal(
    slopeOf([
      [0, 1],
      [1, 3],
      [2, 5],
    ]),
    2,
  )
})
