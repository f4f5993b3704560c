import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { health } from '#core/endpoint.ts'
import { createEndpointTable } from '#datastore/endpoint-table.ts'
import { firstUnchanged, noRanking, rankingBehind, rankNext } from './ranking.ts'

/** Slot of the endpoint at an index: never the index itself. */
function slotAt(index: number): number {
  return 3 * index + 2
}

/** The indexes of those ranked behind `picked`. */
function rankedOf(
  totals: readonly number[],
  picked: number,
  tolerance = 0,
  inFlight: readonly number[] = [],
): number[] {
  const loads = createEndpointTable()
  for (const [index, requests] of inFlight.entries()) loads.inFlight[slotAt(index)] = requests
  const candidates = { slots: Int32Array.from(totals, (_, index) => slotAt(index)), count: totals.length, loads }
  return rankNext(candidates, Float64Array.from(totals), picked, tolerance).slots.map((slot) => (slot - 2) / 3)
}

describe('those that were not picked are ranked', () => {
  const cases: {
    name: string
    totals: number[]
    picked: number
    tolerance?: number
    inFlight?: number[]
    ranked: number[]
  }[] = [
    { name: 'by their totals', totals: [0.1, 1, 0.5, 0.7], picked: 1, ranked: [3, 2, 0] },
    { name: 'three at most', totals: [5, 4, 3, 2, 1], picked: 0, ranked: [1, 2, 3] },
    { name: 'without the one picked, though others are better', totals: [3, 1, 2], picked: 1, ranked: [0, 2] },
    { name: 'as nobody when there is no other', totals: [1], picked: 0, ranked: [] },
    {
      name: 'with fewer requests first among equals',
      totals: [1, 1, 1, 1],
      picked: 0,
      inFlight: [0, 5, 2, 9],
      ranked: [2, 1, 3],
    },
    {
      name: 'in turn behind the one picked when nothing tells them apart',
      totals: [1, 1, 1, 1],
      picked: 2,
      ranked: [3, 0, 1],
    },
    {
      name: 'as equals within the tolerance of the picker, by their requests',
      totals: [1, 0.99, 0.985, 0.5],
      picked: 0,
      tolerance: 0.02,
      inFlight: [0, 5, 2, 0],
      ranked: [2, 1, 3],
    },
    {
      name: 'and no tolerance beyond the best of them counts',
      totals: [1, 0.8, 0.5, 0.495],
      picked: 0,
      tolerance: 0.02,
      inFlight: [0, 0, 9, 0],
      ranked: [1, 2, 3],
    },
    { name: 'when all totals are zero', totals: [0, 0, 0], picked: 0, ranked: [1, 2] },
  ]
  for (const { name, totals, picked, tolerance, inFlight, ranked } of cases) {
    test(name, () => assert.deepEqual(rankedOf(totals, picked, tolerance, inFlight), ranked))
  }

  test('as sorting all of them would, whatever they are', () => {
    const few = fc.constantFrom(0, 0.25, 0.5, 0.495, 1)
    const rows = fc.array(fc.record({ total: few, inFlight: fc.nat(3) }), { minLength: 2, maxLength: 12 })
    const property = fc.property(rows, fc.nat(), fc.constantFrom(0, 0.02), (list, at, tolerance) => {
      const picked = at % list.length
      const others = list.map((row, index) => ({ ...row, index })).filter(({ index }) => index !== picked)
      const near = Math.max(...others.map(({ total }) => total)) / (1 + tolerance)
      const levelOf = (total: number): number => (total >= near ? Number.POSITIVE_INFINITY : total)
      const turn = (index: number): number => (index - picked + list.length) % list.length
      const sorted = others.toSorted(
        (a, b) =>
          (levelOf(a.total) === levelOf(b.total) ? 0 : levelOf(b.total) - levelOf(a.total)) ||
          a.inFlight - b.inFlight ||
          turn(a.index) - turn(b.index),
      )
      const expected = sorted.slice(0, 3).map(({ index }) => index)
      const found = rankedOf(
        list.map(({ total }) => total),
        picked,
        tolerance,
        list.map(({ inFlight }) => inFlight),
      )
      assert.deepEqual(found, expected)
    })
    fc.assert(property, { numRuns: 500, seed: 7 })
  })
})

describe('the next best is taken while it is what it was:', () => {
  const [a, b, c] = [slotAt(0), slotAt(1), slotAt(2)]
  const ranking = { slots: [b, a, c], inFlight: [3, 0, 0] }
  const cases: {
    name: string
    ageMs?: number
    change?: (table: ReturnType<typeof createEndpointTable>) => void
    left?: number[]
    position: number
  }[] = [
    { name: 'at once', position: 0 },
    { name: 'for a tenth of a second', ageMs: 100, position: 0 },
    { name: 'not after that', ageMs: 100.1, position: -1 },
    { name: 'with one request more', change: ({ inFlight }) => void (inFlight[b] = 4), position: 0 },
    { name: 'not with two', change: ({ inFlight }) => void (inFlight[b] = 5), position: 1 },
    { name: 'with fewer', change: ({ inFlight }) => void (inFlight[b] = 0), position: 0 },
    { name: 'not when it is unready', change: (table) => void (table.health[b] = health.unready), position: 1 },
    { name: 'not when it is ejected', change: ({ ejected }) => void (ejected[b] = 1), position: 1 },
    { name: 'not when a filter or an earlier try has left it out', left: [a, c], position: 1 },
    { name: 'nobody when none of them is left', left: [slotAt(5)], position: -1 },
  ]
  for (const { name, ageMs = 1, change, left = [a, b, c], position } of cases) {
    test(name, () => {
      const table = createEndpointTable()
      table.inFlight[b] = 3
      change?.(table)
      const candidates = { slots: Int32Array.from(left), count: left.length, loads: table }
      assert.equal(firstUnchanged(ranking, ageMs, candidates, table), position)
    })
  }

  test('what is left behind it is good for the try after', () => {
    assert.deepEqual(rankingBehind(ranking, 0), { slots: [a, c], inFlight: [0, 0] })
    assert.deepEqual(rankingBehind(ranking, 2), noRanking)
  })
})
