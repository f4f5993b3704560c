/** Which of several profiles places a request: handlers in the scheduler, with the plug-ins that come with the gateway. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { z } from 'zod'
import type { ProfilePlan } from '#config/snapshot.ts'
import { definePlugin, type PluginDefinition } from '#contracts/plugin.ts'
import { type ProfileHandler, profileResult } from '#contracts/schedule.ts'
import { manualClock } from '#core/manual-clock.ts'
import { isRefusal, refusals } from '#core/refusal.ts'
import { createSlotAllocator } from '#datastore/assign-slots.ts'
import { createEndpointTable } from '#datastore/endpoint-table.ts'
import { openLeases } from '#datastore/lease.ts'
import { modelServerPlan, snapshotOf } from '#datastore/snapshot-case.ts'
import { plugins } from '#plugins/index.ts'
import { scheduleRequest } from '#plugins/plugin-case.ts'
import { DecisionCapture } from '#schedule/decision-capture.ts'
import { createScheduler } from '#schedule/scheduler.ts'

/** A profile that leaves the endpoints in these slots; they may be none. */
function profileFor(...slots: readonly number[]): ProfilePlan {
  return {
    filters: [{ type: 'only', parameters: { slots } }],
    scorers: [{ type: 'least-request', weight: 1, parameters: {} }],
    picker: { type: 'max-score', parameters: {} },
  }
}

