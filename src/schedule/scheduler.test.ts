import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { z } from 'zod'
import type { ModelServerPlan, ProfilePlan, Snapshot } from '#config/snapshot.ts'
import { definePlugin, type PluginDefinition } from '#contracts/plugin.ts'
import type { ScheduleRequest } from '#contracts/schedule.ts'
import { health } from '#core/endpoint.ts'
import { manualClock } from '#core/manual-clock.ts'
import { isRefusal, type Refusal } from '#core/refusal.ts'
import { createSlotAllocator } from '#datastore/assign-slots.ts'
import { createEndpointTable, resetSlot } from '#datastore/endpoint-table.ts'
import { openLeases } from '#datastore/lease.ts'
import { modelServerPlan, snapshotOf } from '#datastore/snapshot-case.ts'
import { Explainer } from './explain.ts'
import { createScheduler, type EndpointPick, type Scheduler } from './scheduler.ts'

const request: ScheduleRequest = {
  model: 'm',
  adapter: -1,
  headers: [],
  body: { slices: [], bytes: 0 },
  promptSpans: [],
  promptBytes: 10,
  maxTokens: undefined,
  session: undefined,
  cacheSalt: undefined,
  stream: false,
  nowMs: 0,
}

/** A scorer that says, endpoint by endpoint in the order of the slots, what its parameter says; null is no opinion. */
const given = definePlugin({
  point: 'scorer',
  type: 'given',
  stability: 'stable',
  summary: 'test',
  reads: [],
  parameters: z.strictObject({ by: z.array(z.number().nullable()).default([]) }),
  create: ({ by }) => ({
    score(_request, { slots, count }, out) {
      for (let i = 0; i < count; i++) out[i] = by[slots[i] ?? -1] ?? Number.NaN
    },
  }),
})

const other: PluginDefinition = { ...given, type: 'other' }

const fewest = definePlugin({
  point: 'scorer',
  type: 'fewest',
  stability: 'stable',
  summary: 'test',
  reads: ['inFlight'],
  parameters: z.strictObject({}),
  create: () => ({
    score(_request, { slots, count, loads }, out) {
      for (let i = 0; i < count; i++) out[i] = 1 / (1 + (loads.inFlight[slots[i] ?? -1] ?? Number.NaN))
    },
  }),
})

/** Keeps the endpoints whose slots are named. */
const only = definePlugin({
  point: 'filter',
  type: 'only',
  stability: 'stable',
  summary: 'test',
  reads: [],
  parameters: z.strictObject({ slots: z.array(z.number()).default([]) }),
  create: ({ slots: wanted }) => ({
    filter(_request, candidates) {
      let kept = 0
      for (const slot of candidates.slots.slice(0, candidates.count)) {
        if (wanted.includes(slot)) candidates.slots[kept++] = slot
      }
      candidates.count = kept
    },
  }),
})

const best = definePlugin({
  point: 'picker',
  type: 'best',
  stability: 'stable',
  summary: 'test',
  reads: [],
  parameters: z.strictObject({ beyond: z.boolean().default(false) }),
  create: ({ beyond }) => ({
    pick: (_request, { count }, scores) => {
      if (beyond) return count
      const found = [...scores.subarray(0, count)]
      for (const score of found) assert.ok(Number.isFinite(score))
      return found.indexOf(Math.max(...found))
    },
  }),
})

const scorer = (by: readonly (number | null)[], weight = 1, type = 'given') => ({ type, weight, parameters: { by } })

function profile(plan: Partial<ProfilePlan>): ProfilePlan {
  return { filters: [], scorers: [], picker: { type: 'best', parameters: {} }, ...plan }
}

function setUp(
  plan: Partial<ProfilePlan>,
  servers: readonly ModelServerPlan[] = [modelServerPlan('a/a', ['h:0', 'h:1', 'h:2'])],
) {
  const table = createEndpointTable()
  const clock = manualClock(1000)
  const unassigned = snapshotOf(servers, { profiles: { default: profile(plan) } })
  const snapshot = createSlotAllocator(table).assign(unassigned)
  const compile = (of: Snapshot): Scheduler =>
    createScheduler({ table, snapshot: of, plugins: [given, other, fewest, only, best], rng: () => 0, clock })
  return { table, clock, snapshot, unassigned, compile, scheduler: compile(snapshot) }
}

