import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { seededRng } from '#core/clock.ts'
import { hashSegmentBlocks } from '#sim/model/block-hash.ts'
import type { EngineCall } from '#sim/model/engine-request.ts'
import { assertConserved } from '#sim/model/engine-script.ts'
import { engineSettings } from '#sim/model/engine-settings.ts'
import type { ArmDefinition } from './arm.ts'
import type { Incident } from './incident.ts'
import { type RunSetup, runArm } from './run.ts'
import type { RunMetrics } from './run-metrics.ts'
import { type Arrival, VirtualFleet } from './virtual-fleet.ts'
import { poisson } from './workload/poisson.ts'
import { segment, segmentKind } from './workload/prompt.ts'
import type { WorkloadDefinition } from './workload/workload.ts'

const settings = engineSettings('llama-8b-h100', { kvBlocks: 400 })

function arrival(atMs: number, seed: number, outputTokens = 20): Arrival {
  const blockHashes = hashSegmentBlocks([{ seed, tokens: 300 + outputTokens }], 16, 0)
  return { atMs, group: seed, request: { promptTokens: 300, outputTokens, blockHashes } }
}

function fleetOf(size: number, incidents: readonly Incident[], absent: readonly number[] = []): VirtualFleet {
  const delays = { killedMs: 1_000, hungMs: 30_000, readyMs: 500 }
  return new VirtualFleet(
    Array.from({ length: size }, () => settings),
    {},
    { incidents, absent, delays },
  )
}

