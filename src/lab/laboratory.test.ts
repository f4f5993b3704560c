import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { seededRng } from '#core/clock.ts'
import { openLeases } from '#datastore/lease.ts'
import { engineSettings } from '#sim/model/engine-settings.ts'
import type { ArmDefinition } from './arm.ts'
import { arms } from './arm-table.ts'
import { OwnSchedulerArm } from './arms/own-scheduler.ts'
import { FleetClock } from './fleet-clock.ts'
import { type RunSetup, runArm } from './run.ts'
import type { RunMetrics } from './run-metrics.ts'
import { VirtualFleet } from './virtual-fleet.ts'
import { workloads } from './workload-table.ts'

const readTrace = (file: string): string => readFileSync(new URL(`../../bench/traces/${file}`, import.meta.url), 'utf8')

function armNamed(name: string): ArmDefinition {
  const found = arms.find((arm) => arm.name === name)
  assert.ok(found, name)
  return found
}

function run(workloadName: string, arm: string | ArmDefinition, given: Partial<RunSetup> = {}): RunMetrics {
  const workload = workloads.find(({ name }) => name === workloadName)
  assert.ok(workload, workloadName)
  return runArm({
    arm: typeof arm === 'string' ? armNamed(arm) : arm,
    workload,
    seed: 1,
    load: workload.load,
    warmUpMs: 2_000,
    measuredMs: 8_000,
    readTrace,
    ...given,
  })
}

function loadOf(workloadName: string): number {
  return workloads.find(({ name }) => name === workloadName)?.load ?? Number.NaN
}

/** Workloads in which little happens in ten seconds, or something that hangs on what happened before. */
const slow: readonly string[] = ['chat', 'fan-out', 'agents', 'mooncake', 'azure-conversation', 'azure-code']

describe('the laboratory', () => {
  for (const [number, { name }] of workloads.entries()) {
    test(`${name}: the gateway and an arm of another kind end all requests and hold none at the end`, () => {
      // Completions come in bursts, with nothing between them for seconds.
      const measuredMs = name === 'azure-code' ? 20_000 : 1_500
      // runArm throws when a request is lost or an arm holds one.
      const other = ['least-tokens', 'dynamo', 'sees-caches'][number % 3] ?? ''
      for (const arm of ['gateway', other].map(armNamed)) {
        const { requests, hitRatio, requestsMaxOverMean, ttftMs, e2eMs } = run(name, arm, {
          warmUpMs: 1_000,
          measuredMs,
        })
        assert.ok(requests > 0 && hitRatio >= 0 && hitRatio <= 1, arm.name)
        assert.ok(requestsMaxOverMean >= 1 && ttftMs.mean > 0 && e2eMs.mean >= ttftMs.mean, arm.name)
      }
    })

    test(`${name}: what is asked does not depend on the arm`, () => {
      const asked = (arm: ArmDefinition): ReadonlyMap<string, string> => {
        const requests = new Map<string, string>()
        const turns = new Map<number, number>()
        const recorder: ArmDefinition = {
          ...arm,
          create(ports) {
            const made = arm.create(ports)
            return {
              place(arrival, fleet) {
                const { session, atMs, request, excluded } = arrival
                if (excluded !== undefined) return made.place(arrival, fleet)
                const turn = turns.get(session ?? -1) ?? 0
                turns.set(session ?? -1, turn + 1)
                const { promptTokens, outputTokens, blockHashes } = request
                const time = session === undefined ? `at ${atMs} ` : ''
                const text = `${time}${promptTokens} ${outputTokens} ${blockHashes.at(-1)}`
                requests.set(`${session}/${turn}`, text)
                return made.place(arrival, fleet)
              },
            }
          },
        }
        run(name, recorder, {
          measuredMs: slow.includes(name) ? 45_000 : 10_000,
          warmUpMs: 1_000,
          load: loadOf(name) / 8,
        })
        return requests
      }
      const [one, other] = [asked(armNamed('round-robin')), asked(armNamed('sees-caches'))]
      const both = [...one.keys()].filter((key) => other.has(key))
      assert.ok(both.length >= 10 && both.length > 0.8 * one.size, `${both.length} of ${one.size}`)
      for (const key of both) assert.equal(one.get(key), other.get(key), key)
    })
  }

  test('an arm that loses count of its requests ends the run with a fault', () => {
    const leaky: ArmDefinition = {
      name: 'leaky',
      kind: 'blind',
      summary: 'holds one for ever',
      create: () => ({ place: () => 0, open: () => 1 }),
    }
    assert.throws(() => run('zipf', leaky, { measuredMs: 1_000 }), /leaky over zipf: .* 1 held/)
  })
})

