import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ScheduleRequest } from '#contracts/schedule.ts'
import { seededRng } from '#core/clock.ts'
import { manualClock } from '#core/manual-clock.ts'
import { isRefusal } from '#core/refusal.ts'
import { createSlotAllocator } from '#datastore/assign-slots.ts'
import { createEndpointTable } from '#datastore/endpoint-table.ts'
import type { Lease } from '#datastore/lease.ts'
import { modelServerPlan, snapshotOf } from '#datastore/snapshot-case.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import { scheduleRequest } from '#plugins/plugin-case.ts'
import { createScheduler } from '#schedule/scheduler.ts'

const size = 8
const seeds = [1, 2, 3, 4, 5]
const cold = 3

/** Eight idle engines that report, with room for four adapters each, `taken` of which are others. */
function fleetOf(seed: number, taken = 0) {
  const table = createEndpointTable()
  const ids = Array.from({ length: size }, (_, i) => `h:${i + 1}`)
  const unassigned = snapshotOf([modelServerPlan('a/a', ids)], { profiles: { default: defaultProfile } })
  const snapshot = createSlotAllocator(table).assign(unassigned)
  const clock = manualClock(1_000_000)
  const scheduler = createScheduler({ table, snapshot, plugins, rng: seededRng(seed), clock })
  for (const column of [table.running, table.waiting, table.inFlightAtReport]) column.fill(0, 0, size)
  table.reportedAtMs.fill(999_900, 0, size)
  table.kvUse.fill(0.05, 0, size)
  table.blockSize.fill(16, 0, size)
  table.blockCount.fill(30_000, 0, size)
  table.maxAdapters.fill(4, 0, size)
  table.adapterCount.fill(taken, 0, size)
  const leases: Lease[] = []
  return {
    leases,
    /** Requests in the same moment; how many went to each endpoint that got any. */
    burst(count: number, given: Partial<ScheduleRequest>): ReadonlyMap<number, number> {
      const bySlot = new Map<number, number>()
      for (let i = 0; i < count; i++) {
        const pick = scheduler.pick('a/a', scheduleRequest(given), [])
        assert.ok(!isRefusal(pick))
        leases.push(pick.lease)
        const { slot } = pick.endpoint
        bySlot.set(slot, (bySlot.get(slot) ?? 0) + 1)
      }
      return bySlot
    },
  }
}

const short = { adapter: cold, promptBytes: 800 }
const long = { adapter: cold, promptBytes: 4000 }

describe('a burst for an adapter that is loaded nowhere, with the default profile', () => {
  for (const [what, busy, taken] of [
    ['idle engines', 0, 0],
    ['busy engines', 80, 0],
    ['engines full of others', 16, 4],
  ] as const) {
    test(`loads it on two engines at most when the requests are short: ${what}`, () => {
      for (const seed of seeds) {
        const fleet = fleetOf(seed, taken)
        fleet.burst(busy, { promptBytes: 800 })
        const bySlot = fleet.burst(50, short)
        assert.ok(bySlot.size <= 2, [...bySlot.values()].join(' '))
      }
    })
  }

  test('loads it on half of the engines at most when they are of a thousand tokens', () => {
    for (const seed of seeds) {
      const bySlot = fleetOf(seed).burst(50, long)
      assert.ok(bySlot.size >= 2 && bySlot.size <= size / 2, [...bySlot.values()].join(' '))
    }
  })

  test('loads it everywhere, evenly, when the demand is really high', () => {
    for (const seed of seeds) {
      const counts = [...fleetOf(seed).burst(400, long).values()]
      assert.equal(counts.length, size)
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 5, counts.join(' '))
    }
  })

  test('stays where it is loaded when another one follows', () => {
    for (const seed of seeds) {
      const fleet = fleetOf(seed)
      const first = fleet.burst(50, short)
      for (const lease of fleet.leases.splice(0)) {
        lease.firstByte(1_000_500)
        lease.release()
      }
      const next = fleet.burst(20, short)
      for (const slot of next.keys()) assert.ok(first.has(slot), `${slot}`)
    }
  })
})
