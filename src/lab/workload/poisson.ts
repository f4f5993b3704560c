import type { Rng } from '#core/clock.ts'
import { exponential, rngOf } from './draws.ts'
import { arrivalOf, type PromptParts } from './prompt.ts'
import type { Workload, WorkloadSetup } from './workload.ts'

/** Makes request `number` of a workload, drawing from `rng` as it likes. */
export type DrawPrompt = (rng: Rng, number: number, atMs: number) => Omit<PromptParts, 'atMs' | 'blockSize'>

/** Requests that come as a Poisson process of `load` per second; `stream` keeps their draws apart from others of the seed. */
export function poisson({ seed, load, endMs, blockSize }: WorkloadSetup, stream: number, draw: DrawPrompt): Workload {
  return {
    arrivals: {
      *[Symbol.iterator]() {
        const rng = rngOf(seed, stream)
        let atMs = exponential(rng, 1e3 / load)
        for (let number = 0; atMs < endMs; number++) {
          yield arrivalOf({ ...draw(rng, number, atMs), atMs, blockSize })
          atMs += exponential(rng, 1e3 / load)
        }
      },
    },
  }
}
