import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ProfilePlan } from '#config/snapshot.ts'
import type { ScheduleRequest } from '#contracts/schedule.ts'
import { seededRng } from '#core/clock.ts'
import { health } from '#core/endpoint.ts'
import { manualClock } from '#core/manual-clock.ts'
import { isRefusal } from '#core/refusal.ts'
import { createSlotAllocator } from '#datastore/assign-slots.ts'
import { createEndpointTable, type EndpointTable } from '#datastore/endpoint-table.ts'
import { type Lease, openLeases } from '#datastore/lease.ts'
import { modelServerPlan, snapshotOf } from '#datastore/snapshot-case.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import { scheduleRequest } from '#plugins/plugin-case.ts'
import { producersOf } from '#schedule/producers-of.ts'
import { createScheduler } from '#schedule/scheduler.ts'

interface Fleet {
  readonly table: EndpointTable
  /** Picks and keeps the lease; returns the slot. */
  pick(given?: Partial<ScheduleRequest>): number
  readonly leases: Lease[]
  /** Lets the scheduler see the endpoints long before: who has not reported by now does not report. */
  notice(): void
}

function fleetOf(size: number, seed = 1): Fleet {
  const table = createEndpointTable()
  const rng = seededRng(seed)
  const ids = Array.from({ length: size }, (_, i) => `h:${i + 1}`)
  const profile: ProfilePlan = defaultProfile
  const unassigned = snapshotOf([modelServerPlan('a/a', ids)], { profiles: { default: profile } })
  const snapshot = createSlotAllocator(table).assign(unassigned)
  const scheduler = createScheduler({ table, snapshot, plugins, rng, clock: manualClock(1_000_000) })
  const leases: Lease[] = []
  const notice = (): void => {
    const result = scheduler.pick('a/a', scheduleRequest({ nowMs: 900_000 }), [])
    if (!isRefusal(result)) result.lease.release()
  }
  return {
    table,
    leases,
    notice,
    pick(given) {
      const result = scheduler.pick('a/a', scheduleRequest(given), [])
      assert.ok(!isRefusal(result))
      leases.push(result.lease)
      return result.endpoint.slot
    },
  }
}

function spread({ table }: Fleet, size: number): number {
  const counts = table.inFlight.subarray(0, size)
  return Math.max(...counts) - Math.min(...counts)
}

describe('with the default profile', () => {
  test('prompts are hashed once: the producer of another gateway once ran beside its own, and overruled it', () => {
    assert.deepEqual(
      producersOf(defaultProfile, plugins).map(({ type }) => type),
      ['prefix'],
    )
  })

  for (const size of [1, 2, 3, 7, 100]) {
    test(`1,000 requests at once differ by at most one over ${size} equal endpoints`, () => {
      const fleet = fleetOf(size)
      for (let i = 0; i < 1000; i++) {
        fleet.pick()
        assert.ok(spread(fleet, size) <= 1)
      }
    })
  }

  test('a burst spreads although the last report calls all idle', () => {
    const fleet = fleetOf(4)
    for (const column of [fleet.table.running, fleet.table.waiting, fleet.table.kvUse, fleet.table.inFlightAtReport]) {
      column.fill(0, 0, 4)
    }
    for (let i = 0; i < 1000; i++) fleet.pick()
    assert.ok(spread(fleet, 4) <= 1)
  })

  test('equal endpoints are chosen with equal chance, whatever their position', () => {
    const fleet = fleetOf(5)
    const counts = [0, 0, 0, 0, 0]
    for (let i = 0; i < 20_000; i++) {
      const slot = fleet.pick()
      counts[slot] = (counts[slot] ?? Number.NaN) + 1
      fleet.leases.pop()?.release()
    }
    for (const count of counts) assert.ok(Math.abs(count / 20_000 - 0.2) < 0.015, counts.join(' '))
  })

  test('requests that come and go in any order leave no lease', () => {
    const fleet = fleetOf(7)
    const rng = seededRng(5)
    for (let i = 0; i < 5000; i++) {
      if (rng() < 0.5) fleet.pick({ promptBytes: Math.floor(rng() * 1e6) })
      const [lease] = fleet.leases.splice(Math.floor(rng() * fleet.leases.length), rng() < 0.5 ? 1 : 0)
      if (rng() < 0.5) lease?.firstByte(i)
      if (rng() < 0.2) lease?.failed(i)
      lease?.release()
      if (rng() < 0.1) lease?.release()
      assert.equal(openLeases(fleet.table), fleet.leases.length)
    }
    for (const lease of fleet.leases) lease.release()
    assert.equal(openLeases(fleet.table), 0)
    assert.deepEqual([...fleet.table.uncachedTokens.subarray(0, 7)], [0, 0, 0, 0, 0, 0, 0])
  })

  test('requests of others on an engine count like ours', () => {
    const fleet = fleetOf(2)
    fleet.table.running.set([12, 0])
    fleet.table.waiting.set([0, 0])
    fleet.table.inFlightAtReport.set([0, 0])
    const slots = Array.from({ length: 12 }, () => fleet.pick())
    assert.deepEqual(slots, Array(12).fill(1))
  })

  test('a full KV cache sends requests elsewhere', () => {
    const fleet = fleetOf(2)
    fleet.table.kvUse.set([1, 0.2])
    assert.deepEqual(
      Array.from({ length: 3 }, () => fleet.pick()),
      [1, 1, 1],
    )
  })

  test('a slow endpoint gets fewer requests, but some', () => {
    const fleet = fleetOf(2)
    fleet.table.ttftMs.set([2000, 200])
    fleet.table.tpotMs.set([100, 20])
    fleet.table.observedAtMs.set([999_000, 999_000])
    fleet.notice()
    for (let i = 0; i < 40; i++) fleet.pick()
    const [slow = Number.NaN, fast = Number.NaN] = fleet.table.inFlight
    assert.ok(slow >= 10 && slow <= 17 && slow + fast === 40, `${slow}`)
  })

  test('an adapter stays where it is loaded until that endpoint is full, and then spreads', () => {
    const fleet = fleetOf(2)
    fleet.table.maxAdapters.set([4, 4])
    fleet.table.adapterCount.set([0, 0])
    fleet.notice()
    const first = fleet.pick({ adapter: 3 })
    const slots = Array.from({ length: 40 }, () => fleet.pick({ adapter: 3 }))
    assert.deepEqual(new Set(slots.slice(0, 10)), new Set([first]))
    assert.ok(slots.filter((slot) => slot !== first).length >= 10, slots.join(' '))
  })

  test('an adapter is not loaded in place of another while its holder has a dozen requests', () => {
    const fleet = fleetOf(2)
    fleet.table.maxAdapters.set([1, 1])
    fleet.table.adapterCount.set([0, 1])
    const slots = Array.from({ length: 12 }, () => fleet.pick({ adapter: 3 }))
    assert.deepEqual(new Set(slots), new Set([0]))
  })

  test('no request goes to an unready endpoint, and none to a resting one while another is left', () => {
    const fleet = fleetOf(3)
    fleet.table.health[0] = health.unready
    fleet.table.restUntilMs[1] = 1_000_001
    assert.deepEqual(new Set(Array.from({ length: 50 }, () => fleet.pick())), new Set([2]))
    fleet.table.health[2] = health.unready
    assert.equal(fleet.pick(), 1)
  })
})