describe("the gateway's own scheduler as an arm", () => {
  test('holds a lease for every request under way, and none after the run', () => {
    let arm: OwnSchedulerArm | undefined
    let most = 0
    let wrong = 0
    const watched: ArmDefinition = {
      name: 'watched',
      kind: 'own',
      summary: '',
      create(ports) {
        const own = new OwnSchedulerArm(ports)
        arm = own
        return {
          place(arrival, fleet) {
            const index = own.place(arrival)
            const leases = openLeases(own.table)
            if (leases !== fleet.inFlight.reduce((sum, each) => sum + each, 0) + 1) wrong++
            most = Math.max(most, leases)
            return index
          },
          onFirstToken: (placed, atMs) => own.onFirstToken(placed, atMs),
          onFinished: (placed, atMs) => own.onFinished(placed, atMs),
        }
      },
    }
    run('zipf', watched)
    assert.ok(arm && most > 20, `${most} leases at most`)
    assert.equal(wrong, 0)
    assert.equal(openLeases(arm.table), 0)
    assert.ok(arm.table.uncachedTokens.every((tokens) => tokens === 0))
    assert.ok((arm.table.ttftMs[0] ?? 0) > 0 && (arm.table.tpotMs[0] ?? 0) > 0, 'answers are observed')
  })

  test('sees pages as late as they are read, and forgets them when they stay away', () => {
    const settings = [engineSettings('llama-8b-h100')]
    const fleet = new VirtualFleet(settings)
    const clock = new FleetClock()
    const outage = { fromMs: 1_000, untilMs: 10_000 }
    const timing = { intervalMs: 100, delayMs: 20, staleAfterMs: 500, outage }
    const { table } = new OwnSchedulerArm({ settings, fleet, clock, rng: seededRng(1) }, { timing })
    const blockHashes = new Float64Array(0)
    clock.advanceTo(15)
    assert.ok(Number.isNaN(table.running[0]), 'the first page is on its way')
    clock.advanceTo(95)
    assert.equal(table.running[0], 0)
    fleet.advance(95)
    fleet.submit(0, { atMs: 95, group: 0, request: { promptTokens: 100, outputTokens: 2_000, blockHashes } })
    clock.advanceTo(119)
    assert.equal(table.running[0], 0)
    clock.advanceTo(121)
    assert.equal(table.running[0], 1)
    clock.advanceTo(1_350)
    assert.equal(table.running[0], 1, 'old, but not too old')
    clock.advanceTo(1_600)
    assert.ok(Number.isNaN(table.running[0]), 'unknown, not idle')
    clock.advanceTo(10_100)
    assert.equal(table.running[0], 1)
  })

  test('does not fall into the trap of the Mooncake trace, where all prompts begin with one block', () => {
    const greedy: ArmDefinition = {
      name: 'greedy',
      kind: 'blind',
      summary: 'the endpoint of the first block',
      create: () => ({ place: () => 0 }),
    }
    const long = { measuredMs: 20_000 }
    const trapped = run('mooncake', greedy, { measuredMs: 2_000 })
    assert.equal(trapped.requestsMaxOverMean, 8, 'one engine gets all')
    for (const arm of arms.filter(({ kind }) => kind === 'own')) {
      const own = run('mooncake', arm, long)
      // The house profile keeps long prompts away from full batches, so that counts differ where work does not.
      assert.ok(own.requests > 100 && own.requestsMaxOverMean < 2.5, `${arm.name}: ${own.requestsMaxOverMean}`)
      if (arm.name === 'gateway-random') continue
      assert.ok(own.inFlightMaxOverMean < 2, `${arm.name}: ${own.inFlightMaxOverMean}`)
    }
  })
})