function picked(result: EndpointPick | Refusal): EndpointPick {
  assert.ok(!isRefusal(result), isRefusal(result) ? result.message : undefined)
  return result
}

describe('the endpoint with the greatest weighted sum is picked', () => {
  const cases: { name: string; scorers: ProfilePlan['scorers']; slot: number; why: string }[] = [
    { name: 'of one scorer', scorers: [scorer([0.1, 0.9, 0.3])], slot: 1, why: 'given 0.90 of 3' },
    {
      name: 'of several, by weight',
      scorers: [scorer([1, 0, 0], 1), scorer([0, 0, 1], 2, 'other')],
      slot: 2,
      why: 'other 1.00 of 3',
    },
    {
      name: 'where no opinion counts as the mean of the others',
      scorers: [scorer([0.2, null, 0.4]), scorer([0, 0.2, 0], 1, 'other')],
      slot: 1,
      why: 'other 0.20 of 3',
    },
    {
      name: 'where a scorer without any opinion is left out',
      scorers: [scorer([null, null, null], 9), scorer([0, 0, 0.5], 1, 'other')],
      slot: 2,
      why: 'other 0.50 of 3',
    },
    { name: 'where a score out of range is no opinion', scorers: [scorer([7, 0.5, -1])], slot: 0, why: 'even of 3' },
    { name: 'without any scorer', scorers: [], slot: 0, why: 'even of 3' },
  ]
  for (const { name, scorers, slot, why } of cases) {
    test(name, () => {
      const { endpoint, decision } = picked(setUp({ scorers }).scheduler.pick('a/a', request, []))
      assert.deepEqual([endpoint.slot, decision.text()], [slot, why])
    })
  }
})

describe('filters', () => {
  const filters = [
    { type: 'only', parameters: { slots: [0, 1] } },
    { type: 'only', parameters: { slots: [1, 2] } },
  ]

  test('leave fewer endpoints, one after the other', () => {
    const { endpoint, decision } = picked(
      setUp({ filters, scorers: [scorer([1, 0, 1])] }).scheduler.pick('a/a', request, []),
    )
    assert.deepEqual([endpoint.id, decision.text()], ['h:1', 'only 1 of 3 left'])
  })

  test('that leave none refuse the request', () => {
    const result = setUp({ filters: [...filters, { type: 'only', parameters: {} }] }).scheduler.pick('a/a', request, [])
    assert.ok(isRefusal(result))
    assert.deepEqual([result.reason, result.retryAfterS], ['no-endpoint', 1])
  })
})

