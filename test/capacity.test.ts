/** Declared capacities of endpoints, from the configuration to the shares of requests. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseDocuments } from '#config/load-documents.ts'
import { snapshotOf } from '#controller/load-snapshot.ts'
import { seededRng } from '#core/clock.ts'
import { manualClock } from '#core/manual-clock.ts'
import { isRefusal } from '#core/refusal.ts'
import { createSlotAllocator } from '#datastore/assign-slots.ts'
import { createEndpointTable } from '#datastore/endpoint-table.ts'
import { builtInProfiles } from '#plugins/built-in-profiles.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import { scheduleRequest } from '#plugins/plugin-case.ts'
import { createScheduler } from '#schedule/scheduler.ts'

function load(endpoints: string, profile: string) {
  const text = `profiles: { few: { filters: [usable], scorers: [least-request] } }
models: { m: { profile: ${profile}, endpoints: ${endpoints} } }
`
  const documents = parseDocuments({ file: 'gw.yaml', text }, {})
  return snapshotOf(documents, { env: {}, plugins, defaultProfile, builtInProfiles }, () => ['10.0.0.8', '10.0.0.9'])
}

/** Requests in flight at each endpoint after so many, none of which ends. `seen` happens before. */
function sharesOf(
  endpoints: string,
  profile: string,
  count: number,
  seen: (table: ReturnType<typeof createEndpointTable>) => void = () => undefined,
): number[] {
  const result = load(endpoints, profile)
  assert.ok(result.ok, JSON.stringify(result))
  const table = createEndpointTable()
  const snapshot = createSlotAllocator(table).assign(result.snapshot)
  seen(table)
  const clock = manualClock(1_000_000)
  const scheduler = createScheduler({ table, snapshot, plugins, rng: seededRng(1), clock })
  for (let i = 0; i < count; i++) {
    clock.advance(100)
    const request = scheduleRequest({ nowMs: clock.nowMs(), promptBytes: 2000 })
    assert.ok(!isRefusal(scheduler.pick('models/m', request, [])))
  }
  return [...table.inFlight.subarray(0, snapshot.modelServers[0]?.endpoints.length)]
}

const declared = '[{ url: http://10.0.0.1:8000, capacity: 3 }, http://10.0.0.2:8000]'
const plain = '[http://10.0.0.1:8000, http://10.0.0.2:8000]'

describe('requests are shared out by declared capacity', () => {
  test('by least-request', () => {
    assert.deepEqual(sharesOf(plain, 'few', 200), [100, 100])
    const [large = 0, small = 0] = sharesOf(declared, 'few', 200)
    // (4 + requests) / capacity is what it keeps equal.
    assert.ok(Math.abs((4 + large) / 3 - (4 + small)) <= 1, `${large} ${small}`)
  })

  test('by the house profile while it has not seen how fast they are', () => {
    const [one = 0, other = 0] = sharesOf(plain, 'house', 100)
    assert.ok(Math.abs(one - other) <= 1)
    const [large = 0, small = 0] = sharesOf(declared, 'house', 100)
    assert.ok(large >= 1.5 * small && small > 0, `${large} ${small}`)
  })

  test('and no longer when it has', () => {
    const [large = 0, small = 0] = sharesOf(declared, 'house', 100, (table) => {
      for (const slot of [0, 1]) {
        table.prefillUs[slot] = 50
        table.tpotMs[slot] = 15
      }
    })
    assert.ok(Math.abs(large - small) <= 1, `${large} ${small}`)
  })
})

describe('a declared capacity', () => {
  const capacitiesOf = (endpoints: string): (number | undefined)[] => {
    const result = load(endpoints, 'house')
    assert.ok(result.ok, JSON.stringify(result))
    return result.snapshot.modelServers[0]?.endpoints.map(({ capacity }) => capacity) ?? []
  }

  test('is that of its endpoint, and of every address of a name', () => {
    assert.deepEqual(capacitiesOf(declared), [3, undefined])
    assert.deepEqual(capacitiesOf('[{ dns: { name: engines, port: 8000 }, capacity: 0.5 }]'), [0.5, 0.5])
  })

  for (const wrong of ['0', '-1', '101', '.inf', 'much']) {
    test(`is no ${wrong}`, () => {
      const result = load(`[{ url: http://10.0.0.1:8000, capacity: ${wrong} }]`, 'house')
      assert.deepEqual(result.ok ? [] : result.problems.map(({ path, message }) => `${path}: ${message}`), [
        "models.m.endpoints[0].capacity: 'capacity' must be a number from 0.01 to 100",
      ])
    })
  }
})
