import type { ProfilePlan } from '#config/snapshot.ts'
import { Fault } from '#core/fault.ts'
import { type ArmDefinition, type ArmValues, armWith } from './arm.ts'
import { ownArm } from './arms/own-profiles.ts'
import { runArm } from './run.ts'
import type { RunMetrics } from './run-metrics.ts'
import type { WorkloadDefinition } from './workload/workload.ts'

/** An arm by name, as plain data that another thread can make it from. */
export interface ArmChoice {
  /** Of an arm of the catalogue; with `profile` what the arm is called. */
  readonly name: string
  /** Values of its parameters that are other than by default. */
  readonly values?: ArmValues
  /** The gateway's own scheduler with this profile, instead of an arm of the catalogue. */
  readonly profile?: ProfilePlan
}

/** One run as plain data: the same task gives the same metrics in whichever thread it runs. */
export interface RunTask {
  readonly arm: ArmChoice
  /** Name of a workload of the catalogue. */
  readonly workload: string
  readonly seed: number
  /** In the unit of the workload. */
  readonly load: number
  readonly warmUpMs: number
  readonly measuredMs: number
}

/** What names of tasks stand for. */
export interface Catalogue {
  readonly arms: readonly ArmDefinition[]
  readonly workloads: readonly WorkloadDefinition[]
  readonly readTrace: (file: string) => string
}

function found<T extends { readonly name: string }>(all: readonly T[], name: string): T {
  const one = all.find((each) => each.name === name)
  if (one === undefined) throw new RangeError(`nothing is named '${name}'`)
  return one
}

function armOf({ name, values, profile }: ArmChoice, arms: readonly ArmDefinition[]): ArmDefinition {
  if (profile !== undefined) return ownArm(name, name, profile)
  const arm = found(arms, name)
  return values === undefined ? arm : armWith(arm, name, values)
}

/**
 * Runs a task. Throws a RangeError for a name that the catalogue does not have, and a Fault of the client when the task leaves
 * nothing to measure.
 */
export function runTask(task: RunTask, catalogue: Catalogue): RunMetrics {
  const { seed, load, warmUpMs, measuredMs } = task
  const { arms, workloads, readTrace } = catalogue
  const [arm, workload] = [armOf(task.arm, arms), found(workloads, task.workload)]
  try {
    return runArm({ arm, workload, seed, load, warmUpMs, measuredMs, readTrace })
  } catch (error) {
    if (!(error instanceof Fault) || error.source !== 'client') throw error
    throw new Fault('client', `${task.workload} at ${load}, seed ${seed}: ${error.message}`)
  }
}

/** Runs tasks, several at a time or one after the other; what they give does not depend on that. */
export interface Runner {
  run(task: RunTask): Promise<RunMetrics>
}

/** Hears of the runs of a search or a comparison. */
export interface Progress {
  /** So many more runs are to come. */
  planned(runs: number): void
  /** One has ended. */
  ended(what: string): void
}

/** Runs tasks in this thread, and lets others work between two of them. */
export function localRunner(catalogue: Catalogue): Runner {
  return {
    async run(task) {
      await new Promise((resolve) => void setImmediate(resolve))
      return runTask(task, catalogue)
    },
  }
}

/** Runs tasks at once and tells of each when it has ended. The metrics are in the order of the tasks. */
export function runAll(tasks: readonly RunTask[], runner: Runner, progress: Progress): Promise<readonly RunMetrics[]> {
  progress.planned(tasks.length)
  return Promise.all(
    tasks.map(async (task) => {
      const metrics = await runner.run(task)
      progress.ended(`${task.workload}: ${task.arm.name}, seed ${task.seed}`)
      return metrics
    }),
  )
}