describe('a pick', () => {
  test('reserves the endpoint in the same step, so that the next one sees it', () => {
    const { scheduler, table } = setUp({ scorers: [{ type: 'fewest', weight: 1, parameters: {} }] })
    const picks = Array.from({ length: 6 }, () => picked(scheduler.pick('a/a', request, [])))
    assert.deepEqual(picks.map(({ endpoint }) => endpoint.slot).toSorted(), [0, 0, 1, 1, 2, 2])
    assert.deepEqual([...table.uncachedTokens.subarray(0, 3)], [6, 6, 6])
    for (const { lease } of picks) lease.release()
    assert.equal(openLeases(table), 0)
  })

  test('leaves out what was tried, and refuses when nothing is left', () => {
    const { scheduler } = setUp({ scorers: [scorer([0.9, 0.5, 0.1])] })
    const second = picked(scheduler.pick('a/a', request, [0]))
    assert.deepEqual([second.endpoint.id, second.decision.text()], ['h:1', 'given 0.50 of 2, retry'])
    const third = picked(scheduler.pick('a/a', request, [0, 1]))
    assert.deepEqual([third.endpoint.id, third.decision.text()], ['h:2', 'only 1 of 3 left, retry'])
    const none = scheduler.pick('a/a', request, [0, 1, 2])
    assert.ok(isRefusal(none) && none.reason === 'no-endpoint' && /has failed/.test(none.message))
  })

  test('reserves nothing when it refuses', () => {
    const { scheduler, table } = setUp({ filters: [{ type: 'only', parameters: {} }] })
    assert.ok(isRefusal(scheduler.pick('a/a', request, [])))
    assert.equal(openLeases(table), 0)
  })

  test('stays within its model server', () => {
    const servers = [
      modelServerPlan('a/a', ['h:0', 'h:1', 'h:2']),
      modelServerPlan('a/b', ['h:0']),
      modelServerPlan('a/c', []),
    ]
    const { scheduler } = setUp({ scorers: [scorer([0, 0.5, 0, 1])] }, servers)
    assert.equal(picked(scheduler.pick('a/a', request, [])).modelServer.key, 'a/a')
    assert.deepEqual(picked(scheduler.pick('a/b', request, [])).endpoint.slot, 3)
    assert.equal(picked(scheduler.pick('a/b', request, [])).decision.text(), 'only one')
    for (const key of ['a/c', 'a/d']) {
      const result = scheduler.pick(key, request, [])
      assert.ok(isRefusal(result) && /usable/.test(result.message))
    }
  })

  test('notes the adapter as loaded where it sends its first request', () => {
    const { scheduler, table } = setUp({ scorers: [scorer([0, 1, 0])] })
    picked(scheduler.pick('a/a', { ...request, adapter: 5 }, []))
    assert.deepEqual([table.hasAdapter(1, 5), table.hasAdapter(0, 5)], [true, false])
  })

  test('of a snapshot that is behind does not count against the new owner of the slot', () => {
    const { scheduler, table } = setUp({ scorers: [scorer([0, 1, 0])] })
    resetSlot(table, 1)
    picked(scheduler.pick('a/a', request, [])).lease.release()
    assert.equal(table.inFlight[1], 0)
  })
})

describe('a model server is usable', () => {
  const cases: { name: string; healths: number[]; restUntilMs: number[]; usable: boolean; awake: boolean }[] = [
    { name: 'before anything is known of it', healths: [0, 0, 0], restUntilMs: [0, 0, 0], usable: true, awake: true },
    {
      name: 'while one endpoint is not unready',
      healths: [2, 2, 1],
      restUntilMs: [0, 0, 0],
      usable: true,
      awake: true,
    },
    { name: 'not when all are unready', healths: [2, 2, 2], restUntilMs: [0, 0, 0], usable: false, awake: false },
    {
      name: 'as a last resort when all rest',
      healths: [1, 1, 0],
      restUntilMs: [1001, 2000, 2000],
      usable: true,
      awake: false,
    },
    { name: 'when a rest is over', healths: [1, 1, 1], restUntilMs: [2000, 1000, 2000], usable: true, awake: true },
    {
      name: 'as a last resort when those that do not rest are unready',
      healths: [2, 1, 2],
      restUntilMs: [0, 2000, 0],
      usable: true,
      awake: false,
    },
  ]
  for (const { name, healths, restUntilMs, usable, awake } of cases) {
    test(name, () => {
      const { table, scheduler } = setUp({})
      table.health.set(healths)
      table.restUntilMs.set(restUntilMs)
      const { isUsable } = scheduler
      assert.deepEqual([isUsable('a/a'), isUsable('a/a', true), isUsable('a/a', false)], [usable, usable, awake])
    })
  }

  test('not without endpoints, or when it does not exist', () => {
    const { scheduler } = setUp({}, [modelServerPlan('a/a', [])])
    assert.deepEqual([scheduler.isUsable('a/a'), scheduler.isUsable('a/x')], [false, false])
  })

  test('and its health is stored as the numbers of core/endpoint.ts', () => {
    assert.deepEqual(health, { unknown: 0, ready: 1, unready: 2 })
  })
})

