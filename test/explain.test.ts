import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { reportDecisions } from '#apps/decisions.ts'
import { otherProfile, renderWhatIf, whatIf } from '#apps/what-if.ts'
import type { ModelServerPlan, ProfilePlan } from '#config/snapshot.ts'
import type { DecisionRecord } from '#contracts/decision-record.ts'
import type { ScheduleRequest } from '#contracts/schedule.ts'
import { seededRng } from '#core/clock.ts'
import { health } from '#core/endpoint.ts'
import { manualClock } from '#core/manual-clock.ts'
import { isRefusal } from '#core/refusal.ts'
import type { InferenceRequest } from '#core/request.ts'
import { createSlotAllocator } from '#datastore/assign-slots.ts'
import { createEndpointTable } from '#datastore/endpoint-table.ts'
import { modelServerPlan, snapshotOf } from '#datastore/snapshot-case.ts'
import { DecisionRing } from '#observe/decision-ring.ts'
import { DecisionLog } from '#pipeline/decision-log.ts'
import { balancedProfile } from '#plugins/balanced-profile.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import { scheduleRequest } from '#plugins/plugin-case.ts'
import { DecisionCapture } from '#schedule/decision-capture.ts'
import { createScheduler } from '#schedule/scheduler.ts'

const text = 'what was said before, again and again. '.repeat(100)

function prompt(given: Partial<ScheduleRequest> = {}, said = text): Partial<ScheduleRequest> {
  const slice = Buffer.from(said)
  const promptSpans = [{ start: 0, end: slice.length }]
  return { body: { slices: [slice], bytes: slice.length }, promptSpans, promptBytes: slice.length, ...given }
}

function setUp(profiles: Readonly<Record<string, ProfilePlan>> = {}, given: Partial<ModelServerPlan> = {}) {
  const table = createEndpointTable()
  const clock = manualClock(1_000_000)
  const unassigned = snapshotOf([modelServerPlan('a/a', ['h:1', 'h:2', 'h:3', 'h:4'], given)], {
    profiles: { default: defaultProfile, ...profiles },
  })
  const snapshot = createSlotAllocator(table).assign(unassigned)
  const scheduler = createScheduler({ table, snapshot, plugins, rng: seededRng(3), clock })
  let decisions = 0
  const decide = (request: Partial<ScheduleRequest> = {}, tried: readonly number[] = []) => {
    const asked = scheduleRequest({ nowMs: clock.nowMs(), ...request })
    const ask = { requestId: `id-${++decisions}`, attempt: 1, thread: 'data-0', atWallMs: clock.wallMs() }
    const capture = new DecisionCapture(ask, asked)
    const pick = scheduler.pick('a/a', asked, tried, capture)
    return { pick, capture, record: capture.record() }
  }
  return { table, clock, snapshot, decide }
}

