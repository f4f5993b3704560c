import type { ArmDefinition, ArmKind } from './arm.ts'
import { runArm } from './run.ts'
import type { RunMetrics, Spread } from './run-metrics.ts'
import type { WorkloadDefinition } from './workload/workload.ts'

/** What is compared with what. */
export interface ComparisonSetup {
  readonly arms: readonly ArmDefinition[]
  readonly workloads: readonly WorkloadDefinition[]
  /** Each is one list of requests that all arms get. */
  readonly seeds: readonly number[]
  /** Instead of each workload's own load. */
  readonly load: number | undefined
  readonly warmUpMs: number
  readonly measuredMs: number
  readonly readTrace: (file: string) => string
}

/** One arm over one workload: the mean over seeds, and the single seeds. */
export interface Cell {
  readonly arm: string
  readonly mean: RunMetrics
  readonly seeds: readonly RunMetrics[]
  /** Times over those of the column's best arm, over paired seeds. */
  readonly e2eRatio: Ratio
  readonly ttftRatio: Ratio
}

/** A geometric mean of ratios with its interval of 95 %, which one seed does not give. */
export interface Ratio {
  readonly ratio: number
  readonly low: number | undefined
  readonly high: number | undefined
}

/** One workload. */
export interface Column {
  readonly workload: string
  readonly code: string
  readonly summary: string
  readonly unit: string
  readonly load: number
  readonly engines: number
  readonly preset: string
  readonly bestE2e: string
  readonly bestTtft: string
  readonly cells: readonly Cell[]
}

/** An arm against the best of each column: geometric mean over the columns, and its worst column. */
export interface Regret {
  readonly arm: string
  readonly kind: ArmKind
  readonly summary: string
  readonly e2e: number
  readonly e2eWorst: number
  readonly ttft: number
  readonly ttftWorst: number
}

/** A comparison in figures. The same setup gives the same. */
export interface Comparison {
  readonly seeds: readonly number[]
  readonly warmUpMs: number
  readonly measuredMs: number
  readonly columns: readonly Column[]
  readonly regrets: readonly Regret[]
}

/** Hears how far a comparison is. */
export interface ComparisonObserver {
  /** Before each run; `done` runs of `total` have ended. The run waits for what it returns, which lets others work. */
  beforeRun(done: number, total: number, what: string): Promise<void>
  onColumn?(column: Column): void
}

/** Runs every arm over every workload with every seed, one run at a time. */
export async function compare(setup: ComparisonSetup, observer: ComparisonObserver): Promise<Comparison> {
  const { arms, workloads, seeds, warmUpMs, measuredMs } = setup
  const total = arms.length * workloads.length * seeds.length
  let done = 0
  const columns: Column[] = []
  for (const workload of workloads) {
    const rows: (readonly RunMetrics[])[] = []
    for (const arm of arms) {
      const runs: RunMetrics[] = []
      for (const seed of seeds) {
        await observer.beforeRun(done++, total, `${workload.name}: ${arm.name}, seed ${seed}`)
        runs.push(runArm({ ...setup, arm, workload, seed, load: setup.load ?? workload.load }))
      }
      rows.push(runs)
    }
    const column = columnOf(setup, workload, rows)
    columns.push(column)
    observer.onColumn?.(column)
  }
  return { seeds, warmUpMs, measuredMs, columns, regrets: regretsOf(arms, columns) }
}

function columnOf(
  { arms, load }: ComparisonSetup,
  workload: WorkloadDefinition,
  rows: readonly (readonly RunMetrics[])[],
): Column {
  const e2e = rows.map((runs) => runs.map(({ e2eMs }) => e2eMs.mean))
  const ttft = rows.map((runs) => runs.map(({ ttftMs }) => ttftMs.mean))
  const bestE2e = leastRow(e2e)
  const bestTtft = leastRow(ttft)
  const { name, code, summary, unit, engines, preset } = workload
  return {
    workload: name,
    code,
    summary,
    unit,
    load: load ?? workload.load,
    engines,
    preset,
    bestE2e: arms[bestE2e]?.name ?? '',
    bestTtft: arms[bestTtft]?.name ?? '',
    cells: rows.map((runs, i) => ({
      arm: arms[i]?.name ?? '',
      mean: meanOf(runs),
      seeds: runs,
      e2eRatio: pairedRatio(e2e[i] ?? [], e2e[bestE2e] ?? []),
      ttftRatio: pairedRatio(ttft[i] ?? [], ttft[bestTtft] ?? []),
    })),
  }
}