describe('compiling refuses', () => {
  const use = (type: string, parameters: Record<string, unknown> = {}) => ({ type, parameters })
  const cases: { name: string; plan: Partial<ProfilePlan>; message: RegExp }[] = [
    { name: 'an unknown plug-in', plan: { filters: [use('nosuch')] }, message: /'nosuch'/ },
    {
      name: 'a plug-in at the wrong point',
      plan: { picker: use('only') },
      message: /'only' is a filter, not a picker/,
    },
    { name: 'an unknown parameter', plan: { filters: [use('only', { slot: 1 })] }, message: /slot/ },
  ]
  for (const { name, plan, message } of cases) test(name, () => assert.throws(() => setUp(plan), message))

  test('an unknown profile', () => {
    assert.throws(() => setUp({}, [modelServerPlan('a/a', ['h:1'], { profile: 'fast' })]), /'fast'/)
  })

  test('endpoints without a slot', () => {
    const { compile, unassigned } = setUp({})
    assert.throws(() => compile(unassigned), /h:0 of a\/a has no slot/)
  })
})

test('an ejected endpoint that a filter keeps from a request does not keep its probe from the next one', () => {
  // Once the first endpoint whose ejection was over stood before all others for as long as nobody could probe it.
  const { table, scheduler } = setUp({ filters: [{ type: 'only', parameters: { slots: [1, 2] } }] })
  for (const slot of [0, 1]) table.ejected[slot] = 1
  const { endpoint, lease, decision } = picked(scheduler.pick('a/a', request, []))
  assert.deepEqual([endpoint.id, table.probe[1], table.probe[0]], ['h:1', table.held.holder, 0])
  assert.match(decision.text(), /probe/)
  lease.release()
  assert.equal(openLeases(table), 0)
})

test('a picker that chooses what was not offered is a fault, and nothing is reserved', () => {
  const { scheduler, table } = setUp({ picker: { type: 'best', parameters: { beyond: true } } })
  assert.throws(() => scheduler.pick('a/a', request, []), /not offered/)
  assert.equal(openLeases(table), 0)
})

describe('an explanation', () => {
  const plan: Partial<ProfilePlan> = {
    filters: [{ type: 'only', parameters: { slots: [0, 2] } }],
    scorers: [scorer([0.5, 0.1, null], 2), scorer([0, 0, 1], 1, 'other')],
  }
  const servers = [modelServerPlan('a/a', ['h:0', 'h:1', 'h:2', 'h:3'])]

  test('holds every stage of the decision as plain data', () => {
    const { scheduler } = setUp(plan, servers)
    const explainer = new Explainer()
    picked(scheduler.pick('a/a', request, [3], explainer))
    assert.deepEqual(explainer.explanation(), {
      modelServer: 'a/a',
      profile: 'default',
      excluded: ['h:3'],
      filters: [{ type: 'only', removed: ['h:1'] }],
      leftOut: { 'h:1': 'filtered' },
      scorers: [
        { type: 'given', weight: 2, scores: { 'h:0': 0.5, 'h:2': null } },
        { type: 'other', weight: 1, scores: { 'h:0': 0, 'h:2': 1 } },
      ],
      picker: 'best',
      totals: { 'h:0': 1, 'h:2': 2 },
      chosen: 'h:2',
    })
  })

  test('shows who was removed when the request is refused', () => {
    const { scheduler } = setUp(plan, servers)
    const explainer = new Explainer()
    assert.ok(isRefusal(scheduler.pick('a/a', request, [0, 2], explainer)))
    const { excluded, filters, chosen } = explainer.explanation()
    assert.deepEqual(
      [excluded, filters, chosen],
      [['h:0', 'h:2'], [{ type: 'only', removed: ['h:1', 'h:3'] }], undefined],
    )
  })

  test('does not change the decision, and scores the last one left too', () => {
    const { scheduler } = setUp(plan, servers)
    const explainer = new Explainer()
    const plain = picked(scheduler.pick('a/a', request, [2]))
    const explained = picked(scheduler.pick('a/a', request, [2], explainer))
    assert.deepEqual([explained.endpoint.id, explained.decision.text()], [plain.endpoint.id, plain.decision.text()])
    assert.equal(explainer.explanation().scorers.length, 2)
  })
})
