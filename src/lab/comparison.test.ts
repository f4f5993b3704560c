import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ArmDefinition } from './arm.ts'
import { arms } from './arm-table.ts'
import { findCapacities } from './capacity.ts'
import { type Comparison, compare, meanOf } from './comparison.ts'
import { bestInHindsight } from './hindsight.ts'
import { pairedRatio } from './ratio.ts'
import { capacityPage } from './report/capacity-page.ts'
import { capacityText } from './report/capacity-text.ts'
import { comparisonPage } from './report/comparison-page.ts'
import { columnText, regretText } from './report/comparison-text.ts'
import { reportJson } from './report/json.ts'
import type { RunMetrics } from './run-metrics.ts'
import { type Catalogue, localRunner, type Progress, type Runner, type RunTask } from './task.ts'
import { workloads } from './workload-table.ts'

function named(name: string): ArmDefinition {
  const found = arms.find((arm) => arm.name === name)
  assert.ok(found, name)
  return found
}

const small = workloads
  .filter(({ name }) => name === 'chat' || name === 'hot')
  .map((workload) => ({ ...workload, engines: 3, load: workload.load / 3 }))

const catalogue: Catalogue = { arms, workloads: small, readTrace: () => assert.fail('no trace is read') }
const quiet: Progress = { planned: () => undefined, ended: () => undefined }
const ports = { runner: localRunner(catalogue), progress: quiet }

const chosen = {
  arms: ['random', 'gateway', 'llm-d', 'oracle'].map(named),
  workloads: small,
  seeds: [1, 2],
  loads: [1],
  warmUpMs: 1_000,
  measuredMs: 5_000,
}

/** Everything that is said of a comparison. */
function reportOf(comparison: Comparison): string {
  const columns = comparison.columns.map((column) => columnText(column, 120))
  return [reportJson(comparison), comparisonPage(comparison), ...columns, regretText(comparison, 120)].join('')
}

/** A runner whose runs cost nothing, and the tasks it got. */
function made(costOf: (task: RunTask) => Partial<RunMetrics>): { readonly runner: Runner; readonly tasks: RunTask[] } {
  const tasks: RunTask[] = []
  const run = async (task: RunTask): Promise<RunMetrics> => {
    tasks.push(task)
    return costOf(task) as RunMetrics
  }
  return { runner: { run }, tasks }
}

const spread = (mean: number): RunMetrics['e2eMs'] => ({ mean, p50: mean, p90: mean, p99: mean })

