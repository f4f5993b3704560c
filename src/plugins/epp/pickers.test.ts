import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Rng, seededRng } from '#core/clock.ts'
import { candidatesOf, pluginPorts, scheduleRequest } from '#plugins/plugin-case.ts'
import { maxScorePicker } from './max-score-picker.ts'
import { randomPicker } from './random-picker.ts'
import { weightedRandomPicker } from './weighted-random-picker.ts'

type Definition = typeof maxScorePicker

/** How often each index is picked in 10,000 decisions, in percent. */
function shares(plugin: Definition, scores: readonly number[], rng: Rng = seededRng(7)): number[] {
  const picker = plugin.create(plugin.parameters.parse({}), pluginPorts(rng))
  const counts = scores.map(() => 0)
  const candidates = candidatesOf(scores.map(() => ({})))
  for (let i = 0; i < 10_000; i++) {
    const picked = picker.pick(scheduleRequest(), candidates, Float64Array.from(scores))
    counts[picked] = (counts[picked] ?? 0) + 1
  }
  return counts.map((count) => Math.round(count / 100))
}

function near(actual: readonly number[], expected: readonly number[]): void {
  for (const [i, share] of actual.entries()) assert.ok(Math.abs(share - (expected[i] ?? 0)) <= 2, actual.join())
}

test('max-score-picker takes the greatest, and any of several', () => {
  assert.deepEqual(shares(maxScorePicker, [1, 3, 2]), [0, 100, 0])
  near(shares(maxScorePicker, [3, 1, 3, 3]), [33, 0, 33, 33])
  assert.deepEqual(shares(maxScorePicker, [0]), [100])
})

test('random-picker takes any, whatever the scores', () => {
  near(shares(randomPicker, [9, 0, 0, 0]), [25, 25, 25, 25])
})

test('weighted-random-picker takes each in proportion to its score', () => {
  near(shares(weightedRandomPicker, [6, 3, 1, 0]), [60, 30, 10, 0])
  near(shares(weightedRandomPicker, [0, 0]), [50, 50])
  assert.deepEqual(
    shares(weightedRandomPicker, [0, 2], () => 0.999_999_999),
    [0, 100],
  )
})

test('a list of endpoints is asked for with a caution, and may not be empty', () => {
  for (const plugin of [maxScorePicker, randomPicker, weightedRandomPicker]) {
    assert.equal(plugin.caution?.({ maxNumOfEndpoints: 1 }), undefined)
    assert.match(plugin.caution?.({ maxNumOfEndpoints: 3 }) ?? '', /one endpoint/)
    assert.equal(plugin.parameters.safeParse({ maxNumOfEndpoints: 0 }).success, false)
  }
})
