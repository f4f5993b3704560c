import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { seededRng } from '#core/clock.ts'
import { type EngineSettings, engineSettings } from '#sim/model/engine-settings.ts'
import { stepMs } from '#sim/model/step-time.ts'
import type { Arm, ArmDefinition, Placed } from './arm.ts'
import { arms } from './arm-table.ts'
import { DecodeBlocks } from './arms/decode-blocks.ts'
import { FleetClock } from './fleet-clock.ts'
import type { Incident } from './incident.ts'
import { LaterSteps } from './later-steps.ts'
import { leastDecoding, maxOverMean, sidesOf } from './pair.ts'
import { driveArm, type RunSetup, runArm, serveArm } from './run.ts'
import { promptStepMs } from './run-metrics.ts'
import { type FleetView, VirtualFleet } from './virtual-fleet.ts'
import { arrivalOf, segment, segmentKind } from './workload/prompt.ts'
import type { WorkloadDefinition } from './workload/workload.ts'
import { workloads } from './workload-table.ts'

const promptTokens = 480
const outputTokens = 40
const blockSize = 16

/** Engines 0 and 1 prefill, 2 and 3 decode. */
function roleOf(index: number): EngineSettings['role'] {
  return index < 2 ? 'prefill' : 'decode'
}

interface Given {
  readonly settings?: Partial<EngineSettings>
  readonly incidents?: readonly Incident[]
  /** When each request comes. */
  readonly times: readonly number[]
  /** Requests whose numbers are equal by this divisor have the same prompt. */
  readonly prompts?: number
}

function workloadOf({ settings, incidents, times, prompts = Number.MAX_SAFE_INTEGER }: Given): WorkloadDefinition {
  return {
    name: 'pairs',
    code: '',
    summary: '',
    unit: '',
    load: 1,
    preset: 'llama-8b-h100',
    engines: 4,
    engineOf: (each, index) => ({ ...each, ...settings, role: roleOf(index) }),
    ...(incidents === undefined ? {} : { incidents: () => incidents }),
    create: () => ({
      arrivals: times.map((atMs, number) => {
        const prompt = [segment(segmentKind.question, number % prompts, promptTokens)]
        const answer = segment(segmentKind.answer, number, outputTokens)
        return arrivalOf({ atMs, group: number % prompts, prompt, answer, blockSize })
      }),
    }),
  }
}

function setupOf(given: Given, arm: Arm | ArmDefinition['create']): RunSetup {
  const create = typeof arm === 'function' ? arm : () => arm
  return {
    arm: { name: 'test', kind: 'blind', summary: '', create },
    workload: workloadOf(given),
    seed: 1,
    load: 1,
    warmUpMs: 0,
    measuredMs: 1e6,
    readTrace: () => '',
  }
}

/** The first engine of each side that is there and has not failed. */
const firstOfEach: Arm = {
  place: (arrival, fleet) => fleet.engines.findIndex((_, i) => fleet.mayPlace(i, arrival)),
  placeDecode: (arrival, fleet) => fleet.engines.findIndex((_, i) => fleet.mayDecode(i, arrival)),
}

/** Fetching a prompt takes a second. */
const slowLink = { transferPerTokenUs: 1e6 / promptTokens } as const

