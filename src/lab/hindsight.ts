import type { ArmDefinition, ArmValues } from './arm.ts'
import { geometricMean } from './ratio.ts'
import { type Progress, type Runner, type RunTask, runAll } from './task.ts'

/** Times a value of every parameter is looked at again. */
const mostPasses = 2

/** What a search for the best setting is about. */
export interface HindsightSetup {
  readonly arm: ArmDefinition
  /** Everything of a run but arm and seed. */
  readonly frame: Omit<RunTask, 'arm' | 'seed'>
  /** Seeds that no report shows. */
  readonly seeds: readonly number[]
}

/**
 * The values with the least mean e2e (geometric over the seeds): parameter by parameter over its grid from the published values
 * on, and once more when anything changed. Only what is other than published is named; the published setting wins a tie.
 */
export async function bestInHindsight(setup: HindsightSetup, runner: Runner, progress: Progress): Promise<ArmValues> {
  const { arm, frame, seeds } = setup
  const known = new Map<string, Promise<number>>()
  const costOf = (values: ArmValues): Promise<number> => {
    const key = JSON.stringify(Object.entries(values).toSorted(([a], [b]) => (a < b ? -1 : 1)))
    let cost = known.get(key)
    if (cost === undefined) {
      const tasks = seeds.map((seed) => ({ ...frame, seed, arm: { name: arm.name, values } }))
      cost = runAll(tasks, runner, progress).then((runs) => geometricMean(runs.map(({ e2eMs }) => e2eMs.mean)))
      known.set(key, cost)
    }
    return cost
  }
  let best: ArmValues = {}
  for (let pass = 0; pass < mostPasses; pass++) {
    const before = best
    for (const [name, { value, grid }] of Object.entries(arm.parameters ?? {})) {
      const others = grid.filter((each) => each !== (best[name] ?? value))
      const candidates = [best, ...others.map((each) => valuesWith(best, name, each === value ? undefined : each))]
      const costs = await Promise.all(candidates.map(costOf))
      best = candidates[costs.indexOf(Math.min(...costs))] ?? best
    }
    if (best === before) break
  }
  return best
}

function valuesWith(values: ArmValues, name: string, value: number | undefined): ArmValues {
  const { [name]: _, ...others } = values
  return value === undefined ? others : { ...others, [name]: value }
}