describe('a comparison', () => {
  test('gives the same bytes of report for the same seeds, and others for others', async () => {
    const report = async (seeds: readonly number[]): Promise<string> =>
      reportOf(await compare({ ...chosen, seeds }, ports))
    const first = await report([1, 2])
    assert.equal(await report([1, 2]), first)
    assert.notEqual(await report([3, 4]), first)
  })

  test('gives the same whichever run ends first', async () => {
    const late: Runner = {
      async run(task) {
        // Later tasks wait for fewer turns of the loop, so that they end before earlier ones.
        for (let turn = task.seed * 3; turn < 9; turn++) await new Promise((resolve) => void setImmediate(resolve))
        return ports.runner.run(task)
      },
    }
    const [one, other] = [await compare(chosen, ports), await compare(chosen, { runner: late, progress: quiet })]
    assert.equal(reportOf(other), reportOf(one))
  })

  test('reports 1 for the best arm of each column, more for the others, and parts of the oracle', async () => {
    const { columns, regrets } = await compare(chosen, ports)
    for (const { cells, bestE2e } of columns) {
      for (const { arm, e2eRatio, oracle } of cells) {
        assert.ok(arm === bestE2e ? e2eRatio.ratio === 1 : e2eRatio.ratio > 1 || arm === 'oracle', arm)
        assert.ok(oracle !== undefined && (arm !== 'oracle' || oracle.e2e === 1), arm)
      }
      assert.notEqual(bestE2e, 'oracle', 'a yardstick is nobody to regret')
    }
    assert.ok(regrets.every(({ e2e, e2eWorst, kind }) => (e2e >= 1 || kind === 'yardstick') && e2eWorst >= e2e))
  })

  test('turns the order of the arms from seed to seed, and runs each load of each workload', async () => {
    const { runner, tasks } = made(() => ({ e2eMs: spread(1), ttftMs: spread(1), goodputPerSecond: 1 }))
    const setup = { ...chosen, workloads: small.slice(0, 1), loads: [0.5, 1], seeds: [7, 8, 9] }
    const { columns } = await compare(setup, { runner, progress: quiet })
    assert.deepEqual(
      columns.map(({ load }) => load),
      [0.5, 1].map((factor) => Number((factor * (small[0]?.load ?? 0)).toPrecision(6))),
    )
    const firsts = [7, 8, 9].map((seed) => tasks.find((task) => task.seed === seed)?.arm.name)
    assert.deepEqual(firsts, ['random', 'gateway', 'llm-d'])
    assert.equal(tasks.length, 2 * 3 * 4)
  })

  test('draws a page that needs nothing else, also with several loads and several tenants', async () => {
    const twoLoads = {
      ...chosen,
      seeds: [1],
      loads: [0.5, 1],
      tuningSeeds: [1],
      arms: ['gateway', 'dynamo-lmetric'].map(named),
    }
    const html = comparisonPage(await compare(twoLoads, ports))
    assert.ok(html.includes('<svg') && html.includes('gateway') && html.startsWith('<!doctype html>'))
    assert.doesNotMatch(html, /NaN|undefined|Infinity|<script|src=|@import|href="[^#]/)
  })

  test('fits its tables into a terminal, down to what matters most', async () => {
    const { columns } = await compare({ ...chosen, seeds: [1] }, ports)
    const [column] = columns
    assert.ok(column)
    for (const width of [60, 80, 120, 200]) {
      const lines = columnText(column, width).split('\n').slice(1)
      assert.ok(
        lines.every((line) => line.length <= width),
        String(width),
      )
      assert.match(lines[0] ?? '', /^arm .*e2e/)
    }
  })
})

describe('the mean of runs', () => {
  test('goes through every figure, also of tenants, and leaves out what is not there', () => {
    const runs = [
      { e2eMs: spread(1), requests: 2, tenants: [{ tenant: 0, slowdown: 1 }], extra: undefined },
      { e2eMs: spread(3), requests: 4, tenants: [{ tenant: 0, slowdown: 2 }], extra: undefined },
    ] as unknown as RunMetrics[]
    const mean = meanOf(runs) as unknown as Record<string, unknown>
    const copies = (values: readonly number[]): number =>
      meanOf(values.map((copiesPerPrefix) => ({ copiesPerPrefix }) as RunMetrics)).copiesPerPrefix
    assert.equal(copies([2, Number.NaN, 4]), 3, 'a seed without the figure')
    assert.ok(Number.isNaN(copies([Number.NaN, Number.NaN])))
    assert.deepEqual(mean, { e2eMs: spread(2), requests: 3, tenants: [{ tenant: 0, slowdown: 1.5 }], extra: undefined })
  })
})

describe('a ratio', () => {
  test('pairs seeds: a constant ratio has no width however much the seeds differ', () => {
    const { ratio, low, high } = pairedRatio([20, 200, 2_000], [10, 100, 1_000])
    for (const value of [ratio, low, high]) assert.ok(Math.abs((value ?? 0) - 2) < 1e-9)
    const noisy = pairedRatio([2, 4], [1, 1])
    assert.ok(Math.abs(noisy.ratio - Math.sqrt(8)) < 1e-9)
    // Two seeds: t is 12.706 and the standard error ln(2) / 2.
    assert.ok(Math.abs(Math.log(noisy.high ?? 0) - (Math.log(8) / 2 + (12.706 * Math.log(2)) / 2)) < 1e-9)
    assert.equal(pairedRatio([1], [1]).low, undefined)
  })
})

describe('the best setting in hindsight', () => {
  const frame = { workload: 'chat', load: 1, warmUpMs: 0, measuredMs: 1 }
  const at = ({ arm }: RunTask, name: string): number =>
    arm.values?.[name] ?? named(arm.name).parameters?.[name]?.value ?? 0

  test('is found parameter by parameter, and named as far as it is other than published', async () => {
    const { runner, tasks } = made((task) => {
      const [kv, prefix] = [at(task, 'kv'), at(task, 'prefix')]
      return { e2eMs: spread(10 + (kv - 6) ** 2 + (prefix - 6) ** 2 + task.seed) }
    })
    const best = await bestInHindsight({ arm: named('llm-d'), frame, seeds: [1, 2] }, runner, quiet)
    assert.deepEqual(best, { kv: 6, prefix: 6 })
    const settings = new Set(tasks.map(({ arm }) => JSON.stringify(arm.values)))
    assert.equal(tasks.length, settings.size * 2, 'no setting runs twice on a seed')
  })

  test('is the published one when nothing is better', async () => {
    const { runner } = made(() => ({ e2eMs: spread(5) }))
    assert.deepEqual(await bestInHindsight({ arm: named('dynamo'), frame, seeds: [1] }, runner, quiet), {})
  })

  test('is reported beside the published one, on seeds that the search has not seen', async () => {
    const { runner, tasks } = made((task) => ({
      e2eMs: spread(at(task, 'threshold') === 0.5 ? 1 : 2),
      ttftMs: spread(1),
      goodputPerSecond: 1,
    }))
    const setup = {
      ...chosen,
      workloads: small.slice(0, 1),
      arms: ['random', 'smg'].map(named),
      seeds: [101],
      tuningSeeds: [1],
    }
    const { columns, regrets } = await compare(setup, { runner, progress: quiet })
    assert.deepEqual(
      columns[0]?.cells.map(({ arm, values, e2eRatio }) => [arm, values, e2eRatio.ratio]),
      [
        ['random', undefined, 2],
        ['smg', undefined, 2],
        ['smg*', { threshold: 0.5 }, 1],
      ],
    )
    assert.deepEqual(
      new Set(tasks.filter(({ seed }) => seed === 101).map(({ arm }) => arm.values?.threshold)),
      new Set([undefined, 0.5]),
    )
    assert.match(regrets.at(-1)?.summary ?? '', /^smg at its best setting/)
  })
})

describe('capacity', () => {
  const setup = {
    arms: ['random', 'gateway'].map(named),
    workloads: small.slice(0, 1),
    seeds: [101, 102],
    share: 0.99,
    tolerance: 1.03,
    warmUpMs: 0,
    measuredMs: 1_000,
  }

  /** Arms that carry so much in multiples of the workload's own load, seed by seed. */
  function carrying(factorOf: (task: RunTask) => number): Runner {
    const own = small[0]?.load ?? 0
    return made((task) => ({ goodShare: task.load <= own * factorOf(task) ? 1 : 0.5 })).runner
  }

  test('is found by bisection, below and above the own load', async () => {
    const own = small[0]?.load ?? 0
    for (const factor of [0.1, 0.9, 1, 1.01, 7]) {
      const runner = carrying(({ arm }) => (arm.name === 'random' ? factor / 1.4 : factor))
      const { columns } = await findCapacities(setup, { runner, progress: quiet })
      const [best, second] = columns[0]?.rows ?? []
      assert.equal(best?.arm, 'gateway')
      for (const load of best?.seeds ?? []) assert.ok(load <= factor * own && load * 1.031 > factor * own, `${load}`)
      assert.ok(Math.abs((second?.ratio?.ratio ?? 0) - 1 / 1.4) < 0.03)
    }
  })

  test('is none where no load is carried, and bounded where every load is', async () => {
    for (const [factor, isNone] of [
      [0, true],
      [1e9, false],
    ] as const) {
      const { columns } = await findCapacities(setup, { runner: carrying(() => factor), progress: quiet })
      for (const { load, ratio, probes } of columns[0]?.rows ?? []) {
        assert.equal(load === 0, isNone)
        assert.equal(ratio === undefined, isNone)
        assert.ok(probes.length <= 16)
      }
    }
  })

  test('stops where a recording would be over too soon', async () => {
    const mostLoad = 1.7 * (small[0]?.load ?? 0)
    const lengthMs = mostLoad * (setup.warmUpMs + setup.measuredMs)
    const recorded = setup.workloads.map((each) => ({ ...each, recording: { lengthMs, isSame: true } }))
    const { columns } = await findCapacities(
      { ...setup, workloads: recorded },
      { runner: carrying(() => 9), progress: quiet },
    )
    const [column] = columns
    assert.ok(column)
    assert.match(capacityText(column, 0.99, 80), /All seeds replay the same recording[^]*≥ \d/)
    for (const { seeds, probes, isOpen } of column.rows) {
      assert.ok(isOpen)
      assert.deepEqual(new Set(seeds), new Set([mostLoad]))
      assert.ok(probes.every(({ load }) => load <= mostLoad))
    }
  })

  test('of real arms is reported as table and page', async () => {
    const short = { ...setup, seeds: [101], tolerance: 1.3, measuredMs: 2_000 }
    const capacities = await findCapacities(short, ports)
    const [column] = capacities.columns
    assert.ok(column)
    assert.match(capacityText(column, 0.99, 80), /greatest load with 99 % inside the objective\narm +requests\/s/)
    assert.doesNotMatch(capacityPage(capacities), /NaN|undefined|Infinity|<script|src=|href="[^#]/)
  })
})
