import type { ArmDefinition, ArmKind, ArmValues } from './arm.ts'
import { bestInHindsight } from './hindsight.ts'
import { type OracleShare, oracleArm, shareOfOracle } from './oracle.ts'
import { geometricMean, pairedRatio, type Ratio } from './ratio.ts'
import type { RunMetrics } from './run-metrics.ts'
import { type Progress, type Runner, type RunTask, runAll } from './task.ts'
import type { WorkloadDefinition } from './workload/workload.ts'

/** What a peer's row with its best setting is marked with. */
const hindsightMark = '*'

/** Of a workload whose seeds all replay the same. */
export const sameRecording = 'All seeds replay the same recording: intervals are about this traffic and no other.'

/** What is compared with what. */
export interface ComparisonSetup {
  readonly arms: readonly ArmDefinition[]
  readonly workloads: readonly WorkloadDefinition[]
  /** Each is one list of requests that all arms get. */
  readonly seeds: readonly number[]
  /** Of each workload, as multiples of its own load; or `rate`, in its own unit. */
  readonly loads: readonly number[]
  readonly rate?: number | undefined
  /** Seeds on which peers search for their best setting; without them they do not. */
  readonly tuningSeeds?: readonly number[]
  readonly warmUpMs: number
  readonly measuredMs: number
}

/** One arm over one column: the mean over seeds, and the single seeds. */
export interface Cell {
  readonly arm: string
  /** What it was set to, of what is other than published; undefined for an arm as it is published. */
  readonly values?: ArmValues
  readonly mean: RunMetrics
  readonly seeds: readonly RunMetrics[]
  /** Times over those of the column's best arm that no yardstick is, over paired seeds. */
  readonly e2eRatio: Ratio
  readonly ttftRatio: Ratio
  /** Against the pooled-cache oracle over the same requests: geometric mean over seeds. Undefined when it did not run. */
  readonly oracle?: OracleShare
}

/** One workload at one load. */
export interface Column {
  readonly workload: string
  readonly code: string
  readonly summary: string
  readonly unit: string
  readonly load: number
  /** Such as `8 x qwen3-32b-2xh100`. */
  readonly fleet: string
  /** What to know before reading the figures: sentences. */
  readonly notes: readonly string[]
  readonly bestE2e: string
  readonly bestTtft: string
  readonly cells: readonly Cell[]
}

/** An arm against the best of each column: geometric mean over the columns, and its worst column. */
export interface Regret {
  readonly arm: string
  readonly kind: ArmKind
  readonly summary: string
  readonly source?: string
  readonly e2e: number
  readonly e2eWorst: number
  /** Workload and load of the worst column. */
  readonly e2eWorstAt: string
  readonly ttft: number
  readonly ttftWorst: number
  readonly ttftWorstAt: string
}

/** A comparison in figures. The same setup gives the same. */
export interface Comparison {
  readonly seeds: readonly number[]
  readonly tuningSeeds: readonly number[]
  readonly warmUpMs: number
  readonly measuredMs: number
  readonly columns: readonly Column[]
  readonly regrets: readonly Regret[]
}

/** An arm as one row of every column. */
interface Row {
  readonly arm: ArmDefinition
  readonly label: string
  readonly isTuned: boolean
}

interface Plan {
  readonly workload: WorkloadDefinition
  readonly load: number
}

function rowsOf({ arms, tuningSeeds }: ComparisonSetup): readonly Row[] {
  return arms.flatMap((arm) => {
    const row = { arm, label: arm.name, isTuned: false }
    const canTune = tuningSeeds !== undefined && Object.keys(arm.parameters ?? {}).length > 0
    return canTune ? [row, { arm, label: `${arm.name}${hindsightMark}`, isTuned: true }] : [row]
  })
}

/**
 * Runs every arm over every workload with every seed; `onColumn` hears of the columns in their order. The order of the arms is
 * another one for each seed, so that none always comes first.
 */
