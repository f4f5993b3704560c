/** How decisions treat endpoints that failed: the scheduler with the real plug-ins, on a clock that is moved by hand. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EjectionPlan, ProfilePlan } from '#config/snapshot.ts'
import { seededRng } from '#core/clock.ts'
import { health } from '#core/endpoint.ts'
import { manualClock } from '#core/manual-clock.ts'
import { isRefusal } from '#core/refusal.ts'
import { createSlotAllocator } from '#datastore/assign-slots.ts'
import { endpointReturned } from '#datastore/breaker.ts'
import { createEndpointTable } from '#datastore/endpoint-table.ts'
import type { Lease } from '#datastore/lease.ts'
import { ejectionPlan, modelServerPlan, snapshotOf } from '#datastore/snapshot-case.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import { scheduleRequest } from '#plugins/plugin-case.ts'
import { Explainer } from '#schedule/explain.ts'
import { createScheduler, type EndpointPick } from '#schedule/scheduler.ts'

function setUp(size: number, given: Partial<EjectionPlan> = {}, profile: ProfilePlan = defaultProfile) {
  const table = createEndpointTable()
  const clock = manualClock(1_000_000)
  const ids = Array.from({ length: size }, (_, i) => `h:${i + 1}`)
  const server = modelServerPlan('a/a', ids, { ejection: ejectionPlan(given) })
  const snapshot = createSlotAllocator(table).assign(snapshotOf([server], { profiles: { default: profile } }))
  const scheduler = createScheduler({ table, snapshot, plugins, rng: seededRng(7), clock })
  const pick = (excluded: readonly number[] = [], explainer?: Explainer): EndpointPick => {
    const result = scheduler.pick('a/a', scheduleRequest({ nowMs: clock.nowMs() }), excluded, explainer)
    assert.ok(!isRefusal(result), isRefusal(result) ? result.message : undefined)
    return result
  }
  /** Ejects endpoints by failures of requests that went there. */
  const eject = (...slots: readonly number[]): void => {
    for (const slot of slots) {
      const others = Array.from({ length: size }, (_, i) => i).filter((other) => other !== slot)
      for (let i = 0; i < 3; i++) {
        const { lease } = pick(others)
        lease.failed(clock.nowMs())
        lease.release()
      }
      assert.equal(table.ejected[slot], 1)
    }
  }
  return { table, clock, scheduler, pick, eject }
}

/** Slots of `count` requests in a row, each of which goes well at once. */
function serve(pick: () => EndpointPick, count: number, nowMs: number): number[] {
  return Array.from({ length: count }, () => {
    const { endpoint, lease } = pick()
    lease.succeeded(nowMs)
    lease.release()
    return endpoint.slot
  })
}

describe('an ejected endpoint', () => {
  test('gets nothing until its time is over, then one request, and everything again when that went well', () => {
    const { clock, pick, eject } = setUp(2)
    eject(0)
    assert.deepEqual(new Set(serve(pick, 50, clock.nowMs())), new Set([1]))
    clock.advance(1000)
    const probe = pick()
    assert.deepEqual([probe.endpoint.slot, probe.decision.text()], [0, 'probe of an ejected endpoint'])
    assert.deepEqual(new Set(serve(pick, 50, clock.nowMs())), new Set([1]))
    probe.lease.answered(clock.nowMs())
    probe.lease.release()
    assert.deepEqual(new Set(serve(pick, 50, clock.nowMs())), new Set([0, 1]))
  })

  test('is not probed by a request that has failed elsewhere', () => {
    const { clock, pick, eject } = setUp(3)
    eject(0)
    clock.advance(1000)
    assert.equal(pick([1]).endpoint.slot, 2)
    assert.equal(pick([1, 2]).endpoint.slot, 0, 'unless there is no other')
    assert.equal(pick().endpoint.slot, 0)
  })

  test('that is the only one serves, ejected or not', () => {
    const { clock, pick, eject, scheduler } = setUp(1)
    eject(0)
    assert.equal(pick().endpoint.slot, 0)
    assert.deepEqual([scheduler.isUsable('a/a', true), scheduler.isUsable('a/a', false)], [true, false])
    clock.advance(1000)
    assert.equal(scheduler.isUsable('a/a', false), true, 'siblings leave it a request to be probed by')
  })

  test('serves with the others when all are ejected, unless it is unready', () => {
    const { table, clock, pick, eject } = setUp(3)
    eject(0, 1, 2)
    table.health[1] = health.unready
    const leases: Lease[] = []
    const slots = Array.from({ length: 20 }, () => {
      const { endpoint, lease } = pick()
      leases.push(lease)
      return endpoint.slot
    })
    assert.deepEqual(new Set(slots), new Set([0, 2]))
    leases[0]?.succeeded(clock.nowMs())
    assert.equal(table.ejected[slots[0] ?? -1], 0, 'and returns with the first success')
  })

  test('is named with its reason in an explanation and counted in the log', () => {
    const { table, clock, pick, eject } = setUp(5)
    eject(1)
    table.health[2] = health.unready
    table.restUntilMs[3] = clock.nowMs() + 5000
    const explainer = new Explainer()
    const { decision } = pick([4], explainer)
    const { excluded, leftOut, filters } = explainer.explanation()
    assert.deepEqual(excluded, ['h:5'])
    assert.deepEqual(leftOut, { 'h:2': 'ejected', 'h:3': 'unready', 'h:4': 'resting' })
    assert.deepEqual(filters, [{ type: 'usable', removed: ['h:2', 'h:3', 'h:4'] }])
    assert.equal(decision.text(), 'only 1 of 5 left, 1 ejected, retry')
  })
})

