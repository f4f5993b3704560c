import { exponential, type LengthDraw, length, rngOf, zipf } from './draws.ts'
import { arrivalOf, segment, segmentKind } from './prompt.ts'
import type { Workload, WorkloadSetup } from './workload.ts'

/** Poisson arrivals that draw one of many prefixes by Zipf's law and ask a question of their own. */
export interface SharedPrefixes {
  readonly prefixes: number
  readonly exponent: number
  readonly prefixTokens: LengthDraw
  readonly questionTokens: LengthDraw
  readonly outputTokens: LengthDraw
}

/** `load` is requests per second. A prefix of 0 tokens is none: nothing is shared. */
export function sharedPrefixes(shape: SharedPrefixes, setup: WorkloadSetup): Workload {
  const { seed, load, endMs, blockSize } = setup
  return {
    arrivals: {
      *[Symbol.iterator]() {
        const lengths = rngOf(seed, 1)
        const prefixTokens = Array.from({ length: shape.prefixes }, () => length(lengths, shape.prefixTokens))
        const rng = rngOf(seed, 2)
        const draw = zipf(shape.prefixes, shape.exponent)
        let atMs = exponential(rng, 1e3 / load)
        for (let number = 0; atMs < endMs; number++) {
          const group = draw(rng)
          const question = segment(segmentKind.question, number, length(rng, shape.questionTokens))
          const prefix = segment(segmentKind.prefix, group, prefixTokens[group] ?? 0)
          const answer = segment(segmentKind.answer, number, length(rng, shape.outputTokens))
          const prompt = prefix.tokens > 0 ? [prefix, question] : [question]
          yield arrivalOf({ atMs, group: prefix.tokens > 0 ? group : number, prompt, answer, blockSize })
          atMs += exponential(rng, 1e3 / load)
        }
      },
    },
  }
}