const only = definePlugin({
  point: 'filter',
  type: 'only',
  stability: 'stable',
  summary: 'test',
  reads: [],
  parameters: z.strictObject({ slots: z.array(z.number()) }),
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

function handlerOf(type: string, handler: ProfileHandler): PluginDefinition {
  return definePlugin({
    point: 'profile-handler',
    type,
    stability: 'stable',
    summary: 'test',
    reads: [],
    parameters: z.strictObject({}),
    create: () => handler,
  }) as PluginDefinition
}

/** Runs all profiles; the first one serves, as decode does of prefill and decode. */
const all = handlerOf('all', { next: (_request, { runs }) => runs, primary: () => 0 })
const again = handlerOf('again', { next: () => 0, primary: () => 0 })
const nowhere = handlerOf('nowhere', { next: (_request, { runs }) => (runs === 0 ? 0 : -1), primary: () => 1 })

function setUp(type: string, members: Readonly<Record<string, ProfilePlan>>, parameters: Record<string, unknown> = {}) {
  const names = Object.keys(members)
  const first = members[names[0] ?? ''] ?? assert.fail()
  const profiles = names.map((name) => ({ name, profile: `p/${name}` }))
  const table = createEndpointTable()
  const clock = manualClock(1000)
  const unassigned = snapshotOf([modelServerPlan('a/a', ['h:0', 'h:1', 'h:2'])], {
    profiles: {
      default: { ...first, handler: { type, parameters, profiles } },
      ...Object.fromEntries(names.map((name) => [`p/${name}`, members[name] ?? first])),
    },
  })
  const snapshot = createSlotAllocator(table).assign(unassigned)
  const offered = [...plugins, only, all, again, nowhere]
  const scheduler = createScheduler({ table, snapshot, plugins: offered, rng: () => 0, clock })
  const pick = (headers: readonly string[] = [], excluded: readonly number[] = []) => {
    const request = scheduleRequest({ headers, nowMs: clock.nowMs() })
    const capture = new DecisionCapture({ requestId: 'i', attempt: 1, thread: 't', atWallMs: 0 }, request)
    const result = scheduler.pick('a/a', request, excluded, capture)
    if (!isRefusal(result)) result.lease.release()
    return { result, head: capture.head(), request, capture }
  }
  const where = (headers: readonly string[] = [], excluded: readonly number[] = []): string => {
    const { result } = pick(headers, excluded)
    return isRefusal(result) ? result.reason : `${result.profile.name} ${result.endpoint.id}`
  }
  return { table, scheduler, pick, where }
}

const three = { encode: profileFor(0), prefill: profileFor(1), decode: profileFor(2) }

describe('header-profile-handler', () => {
  const cases: {
    name: string
    headers?: string[]
    parameters?: Record<string, unknown>
    members?: Record<string, ProfilePlan>
    where: string
  }[] = [
    { name: 'takes the profile that the header names', headers: ['epp-profile', 'prefill'], where: 'p/prefill h:1' },
    { name: 'takes the default profile without the header', where: 'p/decode h:2' },
    { name: 'takes the default profile with an empty one', headers: ['epp-profile', ' '], where: 'p/decode h:2' },
    { name: 'refuses a name that there is not', headers: ['epp-profile', 'Prefill'], where: 'unknown-profile' },
    { name: 'refuses what every object has', headers: ['epp-profile', 'constructor'], where: 'unknown-profile' },
    {
      name: 'reads the header that it is told, in any case',
      headers: ['x-stage', 'encode'],
      parameters: { headerName: 'X-Stage' },
      where: 'p/encode h:0',
    },
    { name: 'takes the default that it is told', parameters: { defaultProfile: 'prefill' }, where: 'p/prefill h:1' },
    {
      name: 'refuses without a header when there is no default',
      parameters: { defaultProfile: 'x' },
      where: 'unknown-profile',
    },
    {
      name: 'takes a single profile whatever the header says',
      headers: ['epp-profile', 'nosuch'],
      members: { only: profileFor(1) },
      where: 'p/only h:1',
    },
    {
      name: 'refuses when the profile leaves no endpoint',
      headers: ['epp-profile', 'a'],
      members: { a: profileFor(), b: profileFor(0) },
      where: 'no-endpoint',
    },
  ]
  for (const { name, headers, parameters, members = three, where } of cases) {
    test(name, () => assert.equal(setUp('header-profile-handler', members, parameters).where(headers), where))
  }

  test('says in its refusal which profiles there are, as a mistake of the client', () => {
    const { result } = setUp('header-profile-handler', three).pick(['epp-profile', 'decod'])
    assert.ok(isRefusal(result))
    assert.match(result.message, /\. There are: encode, prefill, decode\.$/)
    assert.equal(refusals[result.reason].http, 400)
  })
})

describe('in-turn-profile-handler', () => {
  const members = { strict: profileFor(1), wide: profileFor(0, 1), last: profileFor(0, 1, 2) }

  test('goes on until a profile leaves an endpoint, for each try anew', () => {
    const { where } = setUp('in-turn-profile-handler', members)
    assert.deepEqual(
      [where(), where([], [1]), where([], [0, 1]), where([], [0, 1, 2])],
      ['p/strict h:1', 'p/wide h:0', 'p/last h:2', 'no-endpoint'],
    )
  })

  test('records the profile that placed the request, and not those before it', () => {
    const { pick } = setUp('in-turn-profile-handler', members)
    const { head } = pick([], [1])
    assert.deepEqual(
      [head.profile, head.chosen, head.filters.map(({ removed }) => removed)],
      ['p/wide', 'h:0', [['h:2']]],
    )
  })

  test('records one run only of a request that is refused, or a probe: once all stayed in memory, and none of them counted', () => {
    const nobody = { a: profileFor(), b: profileFor(), c: profileFor(), d: profileFor() }
    const single = setUp('in-turn-profile-handler', { a: profileFor() }).pick().capture.bytes
    const refused = setUp('in-turn-profile-handler', nobody).pick()
    assert.deepEqual([refused.head.profile, refused.capture.bytes], ['p/d', single])
    const probing = setUp('in-turn-profile-handler', { ...nobody, e: profileFor(2) })
    probing.table.ejected[2] = 1
    const probe = probing.pick()
    assert.deepEqual([probe.head.profile, probe.head.isProbe, probe.head.chosen], ['p/e', true, 'h:2'])
    assert.ok(probe.capture.bytes <= single + 64, `${probe.capture.bytes} ${single}`)
  })

  test('keeps to its profile in a further try while that holds', () => {
    const { scheduler, pick } = setUp('in-turn-profile-handler', { a: profileFor(0, 1), b: profileFor(2) })
    const { result, request } = pick()
    assert.ok(!isRefusal(result))
    const next = scheduler.pickNext(result, request, [result.endpoint.slot])
    assert.ok(!isRefusal(next))
    assert.deepEqual([next.profile.name, next.endpoint.id, next.decision.isFallback], ['p/a', 'h:1', true])
    next.lease.release()
    const last = scheduler.pickNext(next, request, [0, 1])
    assert.ok(!isRefusal(last))
    assert.deepEqual([last.profile.name, last.endpoint.id], ['p/b', 'h:2'])
    last.lease.release()
  })
})

test('single-profile-handler takes the first profile', () => {
  assert.equal(setUp('single-profile-handler', three).where(['epp-profile', 'decode']), 'p/encode h:0')
})

describe('a handler', () => {
  test('may let several profiles run: one endpoint is reserved, that of the profile it names, and its run is recorded', () => {
    const { pick, table } = setUp('all', { decode: profileFor(2), prefill: profileFor(0, 1) })
    const { result, head } = pick()
    assert.ok(!isRefusal(result))
    assert.deepEqual([result.endpoint.id, head.profile, head.chosen], ['h:2', 'p/decode', 'h:2'])
    assert.equal(openLeases(table), 0)
  })

  test('lets a request probe an ejected endpoint that its profile may use, and no other', () => {
    const { table, where } = setUp('header-profile-handler', three)
    for (const slot of [0, 1]) table.ejected[slot] = 1
    assert.equal(where(['epp-profile', 'prefill']), 'p/prefill h:1')
    assert.deepEqual([table.probe[0], table.probe[1]], [0, 0], 'released again')
    assert.equal(where(['epp-profile', 'decode']), 'p/decode h:2')
  })

  test('that lets a profile run twice, or serves by one that found nothing, is a fault', () => {
    assert.throws(() => setUp('again', three).pick(), /was not offered/)
    assert.throws(() => setUp('nowhere', three).pick(), /found nothing/)
  })

  test('that is unknown, or chooses among profiles that there are not, is a fault when it is compiled', () => {
    assert.throws(() => setUp('nosuch', three), /'nosuch'/)
    assert.throws(() => setUp('least-request', three), /'least-request' is a scorer, not a profile-handler/)
    const table = createEndpointTable()
    const plan = {
      ...profileFor(0),
      handler: { type: 'single-profile-handler', parameters: {}, profiles: [{ name: 'x', profile: 'x' }] },
    }
    const snapshot = createSlotAllocator(table).assign(
      snapshotOf([modelServerPlan('a/a', ['h:0'])], { profiles: { default: plan } }),
    )
    const ports = { table, snapshot, plugins: [...plugins, only], rng: () => 0, clock: manualClock(0) }
    assert.throws(() => createScheduler(ports), /no profile with plug-ins is named 'x'/)
  })

  test('knows what has not run from what has found nothing', () => {
    assert.ok(profileResult.none < 0 && profileResult.notRun < profileResult.none)
  })
})