describe('an endpoint that has just returned', () => {
  const uniform = (type: string): ProfilePlan => ({
    filters: defaultProfile.filters,
    scorers: [{ type: 'least-request', weight: 1, parameters: {} }],
    picker: { type, parameters: {} },
  })

  /** Its share of the requests that begin during the second after `afterMs`, as a part of an equal share. */
  function shareAfter(type: string, size: number, concurrency: number, afterMs: number): number {
    const { table, clock, pick } = setUp(size, { slowStartMs: 10_000 }, uniform(type))
    table.health.fill(health.ready, 0, size)
    endpointReturned(table, 0, clock.nowMs())
    clock.advance(afterMs)
    const open: Lease[] = []
    let own = 0
    const total = 6000
    for (let i = 0; i < total; i++) {
      const { endpoint, lease } = pick()
      open.push(lease)
      if (endpoint.slot === 0) own++
      if (open.length >= concurrency) open.shift()?.release()
    }
    for (const lease of open) lease.release()
    return (own / total) * size
  }

  for (const type of ['max-score', 'random', 'weighted-random']) {
    for (const [size, concurrency] of [
      [2, 1],
      [2, 40],
      [10, 100],
    ] as const) {
      test(`gets little at first and its share in the end: ${type}, ${size} endpoints, ${concurrency} at once`, () => {
        const shares = [0, 5000, 9000, 10_000].map((afterMs) => shareAfter(type, size, concurrency, afterMs))
        const [first = 1, middle = 0, late = 0, end = 0] = shares
        const said = shares.map((share) => share.toFixed(2)).join(' ')
        assert.ok(first > 0.01 && first < 0.25, said)
        assert.ok(middle > 1.5 * first && middle < 0.85, said)
        assert.ok(late > middle && late < 1.1, said)
        assert.ok(end > 0.9 && end < 1.1, said)
      })
    }
  }

  test('is spared no request when most of its siblings have just returned, too', () => {
    const { table, clock, pick } = setUp(3, { slowStartMs: 10_000 })
    for (const slot of [0, 1]) endpointReturned(table, slot, clock.nowMs())
    const leases = Array.from({ length: 30 }, () => pick().lease)
    assert.deepEqual([...table.inFlight.subarray(0, 3)], [10, 10, 10])
    for (const lease of leases) lease.release()
  })

  test('is taken when there is no other', () => {
    const { table, clock, pick } = setUp(2, { slowStartMs: 10_000 })
    endpointReturned(table, 0, clock.nowMs())
    table.health[1] = health.unready
    assert.deepEqual(new Set(serve(pick, 20, clock.nowMs())), new Set([0]))
  })

  test('shows in an explanation', () => {
    const { table, clock, pick } = setUp(2, { slowStartMs: 10_000 })
    endpointReturned(table, 0, clock.nowMs())
    const seen = new Set<string | undefined>()
    for (let i = 0; i < 20; i++) {
      const explainer = new Explainer()
      pick([], explainer).lease.release()
      seen.add(explainer.explanation().leftOut['h:1'])
    }
    assert.ok(seen.has('starting'))
  })
})
