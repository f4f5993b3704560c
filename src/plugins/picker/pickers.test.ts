import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { Picker } from '#contracts/schedule.ts'
import { seededRng } from '#core/clock.ts'
import { candidatesOf, pluginPorts, scheduleRequest } from '#plugins/plugin-case.ts'
import { maxScore } from './max-score.ts'
import { random } from './random.ts'
import { weightedRandom } from './weighted-random.ts'

const draws = 30_000

/** Share of the picks by index. */
function sharesOf(
  plugin: PluginDefinition,
  scores: readonly number[],
  parameters: Record<string, unknown> = {},
): number[] {
  const picker = plugin.create(plugin.parameters.parse(parameters), pluginPorts(seededRng(7))) as Picker
  const candidates = candidatesOf(scores.map(() => ({})))
  const counts = scores.map(() => 0)
  for (let i = 0; i < draws; i++) {
    const index = picker.pick(scheduleRequest(), candidates, Float64Array.from(scores))
    counts[index] = (counts[index] ?? Number.NaN) + 1
  }
  return counts.map((count) => count / draws)
}

describe('a picker chooses by', () => {
  const third = 1 / 3
  const cases: {
    name: string
    plugin: PluginDefinition
    scores: number[]
    parameters?: Record<string, unknown>
    shares: number[]
  }[] = [
    { name: 'greatest score', plugin: maxScore, scores: [0.2, 0.9, 0.3], shares: [0, 1, 0] },
    { name: 'chance among equals', plugin: maxScore, scores: [2, 1, 2, 2], shares: [third, 0, third, third] },
    { name: 'chance when all are zero', plugin: maxScore, scores: [0, 0], shares: [0.5, 0.5] },
    {
      name: 'chance among scores within epsilon',
      plugin: maxScore,
      scores: [1, 0.95, 0.8],
      parameters: { epsilon: 0.1 },
      shares: [0.5, 0.5, 0],
    },
    { name: 'chance alone', plugin: random, scores: [0, 1, 0.5], shares: [third, third, third] },
    {
      name: 'chance in proportion to the scores',
      plugin: weightedRandom,
      scores: [3, 1, 0],
      parameters: { sharpness: 1 },
      shares: [0.75, 0.25, 0],
    },
    {
      name: 'chance in proportion to a power of the scores',
      plugin: weightedRandom,
      scores: [2, 1],
      parameters: { sharpness: 2 },
      shares: [0.8, 0.2],
    },
    { name: 'chance without any score', plugin: weightedRandom, scores: [0, 0], shares: [0.5, 0.5] },
    { name: 'nothing when there is one', plugin: weightedRandom, scores: [0.4], shares: [1] },
  ]
  for (const { name, plugin, scores, parameters, shares } of cases) {
    test(`${name} (${plugin.type})`, () => {
      const found = sharesOf(plugin, scores, parameters)
      // 30,000 draws: a standard deviation is at most 0.003.
      for (const [i, share] of shares.entries()) {
        assert.ok(Math.abs((found[i] ?? Number.NaN) - share) < (share % 1 === 0 ? 1e-12 : 0.015), found.join(' '))
      }
    })
  }
})