describe('a request that one engine prefills and another one decodes', () => {
  test('takes the time of both, and of the way between them', () => {
    const { cost, frontEndMs, transferStartMs, transferPerTokenUs } = engineSettings('llama-8b-h100')
    const [placed] = serveArm(setupOf({ times: [100] }, firstOfEach))
    const prefillMs = frontEndMs + promptStepMs(cost, promptTokens, 0)
    const fetchMs = frontEndMs + transferStartMs + (promptTokens * transferPerTokenUs) / 1e3
    const tokenMs = stepMs(cost, { decodes: 1, contextTokens: promptTokens, chunks: 0, chunkTokens: 0, pairs: 0 })
    assert.ok(placed)
    const { endpoint, decodeEndpoint, call } = placed
    assert.deepEqual([endpoint, decodeEndpoint, call.producedTokens, call.cachedTokens], [0, 2, outputTokens, 0])
    const ttftMs = call.firstTokenMs - 100
    assert.ok(Math.abs(ttftMs - prefillMs - fetchMs - tokenMs) < 1e-6, `${ttftMs}`)
    assert.ok((call.lastTokenMs - call.firstTokenMs) / (outputTokens - 1) >= tokenMs)
  })

  test('leaves its prompt cached on both, of which only what is missing is computed or fetched again', () => {
    const setup = setupOf({ times: [0, 2_000], prompts: 1 }, firstOfEach)
    const [, again] = serveArm(setup)
    const { engines } = driveArm(setup)
    const [prefill, , decode] = engines.map(({ counters }) => counters)
    // The last token is computed in any case, and what is shared is whole blocks.
    assert.equal(again?.call.cachedTokens, promptTokens - blockSize)
    assert.deepEqual([prefill?.generatedTokens, decode?.generatedTokens], [2, 2 * outputTokens])
    assert.deepEqual([prefill?.chunkTokens, decode?.chunkTokens], [promptTokens + blockSize, 0])
    assert.equal(decode?.fetchedTokens, promptTokens + blockSize)
  })

  test('holds the blocks of its prompt until they have been fetched, and no longer', () => {
    const used: (readonly number[])[] = []
    const create: ArmDefinition['create'] = ({ clock, fleet }) => {
      const look = (): void => {
        const [prefill, , decode] = fleet.engines
        prefill?.advance(clock.nowMs())
        decode?.advance(clock.nowMs())
        used.push([prefill?.cache.usedBlocks ?? -1, decode?.cache.usedBlocks ?? -1, fleet.inFlight[0] ?? -1])
      }
      for (const atMs of [800, 1_150]) clock.after(atMs, look)
      return firstOfEach
    }
    driveArm(setupOf({ times: [0, 10_000], settings: slowLink }, create))
    const blocks = promptTokens / blockSize
    assert.deepEqual(used[0], [blocks, blocks, 0])
    assert.deepEqual(used[1]?.[0], 0)
    assert.ok((used[1]?.[1] ?? 0) > blocks, 'it decodes')
  })

  test('is handed over when it has its first token, where the arm says, which hears of the end of both', () => {
    const heard: string[] = []
    const note = (what: string, { endpoint, call }: Placed): void => {
      heard.push(`${what} ${endpoint} ${call.phase} ${call.producedTokens}`)
    }
    let handedMs = 0
    let prefilledMs = 0
    runArm(
      setupOf(
        { times: [5] },
        {
          place: () => 1,
          placeDecode(_, fleet) {
            handedMs = fleet.nowMs
            return 3
          },
          onFirstToken: (placed) => note('first', placed),
          onFinished(placed, atMs) {
            prefilledMs = atMs
            note('prefilled', placed)
          },
          onDecodeEnded: (placed) => note('decoded', placed),
        },
      ),
    )
    assert.deepEqual(heard, ['first 1 held 1', 'prefilled 1 held 1', `decoded 3 finished ${outputTokens}`])
    assert.equal(handedMs, prefilledMs)
  })

  test('fails when the arm has no place to decode it, and where no engine decodes', () => {
    const refuse: Arm = { ...firstOfEach, placeDecode: ({ group }) => (group === 0 ? -1 : 2) }
    assert.equal(runArm(setupOf({ times: [0, 10] }, refuse)).failures, 1)
    const none = setupOf({ times: [0] }, firstOfEach)
    const workload: WorkloadDefinition = {
      ...none.workload,
      engineOf: (each) => ({ ...each, role: 'prefill' }),
    }
    assert.throws(() => runArm({ ...none, workload }), /was answered/)
  })
})

