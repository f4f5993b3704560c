import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { seededRng } from '#core/clock.ts'
import { openLeases } from '#datastore/lease.ts'
import { engineSettings } from '#sim/model/engine-settings.ts'
import type { ArmDefinition } from './arm.ts'
import { arms } from './arm-table.ts'
import { OwnSchedulerArm } from './arms/own-scheduler.ts'
import { compare, pairedRatio } from './comparison.ts'
import { FleetClock } from './fleet-clock.ts'
import { columnText, comparisonHtml, comparisonJson, regretText } from './report.ts'
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

const chosen = {
  arms: ['random', 'gateway', 'llm-d'].map(armNamed),
  workloads: workloads.filter(({ name }) => name === 'chat' || name === 'hot'),
  seeds: [1, 2],
  load: undefined,
  warmUpMs: 1_000,
  measuredMs: 5_000,
  readTrace,
}

const observer = { beforeRun: async (): Promise<void> => undefined }

describe('the laboratory', () => {
  test('gives the same bytes of report for the same seeds, and others for others', async () => {
    const report = async (seeds: readonly number[]): Promise<string> => {
      const comparison = await compare({ ...chosen, seeds }, observer)
      return (
        comparisonJson(comparison) +
        comparisonHtml(comparison) +
        comparison.columns.map(columnText).join('') +
        regretText(comparison)
      )
    }
    const first = await report([1, 2])
    assert.equal(await report([1, 2]), first)
    assert.notEqual(await report([3, 4]), first)
  })

  for (const { name } of workloads) {
    test(`${name}: every arm ends all requests and holds none at the end`, () => {
      // runArm throws when a request is lost or an arm holds one.
      for (const arm of arms) {
        const { requests, hitRatio, requestsMaxOverMean, ttftMs, e2eMs } = run(name, arm, { measuredMs: 3_000 })
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
                const { session, atMs, request } = arrival
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
        run(name, recorder, { measuredMs: 45_000, warmUpMs: 1_000, load: loadOf(name) / 8 })
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
    assert.ok(arm.table.pendingPromptBytes.every((bytes) => bytes === 0))
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
    const own = run('mooncake', 'gateway', long)
    assert.ok(own.requests > 100 && own.requestsMaxOverMean < 1.5, `${own.requestsMaxOverMean}`)
    assert.ok(own.inFlightMaxOverMean < 1.5, `${own.inFlightMaxOverMean}`)
  })
})

describe('the comparison', () => {
  test('finds what prefix affinity is worth, as the reference does', () => {
    const time = { warmUpMs: 10_000, measuredMs: 20_000 }
    const [blind, llmd] = [run('zipf', 'random', time), run('zipf', 'llm-d', time)]
    assert.ok(llmd.hitRatio > blind.hitRatio + 0.15 && llmd.e2eMs.mean < 0.7 * blind.e2eMs.mean)
    assert.ok(llmd.copiesPerPrefix < 0.5 * blind.copiesPerPrefix)
  })

  test('pairs seeds: a constant ratio has no width however much the seeds differ', () => {
    const { ratio, low, high } = pairedRatio([20, 200, 2_000], [10, 100, 1_000])
    for (const value of [ratio, low, high]) assert.ok(Math.abs((value ?? 0) - 2) < 1e-9)
    const noisy = pairedRatio([2, 4], [1, 1])
    assert.ok(Math.abs(noisy.ratio - Math.sqrt(8)) < 1e-9)
    // Two seeds: t is 12.706 and the standard error ln(2) / 2.
    assert.ok(Math.abs(Math.log(noisy.high ?? 0) - (Math.log(8) / 2 + (12.706 * Math.log(2)) / 2)) < 1e-9)
    assert.equal(pairedRatio([1], [1]).low, undefined)
  })

  test('reports 1 for the best arm of each column and more for the others', async () => {
    const { columns, regrets } = await compare(chosen, observer)
    for (const { cells, bestE2e } of columns) {
      for (const { arm, e2eRatio } of cells) assert.ok(arm === bestE2e ? e2eRatio.ratio === 1 : e2eRatio.ratio > 1, arm)
    }
    assert.ok(regrets.every(({ e2e, e2eWorst }) => e2e >= 1 && e2eWorst >= e2e))
  })

  test('draws a page that needs nothing else', async () => {
    const html = comparisonHtml(await compare({ ...chosen, seeds: [1] }, observer))
    assert.ok(html.includes('<svg') && html.includes('gateway') && html.startsWith('<!doctype html>'))
    assert.doesNotMatch(html, /NaN|undefined|<script|src=|@import|href=/)
  })
})
