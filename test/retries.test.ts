import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { z } from 'zod'
import type { ProfilePlan } from '#config/snapshot.ts'
import { definePlugin } from '#contracts/plugin.ts'
import { health } from '#core/endpoint.ts'
import { manualClock } from '#core/manual-clock.ts'
import { isRefusal, type Refusal } from '#core/refusal.ts'
import { createSlotAllocator } from '#datastore/assign-slots.ts'
import { createEndpointTable } from '#datastore/endpoint-table.ts'
import { openLeases } from '#datastore/lease.ts'
import { modelServerPlan, snapshotOf } from '#datastore/snapshot-case.ts'
import { maxScore } from '#plugins/picker/max-score.ts'
import { scheduleRequest } from '#plugins/plugin-case.ts'
import { DecisionCapture } from '#schedule/decision-capture.ts'
import { createScheduler, type EndpointPick } from '#schedule/scheduler.ts'

const ids = ['h:0', 'h:1', 'h:2', 'h:3', 'h:4']
const scores = [0.2, 1, 0.4, 0.8, 0.6]

/** Scores by slot, and counts how often it is asked. */
function setUp() {
  let scored = 0
  const given = definePlugin({
    point: 'scorer',
    type: 'given',
    stability: 'stable',
    summary: 'test',
    reads: [],
    parameters: z.strictObject({}),
    create: () => ({
      score(_request, { slots, count }, out) {
        scored++
        for (let i = 0; i < count; i++) out[i] = scores[slots[i] ?? -1] ?? Number.NaN
      },
    }),
  })
  const table = createEndpointTable()
  const clock = manualClock(1000)
  const profile: ProfilePlan = {
    filters: [],
    scorers: [{ type: 'given', weight: 1, parameters: {} }],
    picker: { type: 'max-score', parameters: {} },
  }
  const unassigned = snapshotOf([modelServerPlan('a/a', ids)], { profiles: { default: profile } })
  const snapshot = createSlotAllocator(table).assign(unassigned)
  const scheduler = createScheduler({ table, snapshot, plugins: [given, maxScore], rng: () => 0, clock })
  const requestNow = () => scheduleRequest({ nowMs: clock.nowMs() })
  /** The tries of one request that fails everywhere: each endpoint, and whether it was scored. */
  const walk = (between: () => void = () => undefined): string[] => {
    const path: string[] = []
    const tried: number[] = []
    let pick: EndpointPick | Refusal = scheduler.pick('a/a', requestNow(), tried)
    while (!isRefusal(pick)) {
      path.push(`${pick.endpoint.id} ${pick.decision.text()}`)
      pick.lease.release()
      tried.push(pick.endpoint.slot)
      between()
      pick = scheduler.pickNext(pick, requestNow(), tried)
    }
    return path
  }
  return { table, clock, scheduler, requestNow, walk, scored: () => scored }
}

describe('a further try', () => {
  test('goes down the ranking of the first decision, without scoring anew, and decides anew behind its end', () => {
    const { walk, scored, table } = setUp()
    assert.deepEqual(walk(), [
      'h:1 given 1.00 of 5',
      'h:3 next best of the try before, retry',
      'h:4 next best of the try before, retry',
      'h:2 next best of the try before, retry',
      'h:0 only 1 of 5 left, retry',
    ])
    assert.deepEqual([scored(), openLeases(table)], [1, 0])
  })

  test('decides anew by what is known now when the decision is no longer fresh', () => {
    const { walk, clock, scored } = setUp()
    const path = walk(() => clock.advance(101))
    assert.deepEqual(path.slice(0, 3), [
      'h:1 given 1.00 of 5',
      'h:3 given 0.80 of 4, retry',
      'h:4 given 0.60 of 3, retry',
    ])
    assert.equal(scored(), 4)
  })

  test('passes over those that became unready or ejected, or filled up meanwhile', () => {
    const { walk, table } = setUp()
    const path = walk(() => {
      table.health[3] = health.unready
      table.inFlight[4] = 2
    })
    assert.deepEqual(path[1], 'h:2 next best of the try before, retry')
  })

  test('spreads the requests that an endpoint takes down with it: no endpoint gets more than two by the old ranking', () => {
    const { scheduler, requestNow } = setUp()
    const picks = Array.from({ length: 20 }, () => scheduler.pick('a/a', requestNow(), []))
    const why = picks.map((pick) => {
      assert.ok(!isRefusal(pick))
      pick.lease.release()
      const next = scheduler.pickNext(pick, requestNow(), [pick.endpoint.slot])
      assert.ok(!isRefusal(next))
      return `${next.endpoint.id} ${next.decision.isFallback}`
    })
    const byRanking = Map.groupBy(why, (text) => text)
    for (const id of ids) assert.ok((byRanking.get(`${id} true`)?.length ?? 0) <= 2, id)
    assert.ok(why.includes('h:3 false'))
  })

  test('is refused when every endpoint has failed', () => {
    const { scheduler, requestNow } = setUp()
    const pick = scheduler.pick('a/a', requestNow(), [])
    assert.ok(!isRefusal(pick))
    const none = scheduler.pickNext(pick, requestNow(), [0, 1, 2, 3, 4])
    assert.ok(isRefusal(none) && /has failed/.test(none.message))
  })

  test('is recorded with the ranking that it came from', () => {
    const { scheduler, requestNow } = setUp()
    const captureOf = (attempt: number) =>
      new DecisionCapture({ requestId: 'id', attempt, thread: 'data-0', atWallMs: 0 }, requestNow())
    const first = captureOf(1)
    const pick = scheduler.pick('a/a', requestNow(), [], first)
    assert.ok(!isRefusal(pick))
    const second = captureOf(2)
    scheduler.pickNext(pick, requestNow(), [1], second)
    const records = [first, second].map((capture) => capture.head())
    assert.deepEqual(
      records.map(({ chosen, runnerUp, fallbacks, isFallback, picker }) => ({
        chosen,
        runnerUp,
        fallbacks,
        isFallback,
        picker,
      })),
      [
        { chosen: 'h:1', runnerUp: 'h:3', fallbacks: ['h:3', 'h:4', 'h:2'], isFallback: false, picker: 'max-score' },
        { chosen: 'h:3', runnerUp: 'h:4', fallbacks: ['h:4', 'h:2'], isFallback: true, picker: undefined },
      ],
    )
    assert.equal(records[1]?.reason, 'the next best of the decision for the try before, which is still what it was')
    assert.deepEqual(records[1]?.tried, ['h:1'])
  })
})