export async function compare(
  setup: ComparisonSetup,
  { runner, progress, onColumn }: ComparisonPorts,
): Promise<Comparison> {
  const { workloads, seeds, loads, rate, tuningSeeds = [], warmUpMs, measuredMs } = setup
  const rows = rowsOf(setup)
  const plans = workloads.flatMap((workload) =>
    rate === undefined
      ? loads.map((factor) => ({ workload, load: rounded(factor * workload.load) }))
      : [{ workload, load: rate }],
  )
  const pending = plans.map((plan) => columnOf(plan, rows, setup, { runner, progress }))
  // Columns are awaited in their order; one that fails before its turn is not yet unheard of.
  for (const each of pending) each.catch(() => undefined)
  const columns: Column[] = []
  for (const each of pending) {
    const column = await each
    columns.push(column)
    onColumn?.(column)
  }
  return { seeds, tuningSeeds, warmUpMs, measuredMs, columns, regrets: regretsOf(rows, columns) }
}

/** What a comparison works with. */
export interface ComparisonPorts {
  readonly runner: Runner
  readonly progress: Progress
  onColumn?(column: Column): void
}

function rounded(value: number): number {
  return Number(value.toPrecision(6))
}

async function columnOf(
  { workload, load }: Plan,
  rows: readonly Row[],
  setup: ComparisonSetup,
  { runner, progress }: ComparisonPorts,
): Promise<Column> {
  const { seeds, tuningSeeds = [], warmUpMs, measuredMs } = setup
  const frame = { workload: workload.name, load, warmUpMs, measuredMs }
  const values = await Promise.all(
    rows.map(async ({ arm, isTuned }) =>
      isTuned ? await bestInHindsight({ arm, frame, seeds: tuningSeeds }, runner, progress) : undefined,
    ),
  )
  const tasks = seeds.flatMap((seed, turn) =>
    rows.map((_, i) => {
      const at = (i + turn) % rows.length
      const chosen = values[at]
      const name = rows[at]?.arm.name ?? ''
      const arm = chosen === undefined ? { name } : { name, values: chosen }
      return { at, task: { ...frame, seed, arm } satisfies RunTask }
    }),
  )
  const metrics = await runAll(
    tasks.map(({ task }) => task),
    runner,
    progress,
  )
  const runs = rows.map((_, row) => metrics.filter((__, i) => tasks[i]?.at === row))
  return { ...describe(workload, load), notes: notesOf(workload, load, setup), ...cellsOf(rows, values, runs) }
}

function describe(
  workload: WorkloadDefinition,
  load: number,
): Omit<Column, 'cells' | 'notes' | 'bestE2e' | 'bestTtft'> {
  const { name, code, summary, unit, engines, preset } = workload
  return { workload: name, code, summary, unit, load, fleet: `${engines} x ${preset}` }
}

/** What a recording does to a column. */
function notesOf(
  { recording }: WorkloadDefinition,
  load: number,
  { seeds, warmUpMs, measuredMs }: ComparisonSetup,
): readonly string[] {
  if (recording === undefined) return []
  const leftMs = recording.lengthMs / load - warmUpMs
  const [left, wanted] = [leftMs, measuredMs].map((ms) => (ms / 1e3).toFixed(0))
  return [
    ...(recording.isSame && seeds.length > 1 ? [sameRecording] : []),
    ...(leftMs < measuredMs ? [`At this speed the recording leaves ${left} s of the ${wanted} s to measure.`] : []),
  ]
}

function cellsOf(
  rows: readonly Row[],
  values: readonly (ArmValues | undefined)[],
  runs: readonly (readonly RunMetrics[])[],
): Pick<Column, 'cells' | 'bestE2e' | 'bestTtft'> {
  const e2e = runs.map((each) => each.map(({ e2eMs }) => e2eMs.mean))
  const ttft = runs.map((each) => each.map(({ ttftMs }) => ttftMs.mean))
  const bestE2e = bestRow(rows, e2e)
  const bestTtft = bestRow(rows, ttft)
  const oracle = runs[rows.findIndex(({ arm }) => arm.name === oracleArm.name)]
  return {
    bestE2e: rows[bestE2e]?.label ?? '',
    bestTtft: rows[bestTtft]?.label ?? '',
    cells: rows.map(({ label }, i) => {
      const set = values[i]
      return {
        arm: label,
        ...(set === undefined ? {} : { values: set }),
        mean: meanOf(runs[i] ?? []),
        seeds: runs[i] ?? [],
        e2eRatio: pairedRatio(e2e[i] ?? [], e2e[bestE2e] ?? []),
        ttftRatio: pairedRatio(ttft[i] ?? [], ttft[bestTtft] ?? []),
        ...(oracle === undefined ? {} : { oracle: meanShare(runs[i] ?? [], oracle) }),
      }
    }),
  }
}

