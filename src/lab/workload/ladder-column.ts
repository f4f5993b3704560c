import { LadderWorkload, publishedLadder, type Stage } from '#lab/ladder-workload.ts'
import type { Arrival } from '#lab/virtual-fleet.ts'
import { rngOf, shuffled } from './draws.ts'
import type { Workload, WorkloadSetup } from './workload.ts'

/** The published ladder's prompts at one sustained rate; `load` is requests per second. */
export function sustainedLadder({ seed, load, endMs, blockSize }: WorkloadSetup): Workload {
  const prompts = new LadderWorkload(publishedLadder, blockSize, seed)
  return { arrivals: prompts.arrivals({ ratePerSecond: load, seconds: endMs / 1e3 }, 0) }
}

/** Those of the published stages that stand for the top of the ladder (routing-algorithms.md 7.1). */
const topRates: readonly number[] = [40, 49, 60]

/** When the warm-up stage of {@link topOfLadder} has come: what is measured begins then, though no stage comes before it has drained. */
export const topOfLadderWarmUpMs = publishedLadder.warmUp.seconds * 1.2e3

/**
 * The published ladder's stages of 40 to 60 requests per second, behind its warm-up, in another order for each seed; each begins
 * when the one before has drained and rested. `load` multiplies their rates. It ends by itself.
 */
export function topOfLadder({ seed, load, blockSize }: WorkloadSetup): Workload {
  const prompts = new LadderWorkload(publishedLadder, blockSize, seed)
  const top = publishedLadder.stages.filter(({ ratePerSecond }) => topRates.includes(ratePerSecond))
  const order = [...shuffled(top.length, rngOf(seed, 5))].map((i) => top[i]!)
  let left = 0
  const begin = (stage: Stage | undefined, startMs: number): readonly Arrival[] => {
    if (stage === undefined) return []
    const arrivals = prompts.arrivals({ ...stage, ratePerSecond: stage.ratePerSecond * load }, startMs)
    left = arrivals.length
    return arrivals
  }
  return {
    arrivals: begin(publishedLadder.warmUp, 0),
    onFinished: (_, atMs) => (--left > 0 ? [] : begin(order.shift(), atMs + publishedLadder.restMs)),
  }
}
