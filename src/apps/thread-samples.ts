import { metrics } from '#observe/catalog.ts'
import { type Sample, sampleOf } from '#observe/metric-definition.ts'
import type { DataThreadState } from './data-threads.ts'

/** The metrics of the data threads as the main thread sees them. */
export function threadSamples(states: readonly DataThreadState[]): Sample[] {
  return states.flatMap(({ name, restarts, stalledMs }) => [
    sampleOf(metrics.threadRestarts, { thread: name }, restarts),
    sampleOf(metrics.threadStalled, { thread: name }, stalledMs / 1000),
  ])
}