describe('a recorded decision', () => {
  test('has every candidate with its loads, facts and scores, as they were before the request was placed', () => {
    const { table, decide } = setUp()
    const before = decide(prompt())
    const first = before.record
    if (!isRefusal(before.pick)) before.pick.lease.firstByte(1_000_000)
    table.running[1] = 4
    table.kvUse[1] = 0.5
    table.reportedAtMs[1] = 999_000
    const { record, capture, pick } = decide(prompt())
    assert.ok(!isRefusal(pick))
    assert.equal(record.chosen, first.chosen, 'the prompt is there')
    assert.deepEqual([capture.chosen, capture.candidates, record.endpoints], [record.chosen, 4, 4])
    const [one, two] = record.candidates
    assert.deepEqual([two?.loads.running, two?.loads.kvUse, two?.reportAgeMs], [4, 0.5, 1000])
    assert.deepEqual([one?.loads.running, one?.reportAgeMs, one?.observedAgeMs], [null, null, null])
    const chosen = record.candidates.find(({ endpoint }) => endpoint === record.chosen)
    assert.equal(chosen?.loads.inFlight, 1, 'the first request, not this one')
    assert.ok((chosen?.facts.cachedTokens ?? 0) > 900)
    assert.equal(chosen?.total, chosen?.weighted[0])
    assert.deepEqual(
      [pick.reachableTokens, pick.realizedTokens],
      [chosen?.facts.cachedTokens, chosen?.facts.cachedTokens],
    )
    assert.match(record.reason, /^cost 1\.00 to 0\.\d\d against h:\d; \d+ of 975 prompt tokens cached to 0/)
  })

  test('keeps nothing of the text, of headers or of the session', () => {
    const { decide } = setUp()
    const { capture } = decide(
      prompt({
        session: 'session-of-somebody',
        cacheSalt: 'salt-of-somebody',
        headers: ['authorization', 'Bearer key'],
      }),
    )
    const kept = JSON.stringify(capture.record())
    for (const word of ['said before', 'session-of-somebody', 'salt-of-somebody', 'Bearer'])
      assert.ok(!kept.includes(word), word)
    assert.equal(capture.record().request.hasSession, true)
  })

  test('says who was left out and why, and what a better cache was given away for', () => {
    const { table, decide } = setUp()
    const { record: first } = decide(prompt())
    const slot = first.candidates.find(({ endpoint }) => endpoint === first.chosen)?.slot ?? -1
    table.uncachedTokens[slot] = 400_000
    table.health[slot === 3 ? 2 : 3] = health.unready
    const { record, pick } = decide(prompt(), [slot === 0 ? 1 : 0])
    assert.ok(!isRefusal(pick))
    assert.deepEqual(record.tried, [slot === 0 ? 'h:2' : 'h:1'])
    assert.deepEqual(record.filters, [{ type: 'usable', removed: [slot === 3 ? 'h:3' : 'h:4'] }])
    const removed = record.candidates.find(({ removedBy }) => removedBy === 'usable')
    assert.deepEqual([removed?.leftOut, removed?.scores, removed?.total], ['unready', [], null])
    assert.ok(pick.reachableTokens > 900 && pick.realizedTokens === 0)
  })

  test('explains refusals and choices without a choice', () => {
    const { table, decide } = setUp()
    assert.equal(decide({}, [0, 1, 2, 3]).record.reason, 'refused: it has failed on every endpoint')
    assert.match(decide({}, [0, 1, 2]).record.reason, /^the only one of 4 left: 3 had failed it$/)
    for (let slot = 0; slot < 3; slot++) table.health[slot] = health.unready
    assert.match(decide().record.reason, /^the only one of 4 left: removed by usable 3$/)
    table.health[3] = health.unready
    const { record } = decide({}, [0])
    assert.deepEqual([record.chosen, record.reason], [undefined, 'refused: removed by usable 3, 1 had failed it'])
    table.health[3] = health.ready
    table.ejected[3] = 1
    table.ejectedUntilMs[3] = 1
    assert.equal(decide().record.reason, 'the probe of an endpoint that was ejected')
  })

  test('knows how much memory it keeps', () => {
    const { decide } = setUp()
    const { capture } = decide(prompt())
    assert.ok(capture.bytes > 4 * 29 * 8 && capture.bytes < 10_000, `${capture.bytes}`)
  })
})

/** Decisions over loads that differ from one to the next. */
function recordedDecisions(
  profile: ProfilePlan,
  count: number,
  given: Partial<ModelServerPlan> = {},
): DecisionRecord[] {
  const { table, clock, decide } = setUp({ default: profile }, given)
  const rng = seededRng(11)
  const records = Array.from({ length: count }, (_, at) => {
    clock.advance(10)
    for (let slot = 0; slot < 4; slot++) {
      table.inFlight[slot] = Math.floor(rng() * 20)
      table.prefilling[slot] = Math.floor(rng() * 3)
      table.uncachedTokens[slot] = Math.floor(rng() * 5000)
      table.kvUse[slot] = rng()
      table.ttftMs[slot] = 10 + 100 * rng()
      table.tpotMs[slot] = 5 + rng()
      table.observedAtMs[slot] = clock.nowMs()
    }
    return decide(prompt({}, `${at % 5} ${text}`)).record
  })
  return records.toReversed()
}

