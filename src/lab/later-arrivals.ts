import { rngOf } from './workload/draws.ts'
import type { WorkloadDefinition } from './workload/workload.ts'

/** By how much arrivals may be later. */
export interface Lateness {
  readonly mostMs: number
  readonly seed: number
}

/** Keeps its draws apart from those of workloads. */
const stream = 77

/**
 * The same workload with each of its known arrivals a little later, as a network and timers make them: two runs of it show how
 * much of a difference is chance. The order of arrivals stays. What follows an answer follows from its time.
 */
export function withLaterArrivals(workload: WorkloadDefinition, { mostMs, seed }: Lateness): WorkloadDefinition {
  return {
    ...workload,
    create(setup) {
      const created = workload.create(setup)
      const { onFinished } = created
      const arrivals = {
        *[Symbol.iterator]() {
          const rng = rngOf(seed, stream)
          let atMs = 0
          for (const arrival of created.arrivals) {
            atMs = Math.max(atMs, arrival.atMs + rng() * mostMs)
            yield { ...arrival, atMs }
          }
        },
      }
      return onFinished === undefined
        ? { arrivals }
        : { arrivals, onFinished: (arrival, atMs) => onFinished.call(created, arrival, atMs) }
    },
  }
}