describe('an engine that dies', () => {
  const cases = [
    { what: 'prefills', engine: 0, atMs: 15, settings: {}, retries: 1, failures: 0, ends: [1, 2] },
    { what: 'holds what is fetched', engine: 0, atMs: 500, settings: slowLink, retries: 1, failures: 0, ends: [1, 2] },
    { what: 'fetches', engine: 2, atMs: 500, settings: slowLink, retries: 1, failures: 0, ends: [0, 3] },
    { what: 'has been fetched from', engine: 0, atMs: 100, settings: {}, retries: 0, failures: 0, ends: [0, 2] },
    { what: 'decodes', engine: 2, atMs: 100, settings: {}, retries: 0, failures: 1, ends: undefined },
  ] as const
  for (const { what, engine, atMs, settings, retries, failures, ends } of cases) {
    test(`while it ${what}: ${failures} of its requests fail, ${retries} start over`, () => {
      // The second request is so late that it has nothing to do with it.
      const given: Given = { times: [0, 60_000], settings, incidents: [{ kind: 'kill', engine, atMs }] }
      const found = runArm(setupOf(given, firstOfEach))
      assert.deepEqual([found.retries, found.failures, found.requests], [retries, failures, 2 - failures])
      const first = serveArm(setupOf(given, firstOfEach)).find(({ arrival }) => arrival.atMs === 0)
      assert.deepEqual(first && [first.endpoint, first.decodeEndpoint], ends)
    })
  }

  test('before anybody knows refuses what is handed over, which starts over elsewhere', () => {
    const incidents: readonly Incident[] = [{ kind: 'kill', engine: 2, atMs: 1 }]
    const ended: Placed[] = []
    const arm: Arm = { ...firstOfEach, onDecodeEnded: (placed) => void ended.push(placed) }
    const { retries, failures } = runArm(setupOf({ times: [0], incidents }, arm))
    assert.deepEqual([retries, failures], [1, 0])
    assert.deepEqual(
      ended.map(({ endpoint, call }) => [endpoint, call.phase]),
      [
        [2, 'cancelled'],
        [3, 'finished'],
      ],
    )
  })
})

test('a hold that ends before its blocks are fetched makes the request start over, once', () => {
  const settings = { ...slowLink, holdMs: 300 }
  // Steps of the other request end the hold: an engine does so between steps.
  const times = [0, 400, 700]
  const { retries, failures } = runArm(setupOf({ times, settings }, firstOfEach))
  assert.ok(retries > 0 && failures > 0, `${retries} retries, ${failures} failures`)
})

function randomIncidents(rng: () => number): readonly Incident[] {
  return Array.from({ length: 8 }, () => {
    const engine = Math.floor(rng() * 4)
    const atMs = rng() * 3_000
    const kind = (['kill', 'start', 'hang', 'pace'] as const)[Math.floor(rng() * 4)] ?? 'kill'
    // One engine of each side stays alive.
    if (kind === 'kill' && engine % 2 === 0) return { kind: 'start', engine, atMs }
    if (kind === 'hang') return { kind, engine, atMs, untilMs: atMs + rng() * 800 }
    return kind === 'pace' ? { kind, engine, atMs, factor: 0.3 + rng() * 4 } : { kind, engine, atMs }
  })
}

function liveAt({ engines }: FleetView, index: number): number {
  const calls = engines[index]?.calls() ?? []
  return calls.filter(({ phase }) => phase !== 'held').length
}

