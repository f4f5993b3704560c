import { LadderWorkload, publishedLadder } from '#lab/ladder-workload.ts'
import type { Workload, WorkloadSetup } from './workload.ts'

/** The published ladder's prompts at one sustained rate; `load` is requests per second. */
export function sustainedLadder({ seed, load, endMs, blockSize }: WorkloadSetup): Workload {
  const prompts = new LadderWorkload(publishedLadder, blockSize, seed)
  return { arrivals: prompts.arrivals({ ratePerSecond: load, seconds: endMs / 1e3 }, 0) }
}