describe('what if', () => {
  test('a profile that learns nothing makes its own decisions again as they were', () => {
    const records = recordedDecisions(balancedProfile, 60)
    const own = whatIf(records, { title: 'x', planOf: () => balancedProfile }, { default: balancedProfile })
    assert.deepEqual([own.decisions, own.others, own.own], [60, [], { decisions: 60, same: 60 }])
  })

  test('it does so where endpoints declare capacities: once all were alike to it', () => {
    const { endpoints } = modelServerPlan('a/a', ['h:1', 'h:2', 'h:3', 'h:4'])
    const capacities = [8, 1, 1, undefined]
    const declared = endpoints.map((endpoint, i) => ({ ...endpoint, capacity: capacities[i] }))
    const records = recordedDecisions(balancedProfile, 60, { endpoints: declared })
    assert.deepEqual(
      records[0]?.candidates.map(({ capacity }) => capacity),
      capacities,
    )
    const { own } = whatIf(records, { title: 'x', planOf: () => balancedProfile }, { default: balancedProfile })
    assert.deepEqual(own, { decisions: 60, same: 60 })
  })

  test('the house profile makes nearly all of its own again: what it learned of rates is missing', () => {
    const records = recordedDecisions(defaultProfile, 60)
    const { own } = whatIf(records, { title: 'x', planOf: () => defaultProfile }, { default: defaultProfile })
    assert.ok(own.same >= 54, `${own.same} of ${own.decisions}`)
  })

  test('another profile differs, with both reasons, and gives away the caches that it does not see', async () => {
    const records = recordedDecisions(defaultProfile, 60)
    const inForce = { default: defaultProfile }
    const result = whatIf(records, await otherProfile('least-request', inForce, {}), inForce)
    assert.ok(result.others.length > 0)
    assert.ok(result.cachedTokens.wouldBe < result.cachedTokens.were)
    for (const { was, wouldBe, whyWas, whyWouldBe } of result.others) {
      assert.notEqual(was, wouldBe)
      assert.ok(whyWas !== '')
      assert.match(whyWouldBe, /^(aibrix-least-request|as good as others) /)
    }
    const words = renderWhatIf(result)
    assert.match(
      words,
      /^Under routing-strategy 'least-request' \d+ of 60 recorded decisions would have gone elsewhere\.\n/,
    )
    assert.match(words, /\n {2}was {4}h:\d: cost .*\n {2}would {2}h:\d: /)
  })

  test('facts that the profile in use did not look at are named', () => {
    const records = recordedDecisions(balancedProfile, 3)
    const { missingFacts } = whatIf(records, { title: 'x', planOf: () => defaultProfile }, {})
    assert.ok(missingFacts.includes('cachedTokens'), missingFacts.join())
  })

  test('a probe of an ejected endpoint is no decision of a profile', () => {
    const { table, decide } = setUp()
    table.ejected[1] = 1
    table.ejectedUntilMs[1] = 1
    const { record } = decide()
    const result = whatIf([record], { title: 'x', planOf: () => balancedProfile }, {})
    assert.deepEqual([result.decisions, result.skipped], [0, 1])
  })

  test('names are looked up in force, built in, and among strategies', async () => {
    const own: ProfilePlan = { ...balancedProfile, scorers: [] }
    const planOf = async (name: string) =>
      (await otherProfile(name, { own }, {})).planOf(recordedDecisions(own, 1)[0] ?? assert.fail())
    assert.equal(await planOf('own'), own)
    assert.equal(await planOf('house'), defaultProfile)
    assert.equal((await planOf('least-request:2,random')).scorers.length, 2)
    await assert.rejects(
      otherProfile('constructor', { own }, {}),
      /'constructor' is no file, no profile \(there are own, house, balanced, llm-d, kthena\)/,
    )
  })
})