describe('engines with roles', () => {
  test('lose and invent no request or block, whatever happens when, and repeat with their seed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => {
        const rng = seededRng(seed)
        const incidents = rng() < 0.8 ? randomIncidents(rng) : []
        const settings = {
          kvBlocks: 90 + Math.floor(rng() * 80),
          maxNumSeqs: 4,
          frontEndMs: rng() < 0.3 ? 0 : 9,
          holdMs: rng() < 0.3 ? 80 : 30_000,
          transferPerTokenUs: rng() * 100,
        }
        const times: number[] = []
        for (let i = 0, atMs = 0; i < 60; i++, atMs += rng() * 80) times.push(atMs)
        let open = 0
        const create: ArmDefinition['create'] = ({ rng: draw }) => ({
          place(arrival, fleet) {
            for (let i = 0; i < 4; i++) assert.equal(fleet.inFlight[i], liveAt(fleet, i), 'in flight is what is there')
            open++
            const engine = Math.floor(draw() * 2)
            return fleet.mayPlace(engine, arrival) ? engine : 1 - engine
          },
          placeDecode: () => {
            open++
            return 2 + Math.floor(draw() * 2)
          },
          onFinished: () => void open--,
          onDecodeEnded: () => void open--,
          open: () => open,
        })
        const setup = setupOf({ times, settings, incidents, prompts: 12 }, create)
        const first = runArm(setup)
        assert.equal(first.requests + first.failures, 60)
        const { engines, inFlight } = driveArm(setup)
        assert.deepEqual([...inFlight], [0, 0, 0, 0])
        for (const { counters, cache } of engines) {
          assert.equal(counters.submitted, counters.finished + counters.cancelled)
          assert.equal(cache.cachedBlocks + cache.freeBlocks, cache.totalBlocks)
        }
        if (incidents.length === 0 && settings.holdMs > 80) assert.equal(first.failures, 0)
        assert.deepEqual(runArm(setup), first)
      }),
      { numRuns: 30, seed: 5 },
    )
  })

  test('are places for what they do: prompts for those that prefill, decodes for those that decode', () => {
    const settings = Array.from({ length: 4 }, (_, i) => engineSettings('llama-8b-h100', { role: roleOf(i) }))
    const fleet = new VirtualFleet(settings)
    const [arrival] = workloadOf({ times: [0] }).create({
      seed: 1,
      load: 1,
      endMs: 1,
      blockSize,
      readTrace: () => '',
    }).arrivals
    assert.ok(arrival)
    const may = (index: number): readonly boolean[] => [fleet.mayPlace(index, arrival), fleet.mayDecode(index, arrival)]
    assert.deepEqual([0, 1, 2, 3].map(may), [
      [true, false],
      [true, false],
      [false, true],
      [false, true],
    ])
    assert.throws(() => fleet.serve([arrival], () => 0), /only prefills or only decodes/)
    const place = leastDecoding()
    assert.deepEqual([place(arrival, fleet), place(arrival, fleet), place(arrival, fleet)], [2, 3, 2])
    fleet.inFlight[3] = 2
    fleet.inFlight[2] = 1
    assert.equal(place(arrival, fleet), 2)
    assert.equal(place({ ...arrival, excluded: [2] }, fleet), 3)
    assert.equal(place({ ...arrival, excluded: [2, 3] }, fleet), -1)
  })

  test('decode by distinct blocks in use: two questions about one prompt count it once', () => {
    const settings = Array.from({ length: 4 }, (_, i) => engineSettings('llama-8b-h100', { role: roleOf(i) }))
    const fleet = new VirtualFleet(settings)
    const [one, other] = [480, 960].map((tokens, number) => {
      const prompt = [segment(segmentKind.prefix, number, tokens)]
      return arrivalOf({ atMs: 0, group: number, prompt, answer: segment(segmentKind.answer, number, 8), blockSize })
    })
    assert.ok(one && other)
    for (const [tokensPerRequest, isCrowded] of [
      [0, false],
      [1_000, true],
    ] as const) {
      const ports = { settings, fleet, clock: new FleetClock(), rng: seededRng(1) }
      const decodes = new DecodeBlocks(ports, tokensPerRequest)
      const places: readonly number[] = [one, other, one, one].map((arrival) => decodes.place(arrival, fleet))
      const [first = -1, second] = places
      assert.equal(second, 5 - first, 'the other engine that decodes')
      assert.deepEqual(places.slice(2), [first, isCrowded ? second : first])
      assert.equal(decodes.place({ ...one, excluded: [2, 3] }, fleet), -1)
      assert.equal(decodes.open, 4)
      const call = fleet.submit(0, one)
      for (const [i, endpoint] of places.entries()) decodes.end({ arrival: i === 1 ? other : one, endpoint, call })
      assert.equal(decodes.open, 0)
      assert.ok(decodes.place(one, fleet) >= 2)
    }
  })

  test('are compared with those that do the same', () => {
    const roles = [0, 1, 2, 3].map((index) => ({ role: roleOf(index) }))
    const both = roles.map(() => ({ role: 'both' }) as const)
    assert.deepEqual(sidesOf(roles), [
      [0, 1],
      [2, 3],
    ])
    assert.deepEqual(sidesOf(both), [[0, 1, 2, 3]])
    for (const [counts, wanted] of [
      [[5, 5, 3, 3], 1],
      [[5, 5, 3, 1], 1.5],
      [[0, 2, 0, 0], 2],
    ] as const) {
      assert.equal(maxOverMean(counts, sidesOf(roles)), wanted)
    }
    assert.equal(maxOverMean([0, 2, 0, 0], sidesOf(both)), 4)
  })
})

