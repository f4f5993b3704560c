import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { seededRng } from '#core/clock.ts'
import { ArrivalQueue } from './arrival-queue.ts'
import { FleetClock } from './fleet-clock.ts'
import { TokenGaps } from './run-metrics.ts'
import type { Arrival } from './virtual-fleet.ts'
import { heavyTail, length, zipf } from './workload/draws.ts'

const request = { promptTokens: 1, outputTokens: 1, blockHashes: new Float64Array(0) }
const at = (atMs: number, group = 0): Arrival => ({ atMs, group, request })

describe('the clock of a fleet', () => {
  test('fires timers in order, each at its own time, also those set on the way', () => {
    const clock = new FleetClock()
    const fired: number[] = []
    const note = (): void => void fired.push(clock.nowMs())
    clock.after(30, note)
    clock.after(10, () => {
      note()
      clock.after(5, note)
    })
    const cancelled = clock.after(20, note)
    cancelled.cancel()
    cancelled.cancel()
    clock.advanceTo(25)
    assert.deepEqual([fired, clock.nowMs()], [[10, 15], 25])
    clock.advanceTo(100)
    assert.deepEqual([fired, clock.nowMs()], [[10, 15, 30], 100])
  })
})

describe('the queue of arrivals', () => {
  test('merges what is known with what comes up, in order of time, up to the end', () => {
    const queue = new ArrivalQueue([at(1), at(5), at(9), at(20)], 10)
    for (const added of [at(7, 1), at(5, 2), at(2, 3), at(5, 4), at(10, 5)]) queue.add(added)
    const taken: (readonly [number, number])[] = []
    for (let next = queue.take(); next !== undefined; next = queue.take()) taken.push([next.atMs, next.group])
    assert.deepEqual(taken, [
      [1, 0],
      [2, 3],
      [5, 0],
      [5, 2],
      [5, 4],
      [7, 1],
      [9, 0],
    ])
    assert.equal(queue.nextMs, Number.POSITIVE_INFINITY)
  })

  test('rejects a workload whose times go back', () => {
    const queue = new ArrivalQueue([at(5), at(3)], 10)
    assert.throws(() => queue.take(), RangeError)
  })
})

describe('draws', () => {
  test("Zipf's law with 1.8 gives the first of 400 about half of the requests, with 1.1 a sixth", () => {
    for (const [exponent, share] of [
      [1.8, 0.53],
      [1.1, 0.19],
    ] as const) {
      const draw = zipf(400, exponent)
      const rng = seededRng(1)
      let first = 0
      for (let i = 0; i < 20_000; i++) if (draw(rng) === 0) first++
      assert.ok(Math.abs(first / 20_000 - share) < 0.02, `${exponent}: ${first / 20_000}`)
    }
  })

  test('lengths have the mean that was asked for, within their bounds', () => {
    const rng = seededRng(2)
    const values = Array.from({ length: 20_000 }, () => length(rng, { mean: 300, spread: 0.7, least: 16, most: 4_000 }))
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length
    assert.ok(Math.abs(mean / 300 - 1) < 0.03, `${mean}`)
    assert.ok(Math.min(...values) >= 16 && Math.max(...values) <= 4_000)
  })

  test('heavy tails are mostly short and sometimes very long', () => {
    const rng = seededRng(3)
    const values = Array.from({ length: 10_000 }, () => heavyTail(rng, 100, 60_000)).toSorted((a, b) => a - b)
    assert.ok((values[5_000] ?? 0) < 250 && (values[9_990] ?? 0) > 20_000)
    assert.ok((values[0] ?? 0) >= 100 && (values.at(-1) ?? 0) <= 60_000)
  })
})

test('gaps between tokens are counted by size, to about two in a hundred', () => {
  const gaps = new TokenGaps()
  gaps.add(20, 90)
  gaps.add(500, 10)
  gaps.add(1_000, 0)
  const { mean, p50, p90, p99 } = gaps.spread()
  assert.equal(mean, 68)
  for (const [found, wanted] of [
    [p50, 20],
    [p90, 20],
    [p99, 500],
  ] as const) {
    assert.ok(Math.abs(found / wanted - 1) < 0.02, `${found} for ${wanted}`)
  }
})
