import { Fault } from '#core/fault.ts'
import type { ArmDefinition, ArmKind } from './arm.ts'
import { sameRecording } from './comparison.ts'
import { geometricMean, pairedRatio, type Ratio } from './ratio.ts'
import { type Progress, type Runner, type RunTask, runAll } from './task.ts'
import type { WorkloadDefinition } from './workload/workload.ts'

/** A search for the load that arms can carry. */
export interface CapacitySetup {
  readonly arms: readonly ArmDefinition[]
  readonly workloads: readonly WorkloadDefinition[]
  readonly seeds: readonly number[]
  /** Part of the requests that must be inside the objective. */
  readonly share: number
  /** Ratio of the bounds at which the search ends: 1.03 is 3 %. */
  readonly tolerance: number
  readonly warmUpMs: number
  readonly measuredMs: number
}

/** One run on the way. */
export interface Probe {
  readonly load: number
  readonly goodShare: number
}

/** What one arm carries. */
export interface CapacityRow {
  readonly arm: string
  readonly kind: ArmKind
  /** Geometric mean over the seeds of the greatest load found to be inside the objective; 0 when a seed has none. */
  readonly load: number
  readonly seeds: readonly number[]
  /** Whether a seed carried the greatest load that was tried: the arm may carry more. */
  readonly isOpen: boolean
  /** Over that of the arm that carries most, yardsticks aside, paired by seed; undefined when an arm carries nothing. */
  readonly ratio: Ratio | undefined
  /** All runs, in order of load. */
  readonly probes: readonly Probe[]
}

export interface CapacityColumn {
  readonly workload: string
  readonly code: string
  readonly summary: string
  readonly unit: string
  readonly fleet: string
  /** What to know before reading the figures: sentences. */
  readonly notes: readonly string[]
  readonly rows: readonly CapacityRow[]
}

/** Capacities in figures. The same setup gives the same. */
export interface Capacities {
  readonly share: number
  readonly tolerance: number
  readonly seeds: readonly number[]
  readonly warmUpMs: number
  readonly measuredMs: number
  readonly columns: readonly CapacityColumn[]
}

/** What a search works with. */
export interface CapacityPorts {
  readonly runner: Runner
  readonly progress: Progress
  onColumn?(column: CapacityColumn): void
}

/** Bounds are looked for by this factor, up to so many times away from the workload's own load. */
const stride = 1.5
const mostStrides = 7

/** Searches every arm's capacity on every workload. */
export async function findCapacities(setup: CapacitySetup, ports: CapacityPorts): Promise<Capacities> {
  const { arms, workloads, seeds, share, tolerance, warmUpMs, measuredMs } = setup
  const columns: CapacityColumn[] = []
  for (const workload of workloads) {
    const searched = await Promise.all(
      arms.map((arm) => Promise.all(seeds.map((seed) => searchOne(setup, { arm, workload, seed }, ports)))),
    )
    const column = columnOf(workload, setup, searched)
    columns.push(column)
    ports.onColumn?.(column)
  }
  return { share, tolerance, seeds, warmUpMs, measuredMs, columns }
}

interface Searched {
  readonly load: number
  readonly isOpen: boolean
  readonly probes: readonly Probe[]
}

interface Which {
  readonly arm: ArmDefinition
  readonly workload: WorkloadDefinition
  readonly seed: number
}

/** The greatest load tried that is inside the objective below the least one that is not, by strides and then by bisection. */
async function searchOne(setup: CapacitySetup, which: Which, ports: CapacityPorts): Promise<Searched> {
  const { share, tolerance, warmUpMs, measuredMs } = setup
  const { arm, workload, seed } = which
  // Beyond it a recording is over too soon.
  const mostLoad = (workload.recording?.lengthMs ?? Number.POSITIVE_INFINITY) / (warmUpMs + measuredMs)
  const probes: Probe[] = []
  const carries = async (load: number): Promise<boolean> => {
    const task = { arm: { name: arm.name }, workload: workload.name, seed, load, warmUpMs, measuredMs }
    const goodShare = await goodShareOf(task, ports)
    if (goodShare === undefined) return false
    probes.push({ load, goodShare })
    return goodShare >= share
  }
  let low = 0
  let high = Number.POSITIVE_INFINITY
  let load = workload.load
  const isOpen = (): boolean => low === 0 || (high === Number.POSITIVE_INFINITY && low < mostLoad)
  for (let i = 0; i <= mostStrides && isOpen(); i++) {
    load = Math.min(rounded(load), mostLoad)
    if (await carries(load)) low = load
    else high = load
    load = low === 0 ? load / stride : load * stride
  }
  while (low > 0 && high < Number.POSITIVE_INFINITY && high / low > tolerance) {
    load = rounded(Math.sqrt(low * high))
    if (await carries(load)) low = load
    else high = load
  }
  return { load: low, isOpen: low > 0 && high === Number.POSITIVE_INFINITY, probes }
}

/** Undefined when so little comes at this load that nothing is measured: whatever it carries cannot be told. */
async function goodShareOf(task: RunTask, { runner, progress }: CapacityPorts): Promise<number | undefined> {
  try {
    const [run] = await runAll([task], runner, progress)
    return run?.goodShare
  } catch (error) {
    if (error instanceof Fault && error.source === 'client') return undefined
    throw error
  }
}

function rounded(load: number): number {
  return Number(load.toPrecision(4))
}

function columnOf(
  workload: WorkloadDefinition,
  { arms, seeds: allSeeds }: CapacitySetup,
  searched: readonly (readonly Searched[])[],
): CapacityColumn {
  const { name, code, summary, unit, engines, preset, recording } = workload
  const loads = searched.map((seeds) => seeds.map(({ load }) => load))
  const means = loads.map((each) => (each.includes(0) ? 0 : geometricMean(each)))
  const real = means.map((mean, i) => (arms[i]?.kind === 'yardstick' ? 0 : mean))
  const most = Math.max(...real)
  const best = loads[most > 0 ? real.indexOf(most) : means.indexOf(Math.max(...means))] ?? []
  const rows = arms.map((arm, i) => {
    const seeds = loads[i] ?? []
    return {
      arm: arm.name,
      kind: arm.kind,
      load: means[i] ?? 0,
      seeds,
      isOpen: searched[i]?.some(({ isOpen }) => isOpen) === true,
      ratio: seeds.includes(0) || best.includes(0) ? undefined : pairedRatio(seeds, best),
      probes: (searched[i] ?? []).flatMap(({ probes }) => probes).toSorted((a, b) => a.load - b.load),
    }
  })
  return {
    workload: name,
    code,
    summary,
    unit,
    fleet: `${engines} x ${preset}`,
    notes: recording?.isSame === true && allSeeds.length > 1 ? [sameRecording] : [],
    rows: rows.toSorted((a, b) => b.load - a.load),
  }
}
