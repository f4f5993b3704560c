import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { Picker } from '#contracts/schedule.ts'
import { seededRng } from '#core/clock.ts'
import { rankNext } from '#schedule/ranking.ts'
import { inputsOf, portsOf } from './plugin-inputs.ts'

const seeds = [1, 2, 3, 4, 5, 6, 7, 8]

function totalsOf(seed: number, count: number): Float64Array {
  const rng = seededRng(seed)
  // Few distinct values, so that there are ties.
  return Float64Array.from({ length: count }, () => Math.floor(rng() * 4) / 2)
}

/** What every picker owes the scheduler (contracts/schedule.ts). */
export function pickerSuite(plugin: PluginDefinition): void {
  const create = (seed: number): Picker => plugin.create(plugin.parameters.parse({}), portsOf(seed, 100)) as Picker
  const picksOf = (seed: number, count: number): number[] => {
    const { request, candidates } = inputsOf(seed, count)
    const picker = create(seed)
    return Array.from({ length: 50 }, () => picker.pick(request, candidates, totalsOf(seed, count)))
  }

  test(`${plugin.type} returns an index of a candidate`, () => {
    for (const seed of seeds) {
      for (const count of [1, 2, 7, 100]) {
        for (const index of picksOf(seed, count)) assert.ok(Number.isInteger(index) && index >= 0 && index < count)
      }
    }
  })

  test(`${plugin.type} accepts scores that are all zero`, () => {
    const { request, candidates } = inputsOf(1, 5)
    const index = create(1).pick(request, candidates, new Float64Array(5))
    assert.ok(index >= 0 && index < 5)
  })

  test(`${plugin.type} never returns what lies beyond the count, whatever its score`, () => {
    for (const seed of seeds) {
      const { request, candidates } = inputsOf(seed, 5)
      const scores = Float64Array.from([0.1, 0.2, 0.3, 9, 9])
      candidates.count = 3
      const picker = create(seed)
      for (let i = 0; i < 50; i++) assert.ok(picker.pick(request, candidates, scores) < 3)
    }
  })

  test(`${plugin.type} changes none of its inputs`, () => {
    for (const seed of seeds) {
      const inputs = inputsOf(seed, 20)
      const scores = totalsOf(seed, 20)
      create(seed).pick(inputs.request, inputs.candidates, scores)
      assert.deepEqual(inputs.state(), inputsOf(seed, 20).state())
      assert.deepEqual(scores, totalsOf(seed, 20))
    }
  })

  test(`${plugin.type} picks the same under the same seed`, () => {
    for (const seed of seeds) assert.deepEqual(picksOf(seed, 20), picksOf(seed, 20))
  })

  test(`${plugin.type} leaves the others to be ranked: none twice, not the one picked, the best of them first`, () => {
    for (const seed of seeds) {
      for (const count of [1, 2, 3, 4, 7, 100]) {
        const { request, candidates } = inputsOf(seed, count)
        const totals = totalsOf(seed, count)
        const picker = create(seed)
        const picked = picker.pick(request, candidates, totals)
        const { tolerance = 0 } = picker
        assert.ok(tolerance >= 0 && tolerance <= 1, `${tolerance}`)
        const { slots } = rankNext(candidates, totals, picked, tolerance)
        assert.equal(slots.length, Math.min(3, count - 1))
        assert.equal(new Set([...slots, candidates.slots[picked]]).size, slots.length + 1)
        const totalOf = (slot: number): number => totals[candidates.slots.indexOf(slot)] ?? Number.NaN
        const others = totals.filter((_, index) => index !== picked)
        const [best] = slots
        if (best !== undefined) assert.ok(totalOf(best) >= Math.max(...others) / (1 + tolerance))
      }
    }
  })
}
