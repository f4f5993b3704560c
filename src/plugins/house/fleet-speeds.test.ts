import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { candidatesOf, type LoadRow, slotAt } from '#plugins/plugin-case.ts'
import { housePriors } from './constants.ts'
import { FleetSpeeds } from './fleet-speeds.ts'

/** Slowness of prefill and of a decode step of each endpoint, over the priors. */
function slownessOf(rows: readonly LoadRow[], capacities?: readonly number[]): { prefill: number[]; step: number[] } {
  const bySlot = capacities === undefined ? undefined : new Float64Array(slotAt(rows.length)).fill(1)
  for (const [index, capacity] of (capacities ?? []).entries()) bySlot?.set([capacity], slotAt(index))
  const speeds = new FleetSpeeds(bySlot)
  const { slots, loads, count } = candidatesOf(rows)
  speeds.measure({ slots, loads, count })
  const round = (value: number): number => Math.round(value * 1000) / 1000
  return {
    prefill: Array.from(slots, (slot) =>
      round((speeds.prefillFactor(slot, loads.prefillUs[slot] ?? Number.NaN) * speeds.prefillS) / housePriors.prefillS),
    ),
    step: Array.from(slots, (slot) =>
      round(speeds.stepS(slot, loads.tpotMs[slot] ?? Number.NaN, 0) / housePriors.stepFloorS),
    ),
  }
}

const prefillUs = housePriors.prefillS * 1e6
const tpotMs = housePriors.stepFloorS * 1e3

describe('the slowness of endpoints', () => {
  const cases: { name: string; rows: LoadRow[]; capacities?: number[]; slowness: number[] }[] = [
    { name: 'is that of the priors while nothing is known', rows: [{}, {}], slowness: [1, 1] },
    {
      name: 'is what was learned, beyond the dead band',
      rows: [
        { prefillUs: 3 * prefillUs, tpotMs: 3 * tpotMs },
        { prefillUs, tpotMs },
      ],
      slowness: [3, 1],
    },
    {
      name: 'follows declared capacities, the priors being those of the mean',
      rows: [{}, {}],
      capacities: [1, 3],
      slowness: [1.5, 0.5],
    },
    { name: 'is the same when all declare the same', rows: [{}, {}], capacities: [8, 8], slowness: [1, 1] },
    {
      name: 'is learned whatever was declared',
      rows: [
        { prefillUs, tpotMs },
        { prefillUs: 4 * prefillUs, tpotMs: 4 * tpotMs },
      ],
      capacities: [1, 100],
      slowness: [1, 4],
    },
    {
      name: 'of one whose tokens came at once is that of the others: its answers cost nothing',
      rows: [
        { prefillUs: 0, tpotMs: 0 },
        { prefillUs: 2 * prefillUs, tpotMs: 2 * tpotMs },
      ],
      slowness: [2, 2],
    },
    {
      name: 'of one that is new is in proportion to those that are known',
      rows: [{ prefillUs: 2 * prefillUs, tpotMs: 2 * tpotMs }, {}, {}],
      capacities: [1, 2, 0.5],
      slowness: [2, 1, 4],
    },
  ]
  for (const { name, rows, capacities, slowness } of cases) {
    test(name, () => assert.deepEqual(slownessOf(rows, capacities), { prefill: slowness, step: slowness }))
  }
})