describe('a fleet to which something happens', () => {
  test('loses what was on an engine that dies, and lists it until that is noticed', () => {
    const broken: EngineCall[] = []
    const incidents: readonly Incident[] = [
      { kind: 'kill', engine: 0, atMs: 100 },
      { kind: 'start', engine: 0, atMs: 5_000 },
    ]
    const fleet = new VirtualFleet(
      [settings, settings],
      { onBroken: (_, call) => void broken.push(call) },
      { incidents },
    )
    const call = fleet.submit(0, arrival(0, 1, 500))
    const other = fleet.submit(1, arrival(0, 1, 500))
    fleet.advance(99)
    assert.ok(fleet.engines[0]!.kvUse > 0 && fleet.isUp(0))
    fleet.advance(100)
    assert.deepEqual([broken, call.phase, other.phase], [[call], 'cancelled', 'running'])
    assert.deepEqual([...fleet.inFlight], [0, 1])
    assert.deepEqual([fleet.isUp(0), fleet.isListed(0), fleet.pageOf(0, 100)], [false, true, undefined])
    fleet.advance(1_100)
    assert.deepEqual([fleet.isListed(0), fleet.isListed(1)], [false, true])
    assert.equal(fleet.engines[0]!.cache.freeBlocks, 400, 'nothing is cached')
    fleet.advance(5_000)
    assert.deepEqual([fleet.isUp(0), fleet.isListed(0)], [true, false])
    fleet.advance(6_000)
    assert.ok(fleet.isListed(0))
    assert.equal(other.phase, 'finished')
  })

  test('waits for an engine that hangs, which answers no page meanwhile', () => {
    const fleet = fleetOf(1, [{ kind: 'hang', engine: 0, atMs: 50, untilMs: 2_050 }])
    const [before] = new VirtualFleet([settings]).serve([arrival(0, 1)], () => 0)
    const call = fleet.submit(0, arrival(0, 1))
    fleet.advance(60)
    assert.equal(fleet.pageOf(0, 60), undefined)
    const late = fleet.submit(0, arrival(100, 2))
    fleet.advance(2_100)
    assert.equal(fleet.pageOf(0, 2_100)?.running, 2)
    fleet.advance(Number.POSITIVE_INFINITY)
    assert.ok(Math.abs(call.lastTokenMs - (before?.lastTokenMs ?? 0) - 2_000) < 100)
    assert.ok(late.firstTokenMs > 2_050)
    assert.ok(fleet.isListed(0), 'too short to be noticed')
  })

  test('lists an engine no more that has hung for long, until it is back', () => {
    const fleet = fleetOf(1, [{ kind: 'hang', engine: 0, atMs: 0, untilMs: 40_000 }])
    const listed = [29_000, 31_000, 40_100, 40_600].map((atMs) => {
      fleet.advance(atMs)
      return fleet.isListed(0)
    })
    assert.deepEqual(listed, [true, false, false, true])
  })

  test('takes three times as long on an engine that is three times as slow', () => {
    const timeOf = (incidents: readonly Incident[]): number => {
      const [call] = fleetOf(1, incidents).serve([arrival(10, 1)], () => 0)
      return (call?.lastTokenMs ?? 0) - 10 - settings.frontEndMs
    }
    const ratio = timeOf([{ kind: 'pace', engine: 0, atMs: 0, factor: 3 }]) / timeOf([])
    assert.ok(Math.abs(ratio - 3) < 1e-9, `${ratio}`)
  })

  test('shows old pages while they are frozen', () => {
    const fleet = fleetOf(1, [{ kind: 'freeze-pages', atMs: 50, untilMs: 1_000 }])
    fleet.submit(0, arrival(0, 1, 2_000))
    fleet.advance(100)
    fleet.submit(0, arrival(100, 2, 2_000))
    fleet.advance(900)
    assert.equal(fleet.pageOf(0, 900)?.running, 1)
    fleet.advance(1_000)
    assert.equal(fleet.pageOf(0, 1_000)?.running, 2)
  })

  test('goes on believing what KV events said before they got lost', () => {
    const fleet = fleetOf(1, [{ kind: 'drop-events', atMs: 1_000, untilMs: 3_000 }])
    const ask = (atMs: number, seed: number): number => {
      const { request } = arrival(atMs, seed)
      fleet.advance(atMs)
      fleet.submit(0, arrival(atMs, seed))
      fleet.advance(atMs + 900)
      return fleet.announcedBlocks(0, request.blockHashes, 18)
    }
    assert.equal(ask(0, 1), 18)
    assert.equal(ask(1_100, 2), 0, 'its events were lost')
    assert.equal(ask(3_100, 2), 0, 'for good')
    assert.equal(ask(5_000, 3), 18)
  })

  test('has engines that come later', () => {
    const fleet = fleetOf(2, [{ kind: 'start', engine: 1, atMs: 100 }], [1])
    assert.deepEqual([fleet.isUp(1), fleet.mayPlace(1, arrival(0, 1))], [false, false])
    fleet.advance(600)
    assert.ok(fleet.mayPlace(1, arrival(600, 1)))
    assert.ok(!fleet.mayPlace(1, { ...arrival(600, 1), excluded: [1] }))
  })

  test('loses and invents no block, request or token, whatever happens when', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), fc.boolean(), (seed, poolsCaches) => {
        const rng = seededRng(seed)
        const fleet = new VirtualFleet(
          [1, 2, 3].map(() => engineSettings('llama-8b-h100', { kvBlocks: 60, maxNumSeqs: 4 })),
          {},
          { incidents: randomIncidents(rng), poolsCaches },
        )
        const calls: EngineCall[][] = [[], [], []]
        for (let i = 0, atMs = 0; i < 60; i++, atMs += rng() * 60) {
          fleet.advance(atMs)
          const index = Math.floor(rng() * 3)
          if (fleet.isUp(index)) calls[index]?.push(fleet.submit(index, arrival(atMs, Math.floor(rng() * 12), 60)))
          if (!poolsCaches) fleet.engines.forEach((engine, each) => assertConserved(engine, calls[each] ?? []))
        }
        fleet.advance(Number.POSITIVE_INFINITY)
        for (const { phase } of calls.flat()) assert.ok(phase === 'finished' || phase === 'cancelled', phase)
        for (const { cache, counters } of fleet.engines) {
          assert.equal(cache.usedBlocks, 0)
          assert.equal(counters.submitted, counters.finished + counters.cancelled)
        }
        assert.deepEqual([...fleet.inFlight], [0, 0, 0])
      }),
      { numRuns: 40, seed: 3 },
    )
  })
})

function randomIncidents(rng: () => number): readonly Incident[] {
  return Array.from({ length: 8 }, () => {
    const atMs = rng() * 3_000
    const engine = Math.floor(rng() * 3)
    const untilMs = atMs + rng() * 800
    const draw = rng()
    if (draw < 0.3) return { kind: 'kill', engine, atMs } as const
    if (draw < 0.55) return { kind: 'start', engine, atMs } as const
    if (draw < 0.75) return { kind: 'hang', engine, atMs, untilMs } as const
    return { kind: 'pace', engine, atMs, factor: 0.3 + rng() * 4 } as const
  })
}