function meanShare(runs: readonly RunMetrics[], oracle: readonly RunMetrics[]): OracleShare {
  const shares = runs.flatMap((run, seed) => {
    const reference = oracle[seed]
    return reference === undefined ? [] : [shareOfOracle(run, reference)]
  })
  const mean = (value: (share: OracleShare) => number): number => geometricMean(shares.map(value))
  return { ttft: mean(({ ttft }) => ttft), e2e: mean(({ e2e }) => e2e), goodput: mean(({ goodput }) => goodput) }
}

/** Of the arms that a gateway could be; of the yardsticks when there are no others. */
function bestRow(rows: readonly Row[], times: readonly (readonly number[])[]): number {
  const means = times.map((values, i) =>
    rows[i]?.arm.kind === 'yardstick' ? Number.POSITIVE_INFINITY : geometricMean(values),
  )
  const least = Math.min(...means)
  return least === Number.POSITIVE_INFINITY ? leastIndex(times.map(geometricMean)) : means.indexOf(least)
}

function leastIndex(values: readonly number[]): number {
  return values.indexOf(Math.min(...values))
}

function regretsOf(rows: readonly Row[], columns: readonly Column[]): readonly Regret[] {
  const names = columns.map(({ workload, load }) => `${workload} ${load}`)
  return rows.map(({ arm, label, isTuned }, i) => {
    const ratios = (value: (cell: Cell) => Ratio): readonly number[] =>
      columns.flatMap(({ cells }) => {
        const cell = cells[i]
        return cell === undefined ? [] : [value(cell).ratio]
      })
    const e2e = ratios(({ e2eRatio }) => e2eRatio)
    const ttft = ratios(({ ttftRatio }) => ttftRatio)
    const [e2eWorst, ttftWorst] = [Math.max(...e2e), Math.max(...ttft)]
    return {
      arm: label,
      kind: arm.kind,
      summary: isTuned ? `${arm.name} at its best setting for each workload, found on other seeds` : arm.summary,
      ...(arm.source === undefined ? {} : { source: arm.source }),
      e2e: geometricMean(e2e),
      e2eWorst,
      e2eWorstAt: names[e2e.indexOf(e2eWorst)] ?? '',
      ttft: geometricMean(ttft),
      ttftWorst,
      ttftWorstAt: names[ttft.indexOf(ttftWorst)] ?? '',
    }
  })
}

/** The mean over runs, figure by figure; of figures that are not there in every run, over those where they are. */
export function meanOf(runs: readonly RunMetrics[]): RunMetrics {
  const [first] = runs
  if (first === undefined) throw new RangeError('a mean needs a run')
  return meanOfAny(runs) as RunMetrics
}

/** Numbers become their mean; objects and lists are gone through; anything else is that of the first. */
function meanOfAny(values: readonly unknown[]): unknown {
  const given = values.filter((value) => value !== undefined && value !== null)
  const numbers = given.filter((value) => !Number.isNaN(value))
  const known = numbers.length > 0 ? numbers : given
  const [first] = known
  if (typeof first === 'number') {
    return known.reduce<number>((sum, value) => sum + Number(value), 0) / known.length
  }
  if (Array.isArray(first)) return first.map((_, i) => meanOfAny(known.map((value) => (value as unknown[])[i])))
  if (typeof first !== 'object' || first === null) return first
  const keys = Object.keys(first)
  return Object.fromEntries(
    keys.map((key) => [key, meanOfAny(known.map((value) => (value as Record<string, unknown>)[key]))]),
  )
}