function leastRow(rows: readonly (readonly number[])[]): number {
  const means = rows.map((values) => values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
  return means.indexOf(Math.min(...means))
}

/** Two-sided 95 % of Student's t for 1 to 10 degrees of freedom. */
const student = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228] as const
const studentBeyond = 2.2

/** The ratio of two arms over paired seeds: geometric mean and its 95 % interval by Student's t in the logarithm. */
export function pairedRatio(values: readonly number[], base: readonly number[]): Ratio {
  const logs = values.map((value, i) => Math.log(value / (base[i] ?? Number.NaN)))
  const count = logs.length
  const mean = logs.reduce((sum, each) => sum + each, 0) / count
  if (count < 2) return { ratio: Math.exp(mean), low: undefined, high: undefined }
  const variance = logs.reduce((sum, each) => sum + (each - mean) ** 2, 0) / (count - 1)
  const half = (student[count - 2] ?? studentBeyond) * Math.sqrt(variance / count)
  return { ratio: Math.exp(mean), low: Math.exp(mean - half), high: Math.exp(mean + half) }
}

function regretsOf(arms: readonly ArmDefinition[], columns: readonly Column[]): readonly Regret[] {
  return arms.map(({ name, kind, summary }, i) => {
    const ratios = (value: (cell: Cell) => Ratio): readonly number[] =>
      columns.map(({ cells }) => {
        const cell = cells[i]
        return cell === undefined ? Number.NaN : value(cell).ratio
      })
    const e2e = ratios(({ e2eRatio }) => e2eRatio)
    const ttft = ratios(({ ttftRatio }) => ttftRatio)
    return {
      arm: name,
      kind,
      summary,
      e2e: geometricMean(e2e),
      e2eWorst: Math.max(...e2e),
      ttft: geometricMean(ttft),
      ttftWorst: Math.max(...ttft),
    }
  })
}

function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
}

/** The mean over seeds, figure by figure. */
function meanOf(runs: readonly RunMetrics[]): RunMetrics {
  const mean = (value: (run: RunMetrics) => number): number =>
    runs.reduce((sum, run) => sum + value(run), 0) / runs.length
  const spread = (value: (run: RunMetrics) => Spread): Spread => ({
    mean: mean((run) => value(run).mean),
    p50: mean((run) => value(run).p50),
    p90: mean((run) => value(run).p90),
    p99: mean((run) => value(run).p99),
  })
  return {
    requests: mean(({ requests }) => requests),
    ttftMs: spread(({ ttftMs }) => ttftMs),
    tpotMs: spread(({ tpotMs }) => tpotMs),
    e2eMs: spread(({ e2eMs }) => e2eMs),
    itlMs: spread(({ itlMs }) => itlMs),
    outputTokensPerSecond: mean(({ outputTokensPerSecond }) => outputTokensPerSecond),
    goodputPerSecond: mean(({ goodputPerSecond }) => goodputPerSecond),
    goodShare: mean(({ goodShare }) => goodShare),
    hitRatio: mean(({ hitRatio }) => hitRatio),
    preemptions: mean(({ preemptions }) => preemptions),
    requestsMaxOverMean: mean(({ requestsMaxOverMean }) => requestsMaxOverMean),
    inFlightMaxOverMean: mean(({ inFlightMaxOverMean }) => inFlightMaxOverMean),
    copiesPerPrefix: mean(({ copiesPerPrefix }) => copiesPerPrefix),
  }
}
