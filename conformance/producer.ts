import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { Producer } from '#contracts/schedule.ts'
import { inputsOf, portsOf } from './plugin-inputs.ts'

const seeds = [1, 2, 3, 4, 5, 6, 7, 8]

/** What every producer owes the scheduler (contracts/schedule.ts). */
export function producerSuite(plugin: PluginDefinition): void {
  test(`${plugin.type} writes facts within their ranges, and changes none of its inputs`, () => {
    for (const seed of seeds) {
      for (const count of [0, 1, 7, 100]) {
        const ports = portsOf(seed, count)
        const inputs = inputsOf(seed, count)
        const producer = plugin.create(plugin.parameters.parse({}), ports) as Producer
        producer.produce(inputs.request, inputs.candidates)
        assert.deepEqual(inputs.state(), inputsOf(seed, count).state())
        const { facts } = ports
        assert.ok(facts.promptTokens >= 1)
        for (const slot of inputs.candidates.slots) {
          const cached = facts.cachedTokens[slot] ?? Number.NaN
          assert.ok(cached >= 0 && cached <= facts.promptTokens, `${cached} of ${facts.promptTokens}`)
          assert.ok((facts.missHolders[slot] ?? -1) >= 0 && (facts.missUses[slot] ?? -1) >= 0)
        }
      }
    }
  })

  test(`${plugin.type} names what it writes`, () => {
    assert.notDeepEqual(plugin.writes ?? [], [])
  })
}
