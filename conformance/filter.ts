import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { Filter } from '#contracts/schedule.ts'
import { inputsOf, portsOf, watchFacts, watchReads } from './plugin-inputs.ts'

const seeds = [1, 2, 3, 4, 5, 6, 7, 8]

/** What every filter owes the scheduler (contracts/schedule.ts). */
export function filterSuite(plugin: PluginDefinition): void {
  const create = (seed: number): Filter => plugin.create(plugin.parameters.parse({}), portsOf(seed, 100)) as Filter
  const leftOf = (seed: number, count: number): { before: number[]; left: number[] } => {
    const { request, candidates } = inputsOf(seed, count)
    const before = [...candidates.slots.subarray(0, count)]
    create(seed).filter(request, candidates)
    assert.ok(Number.isInteger(candidates.count) && candidates.count >= 0 && candidates.count <= count)
    return { before, left: [...candidates.slots.subarray(0, candidates.count)] }
  }

  test(`${plugin.type} leaves some of the candidates, each once and in order`, () => {
    for (const seed of seeds) {
      for (const count of [1, 2, 7, 100]) {
        const { before, left } = leftOf(seed, count)
        assert.deepEqual(
          left,
          before.filter((slot) => left.includes(slot)),
        )
      }
    }
  })

  test(`${plugin.type} accepts an empty set`, () => {
    assert.deepEqual(leftOf(1, 0), { before: [], left: [] })
  })

  test(`${plugin.type} changes neither loads nor request`, () => {
    for (const seed of seeds) {
      const inputs = inputsOf(seed, 20)
      create(seed).filter(inputs.request, inputs.candidates)
      assert.deepEqual(inputs.state().columns, inputsOf(seed, 20).state().columns)
      assert.deepEqual(inputs.state().request, inputsOf(seed, 20).state().request)
    }
  })

  test(`${plugin.type} does the same under the same seed, and nothing more when asked again`, () => {
    for (const seed of seeds) {
      assert.deepEqual(leftOf(seed, 20), leftOf(seed, 20))
      const { request, candidates } = inputsOf(seed, 20)
      const filter = create(seed)
      filter.filter(request, candidates)
      const once = [...candidates.slots.subarray(0, candidates.count)]
      filter.filter(request, candidates)
      assert.deepEqual([...candidates.slots.subarray(0, candidates.count)], once)
    }
  })

  test(`${plugin.type} reads the columns and facts that it declares, and no other`, () => {
    const read = new Set<string>()
    for (const seed of seeds) {
      const { request, candidates } = inputsOf(seed, 20)
      const filter = plugin.create(plugin.parameters.parse({}), watchFacts(portsOf(seed, 20), read)) as Filter
      filter.filter(request, watchReads(candidates, read))
    }
    assert.deepEqual([...read].toSorted(), [...plugin.reads].toSorted())
  })
}
