import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { Scorer } from '#contracts/schedule.ts'
import { inputsOf, portsOf, silentCandidates, watchFacts, watchReads } from './plugin-inputs.ts'

const seeds = [1, 2, 3, 4, 5, 6, 7, 8]
const poison = 12_345

/** What every scorer owes the scheduler (contracts/schedule.ts). */
export function scorerSuite(plugin: PluginDefinition): void {
  const create = (seed: number): Scorer => plugin.create(plugin.parameters.parse({}), portsOf(seed, 100)) as Scorer
  const scoresOf = (seed: number, count: number): Float64Array => {
    const { request, candidates } = inputsOf(seed, count)
    const out = new Float64Array(count + 2).fill(poison)
    create(seed).score(request, candidates, out)
    return out
  }

  test(`${plugin.type} writes a score in [0, 1] or NaN for each candidate, and nothing beyond`, () => {
    for (const seed of seeds) {
      for (const count of [1, 2, 7, 100]) {
        const out = scoresOf(seed, count)
        for (const score of out.subarray(0, count))
          assert.ok(Number.isNaN(score) || (score >= 0 && score <= 1), `${score}`)
        assert.deepEqual([...out.subarray(count)], [poison, poison])
      }
    }
  })

  test(`${plugin.type} accepts an empty set`, () => {
    assert.deepEqual([...scoresOf(1, 0)], [poison, poison])
  })

  test(`${plugin.type} changes none of its inputs`, () => {
    for (const seed of seeds) {
      const inputs = inputsOf(seed, 20)
      create(seed).score(inputs.request, inputs.candidates, new Float64Array(20))
      assert.deepEqual(inputs.state(), inputsOf(seed, 20).state())
    }
  })

  test(`${plugin.type} gives the same scores under the same seed`, () => {
    for (const seed of seeds) assert.deepEqual(scoresOf(seed, 20), scoresOf(seed, 20))
  })

  test(`${plugin.type} reads the columns and facts that it declares, and no other`, () => {
    const read = new Set<string>()
    for (const seed of seeds) {
      const { request, candidates } = inputsOf(seed, 20)
      const scorer = plugin.create(plugin.parameters.parse({}), watchFacts(portsOf(seed, 20), read)) as Scorer
      const out = new Float64Array(20)
      // Some read more when nothing is known of any endpoint, or when they have placed a request.
      scorer.score(request, watchReads(silentCandidates(20), read), out)
      scorer.placed?.(request, candidates.slots[0] ?? 0)
      scorer.score(request, watchReads(candidates, read), out)
    }
    assert.deepEqual([...read].toSorted(), [...plugin.reads].toSorted())
  })
}