describe('which requests are recorded', () => {
  const asked = (explain?: string) =>
    ({ id: 'id', headers: explain === undefined ? [] : ['x-infer-explain', explain] }) as unknown as InferenceRequest

  const recorded = (isAllowed: boolean, recordEvery: number, explain?: string): boolean[] => {
    const log = new DecisionLog({
      ring: new DecisionRing({ maxCount: 1, maxBytes: 1 }),
      thread: 'data-0',
      clock: manualClock(0),
    })
    const settings = { explain: { isAllowed, recordEvery }, exposeEndpoint: false }
    return Array.from({ length: 7 }, () => log.begin(asked(explain), settings) !== undefined)
  }

  const all = (value: boolean): boolean[] => Array.from({ length: 7 }, () => value)

  for (const [isAllowed, every, header, expected] of [
    [false, 0, '1', all(false)],
    [true, 0, '1', all(true)],
    [true, 0, 'true', all(true)],
    [true, 0, 'no', all(false)],
    [true, 0, undefined, all(false)],
    [false, 1, undefined, all(true)],
    [false, 3, undefined, [true, false, false, true, false, false, true]],
  ] as const) {
    test(`allowed ${isAllowed}, one in ${every}, header ${header ?? 'none'}`, () => {
      assert.deepEqual(recorded(isAllowed, every, header), expected)
    })
  }

  test('endpoints are numbered in the header where clients may not know them, and it stays short', () => {
    const { snapshot, table } = setUp({ ['€'.repeat(2000)]: defaultProfile }, { profile: '€'.repeat(2000) })
    const clock = manualClock(1_000_000)
    const scheduler = createScheduler({ table, snapshot, plugins, rng: () => 0, clock })
    const explained = (exposeEndpoint: boolean, profile?: string): string => {
      const log = new DecisionLog({ ring: new DecisionRing({ maxCount: 9, maxBytes: 1e6 }), thread: 'data-0', clock })
      const recording = log.begin(asked('1'), { explain: { isAllowed: true, recordEvery: 0 }, exposeEndpoint })
      const request = scheduleRequest(profile === undefined ? {} : { profile: { name: profile } })
      const capture = recording?.capture(request)
      assert.ok(capture !== undefined)
      scheduler.pick('a/a', request, [], capture)
      recording?.keep(capture)
      return recording?.explained ?? ''
    }
    assert.match(explained(false, 'default'), /^pick=#\d; runner-up=#\d; profile=default; reason="[^"]* against #\d/)
    assert.ok(!explained(false, 'default').includes('h:'))
    assert.match(explained(true, 'default'), /^pick=h:\d; /)
    assert.match(explained(true), /^pick=h:\d; runner-up=h:\d; profile=\?{900}/)
    assert.equal(explained(true).length, 1024)
  })
})

test('a report of all threads is in order of time, says who was silent, and has no secrets', async () => {
  const at = (atWallMs: number): DecisionRecord => ({
    ...(recordedDecisions(balancedProfile, 1)[0] ?? assert.fail()),
    atWallMs,
  })
  const answers = [
    { thread: 'data-0', answer: { decisions: [at(30), at(10)], isTruncated: false } },
    { thread: 'data-1', answer: { decisions: [at(20)], isTruncated: false } },
    { thread: 'data-2', answer: undefined },
  ]
  const profiles = {
    chat: {
      ...balancedProfile,
      scorers: [{ type: 'session-affinity', weight: 1, parameters: { secret: 'signed with this', ttlMs: 1 } }],
    },
  }
  const query = {
    requestId: undefined,
    model: undefined,
    modelServer: undefined,
    endpoint: undefined,
    profile: undefined,
  }
  const threads = { decisions: () => Promise.resolve(answers) }
  const report = await reportDecisions({ profiles }, { ...query, limit: 2, isWhole: true }, threads)
  assert.deepEqual(
    report.decisions.map(({ atWallMs }) => atWallMs),
    [30, 20],
  )
  assert.deepEqual([report.isTruncated, report.silentThreads], [true, ['data-2']])
  const shown = JSON.stringify(report.profiles)
  assert.ok(!shown.includes('signed with this') && shown.includes('ttlMs'))
})