describe('the workloads with and without roles', () => {
  const [apart, together] = ['disaggregated', 'aggregated'].map((name) => {
    const workload = workloads.find((each) => each.name === name)
    assert.ok(workload)
    return workload
  })
  const run = (arm: string, workload: WorkloadDefinition | undefined, measuredMs = 5_000): RunSetup => {
    const found = arms.find(({ name }) => name === arm)
    assert.ok(found && workload)
    return { arm: found, workload, seed: 1, load: 12, warmUpMs: 1_000, measuredMs, readTrace: () => '' }
  }

  test('are the same requests and, for who pools all caches, the same engines', () => {
    assert.deepEqual(runArm(run('oracle', apart)), runArm(run('oracle', together)))
  })

  test('every arm places prompts on engines that prefill, decodes on the others, and ends all', () => {
    for (const { name } of arms.filter(({ poolsCaches }) => poolsCaches !== true)) {
      const served = serveArm(run(name, apart, 1_500))
      assert.ok(served.length > 8, name)
      for (const { endpoint, decodeEndpoint = -1 } of served) assert.ok(endpoint < 4 && decodeEndpoint >= 4, name)
      assert.ok(new Set(served.map(({ decodeEndpoint }) => decodeEndpoint)).size === 4, name)
    }
  })

  test('every arm ends all requests when engines of both sides die', () => {
    for (const { name } of arms.filter(({ poolsCaches }) => poolsCaches !== true)) {
      const setup = run(name, apart, 1_500)
      const incidents: readonly Incident[] = [
        { kind: 'kill', engine: 1, atMs: 1_200 },
        { kind: 'kill', engine: 5, atMs: 1_700 },
      ]
      // runArm throws when a request or a block is lost, or an arm holds a request.
      const { failures, retries } = runArm({ ...setup, workload: { ...setup.workload, incidents: () => incidents } })
      assert.ok(failures + retries > 0, name)
    }
  })

  test('with roles no prompt is computed between the tokens of others, which wait longer for their first', () => {
    const [roles, plain] = [apart, together].map((workload) => runArm(run('gateway', workload)))
    assert.ok(roles && plain)
    assert.ok(roles.itlMs.p99 < 30 && plain.itlMs.p99 > 60, `${roles.itlMs.p99} ${plain.itlMs.p99}`)
    assert.ok(roles.ttftMs.mean > plain.ttftMs.mean)
    assert.equal(roles.requests, plain.requests)
    assert.equal(roles.failures + roles.retries, 0)
  })
})

test('later steps are done in order of time, those of equal times as they were added', () => {
  const steps = new LaterSteps()
  const done: string[] = []
  for (const [dueMs, name] of [
    [5, 'c'],
    [1, 'a'],
    [5, 'd'],
    [2, 'b'],
  ] as const) {
    steps.add(dueMs, () => void done.push(name))
  }
  assert.equal(steps.act(0.5), false)
  assert.equal(steps.nextMs, 1)
  while (steps.act(4));
  assert.deepEqual([done, steps.nextMs], [['a', 'b'], 5])
  while (steps.act(5));
  assert.deepEqual([done, steps.nextMs], [['a', 'b', 'c', 'd'], Number.POSITIVE_INFINITY])
})
