import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { Filter, PlacementEnd, PluginPorts, ScheduleRequest, Scorer } from '#contracts/schedule.ts'
import { sessionAffinityFilter } from '#plugins/epp/session-affinity-filter.ts'
import { sessionAffinityScorer } from '#plugins/epp/session-affinity-scorer.ts'
import { candidatesOf, leftOf, pluginPorts, scheduleRequest, slotAt } from '#plugins/plugin-case.ts'
import { sessionAffinity } from '#plugins/session/session-affinity.ts'
import { createSessionMemory } from '#struct/session-table.ts'

const ttlMs = 300_000
const served: PlacementEnd = { isAnswered: true, outputTokens: 5 }
const failed: PlacementEnd = { isAnswered: false, outputTokens: Number.NaN }

/** A plug-in that keeps sessions where they were served, by an id that the client sends. */
interface Keeper {
  readonly plugin: PluginDefinition
  readonly parameters: object
}

const byId = { strategy: 'session_id', sessionIdConfig: { sources: [{ header: 'x-id' }] } }
const keepers: readonly Keeper[] = [
  { plugin: sessionAffinity, parameters: { ttlMs } },
  { plugin: sessionAffinityScorer, parameters: byId },
  { plugin: sessionAffinityFilter, parameters: byId },
]

const endpointOf =
  (host: string): PluginPorts['endpointOf'] =>
  (slot) => ({ id: `${host}:${slot}`, host, port: slot, role: 'both', labels: {} })

class Case {
  readonly #point: string
  readonly #made: Scorer & Filter

  constructor({ plugin, parameters }: Keeper, given: Partial<PluginPorts> = {}) {
    const ports = { ...pluginPorts(), endpointOf: endpointOf('h'), ...given }
    this.#point = plugin.point
    this.#made = plugin.create(plugin.parameters.parse(parameters), ports) as Scorer & Filter
  }

  serve(id: string, index: number, nowMs = 1000) {
    return this.#made.placed?.(requestOf(id, nowMs), slotAt(index))
  }

  /** The one of `count` endpoints that the session is to go to; undefined when it may go anywhere. */
  home(id: string, nowMs = 1000, count = 3): number | undefined {
    const candidates = candidatesOf(Array.from({ length: count }, () => ({})))
    if (this.#point === 'filter') {
      this.#made.filter(requestOf(id, nowMs), candidates)
      return candidates.count === count ? undefined : leftOf(candidates)[0]
    }
    const out = new Float64Array(count)
    this.#made.score(requestOf(id, nowMs), candidates, out)
    const best = out.indexOf(1)
    assert.ok(out.every((score, i) => (best < 0 ? Number.isNaN(score) : score === (i === best ? 1 : 0))))
    return best < 0 ? undefined : best
  }
}

function requestOf(id: string, nowMs: number): ScheduleRequest {
  return scheduleRequest({ session: id, headers: ['x-id', id], nowMs })
}

for (const keeper of keepers) {
  describe(`sessions with ${keeper.plugin.type}`, () => {
    test('go where they were served last', () => {
      const one = new Case(keeper)
      assert.equal(one.home('a'), undefined)
      one.serve('a', 1)?.ended(served)
      one.serve('b', 2)
      assert.deepEqual([one.home('a'), one.home('b'), one.home('c')], [1, 2, undefined])
      one.serve('a', 0)
      assert.equal(one.home('a'), 0)
    })

    test('go anywhere when that is gone, has failed them, or is another endpoint by now', () => {
      const sessionMemory = createSessionMemory()
      const one = new Case(keeper, { sessionMemory })
      one.serve('a', 2)
      assert.equal(one.home('a', 1000, 2), undefined)
      assert.equal(new Case(keeper, { sessionMemory, endpointOf: endpointOf('other') }).home('a'), undefined)
      one.serve('a', 1)?.ended(failed)
      assert.equal(one.home('a'), undefined)
    })

    test('are kept where they went since, when an earlier request of theirs fails', () => {
      const one = new Case(keeper)
      const first = one.serve('a', 1)
      one.serve('a', 2)
      first?.ended(failed)
      assert.equal(one.home('a'), 2)
    })

    test('end when they have been silent', () => {
      const one = new Case(keeper)
      one.serve('a', 1, 1000)
      one.serve('a', 1, 200_000)
      assert.equal(one.home('a', 200_000 + ttlMs), 1)
      assert.equal(one.home('a', 200_001 + ttlMs), undefined)
    })

    test('are the same for all threads and after a change of the configuration', () => {
      const sessionMemory = createSessionMemory()
      new Case(keeper, { sessionMemory }).serve('a', 1)
      for (const other of keepers) assert.equal(new Case(other, { sessionMemory }).home('a'), 1, other.plugin.type)
    })

    test('are remembered up to a number, the last ones first', () => {
      const one = new Case(keeper)
      for (let i = 0; i < 130_000; i++) one.serve(`s${i}`, i % 3, 1000 + i / 1000)
      let kept = 0
      for (let i = 100_000; i < 130_000; i += 10) if (one.home(`s${i}`, 1300) === i % 3) kept++
      assert.ok(kept > 0.75 * 3000, `${kept} of 3,000 among the last 30,000`)
      assert.equal(one.home('s5', 1300), undefined)
    })
  })
}