/** Two engines, of which the first is killed at 5 s of 10. */
const killed: WorkloadDefinition = {
  name: 'killed',
  code: '',
  summary: '',
  unit: '',
  load: 10,
  preset: 'llama-8b-h100',
  engines: 2,
  incidents: () => [{ kind: 'kill', engine: 0, atMs: 5_000 }],
  create: (setup) =>
    poisson(setup, 1, (_, number) => ({
      group: number,
      tenant: number % 2,
      prompt: [segment(segmentKind.question, number, 200)],
      answer: segment(segmentKind.answer, number, 100),
    })),
}

function run(arm: Partial<ArmDefinition>, given: Partial<RunSetup> = {}): RunMetrics {
  return runArm({
    arm: { name: 'test', kind: 'blind', summary: '', create: () => ({ place: () => 0 }), ...arm },
    workload: killed,
    seed: 1,
    load: 10,
    warmUpMs: 0,
    measuredMs: 10_000,
    readTrace: () => '',
    ...given,
  })
}

describe('a run in which an engine dies', () => {
  test('tries requests without a token again elsewhere, and keeps the time of their arrival', () => {
    const tries = new Map<number, number[]>()
    const { requests, failures, retries, ttftMs, fairness } = run({
      create: () => ({
        place(next, fleet) {
          const index = fleet.mayPlace(0, next) ? 0 : 1
          tries.set(next.atMs, [...(tries.get(next.atMs) ?? []), index])
          return index
        },
      }),
    })
    const again = [...tries.values()].filter((indexes) => indexes.length > 1)
    assert.ok(retries > 3 && again.length === retries, `${retries} retries`)
    assert.ok(again.every(([first, second]) => first === 0 && second === 1))
    assert.ok(failures > 3, 'answers that had begun are lost')
    assert.equal(requests + failures, tries.size)
    assert.ok(ttftMs.mean < 60 && fairness > 0.9)
  })

  test('fails a request after two further tries', () => {
    const { failures, retries, requests } = run({ create: () => ({ place: () => 0 }) })
    // After the death is noticed nobody may place there, and this arm insists.
    assert.ok(requests > 30 && failures > 30)
    assert.ok(retries > 1.8 * (failures - 15), `${retries} retries, ${failures} failures`)
  })

  test('fails what an arm refuses', () => {
    const { failures } = run({ create: () => ({ place: ({ tenant }) => (tenant === 0 ? 1 : -1) }) })
    assert.ok(failures > 30)
  })

  test('fails a request that no engine could ever hold, without asking another one', () => {
    const engineOf = (each: typeof settings): typeof settings => ({ ...each, kvBlocks: 10 })
    assert.throws(() => run({}, { workload: { ...killed, engineOf, incidents: () => [] } }), /was answered/)
    const some = { ...killed, engineOf: (each: typeof settings, i: number) => (i === 0 ? engineOf(each) : each) }
    const { failures, retries, requests } = run(
      { create: () => ({ place: ({ tenant }) => (tenant === 0 ? 0 : 1) }) },
      { workload: { ...some, incidents: () => [] } },
    )
    assert.ok(failures > 30 && requests > 30)
    assert.equal(retries, 0)
  })

  test('tells the arm of every failure once', () => {
    let open = 0
    const { retries } = run({
      create: () => ({
        place(next, fleet) {
          open++
          return fleet.mayPlace(0, next) ? 0 : 1
        },
        onFinished: () => void open--,
        onFailed: () => void open--,
        open: () => open,
      }),
    })
    assert.ok(retries > 0)
    assert.equal(open, 0)
  })

  test('deals requests to gateways in turn, each with an arm and a view of its own', () => {
    const seen: number[] = []
    let made = 0
    run(
      {
        create() {
          const number = made++
          return {
            place(_, fleet) {
              seen.push(number)
              assert.ok(fleet.inFlight[0]! <= 4, 'a gateway sees a third of all')
              return 0
            },
          }
        },
      },
      { workload: { ...killed, gateways: 3, incidents: () => [] } },
    )
    assert.deepEqual([made, seen.slice(0, 6)], [3, [0, 1, 2, 0, 1, 2]])
  })

  test('ends with a fault when nothing came that is measured', () => {
    assert.throws(() => run({}, { warmUpMs: 1_000, measuredMs: 0 }), /no request arrived after the warm-up/)
  })
})
