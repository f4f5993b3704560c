import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PluginDefinition } from '#contracts/plugin.ts'
import { type ProfileHandler, type ProfileResults, profileResult, type ScheduleRequest } from '#contracts/schedule.ts'
import { type Rng, seededRng } from '#core/clock.ts'
import { inputsOf, portsOf } from './plugin-inputs.ts'

const seeds = [1, 2, 3, 4, 5, 6, 7, 8]
const counts = [1, 2, 3, 7]

interface Walk {
  /** Profiles that ran, in order. */
  readonly ran: number[]
  /** What they found, by profile. */
  readonly slots: number[]
  readonly primary: number
}

/** Lets a handler run profiles that find an endpoint half of the time, as the scheduler does. */
function walk(handler: ProfileHandler, request: ScheduleRequest, count: number, rng: Rng): Walk {
  const results = { runs: 0, slots: new Int32Array(count).fill(profileResult.notRun) }
  const ran: number[] = []
  for (;;) {
    const before = structuredClone(results)
    const index = results.runs === count ? -1 : handler.next(request, results satisfies ProfileResults)
    assert.deepEqual(results, before, 'results are read only')
    if (index < 0) break
    assert.ok(Number.isInteger(index) && index < count, `${index} of ${count}`)
    assert.equal(results.slots[index], profileResult.notRun, 'a profile runs once')
    ran.push(index)
    results.runs++
    results.slots[index] = rng() < 0.5 ? Math.floor(rng() * 4096) : profileResult.none
  }
  return { ran, slots: [...results.slots], primary: handler.primary(request, results) }
}

/** What every profile handler owes the scheduler (contracts/schedule.ts). */
export function profileHandlerSuite(plugin: PluginDefinition): void {
  const create = (count: number): ProfileHandler => {
    const profiles = Array.from({ length: count }, (_, index) => `profile-${index}`)
    return plugin.create(plugin.parameters.parse({}), { ...portsOf(1, 0), profiles }) as ProfileHandler
  }
  const requestOf = (seed: number, count: number): ScheduleRequest => ({
    ...inputsOf(seed, 0).request,
    headers: ['epp-profile', `profile-${seed % (count + 1)}`],
  })

  test(`${plugin.type} lets each profile run once at most, and serves by one that found an endpoint, or by none`, () => {
    for (const seed of seeds) {
      for (const count of counts) {
        const { slots, primary } = walk(create(count), requestOf(seed, count), count, seededRng(seed))
        assert.ok(primary === -1 || (slots[primary] ?? -1) > profileResult.none, `${primary} of ${slots.join()}`)
      }
    }
  })

  test(`${plugin.type} lets a single profile run and serve, whatever the request says`, () => {
    for (const seed of seeds) {
      const { ran, slots, primary } = walk(create(1), requestOf(seed, 9), 1, seededRng(seed))
      assert.deepEqual([ran, primary], [[0], (slots[0] ?? -1) > profileResult.none ? 0 : -1])
    }
  })

  test(`${plugin.type} keeps nothing of a request, and changes none of its inputs`, () => {
    for (const count of counts) {
      const handler = create(count)
      for (const seed of seeds) {
        const request = requestOf(seed, count)
        const before = structuredClone(request)
        assert.deepEqual(
          walk(handler, request, count, seededRng(seed)),
          walk(create(count), request, count, seededRng(seed)),
        )
        assert.deepEqual(request, before)
      }
    }
  })
}
