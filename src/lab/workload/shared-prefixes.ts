import { type LengthDraw, length, rngOf, zipf } from './draws.ts'
import { poisson } from './poisson.ts'
import { segment, segmentKind } from './prompt.ts'
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
  const lengths = rngOf(setup.seed, 1)
  const prefixTokens = Array.from({ length: shape.prefixes }, () => length(lengths, shape.prefixTokens))
  const draw = zipf(shape.prefixes, shape.exponent)
  return poisson(setup, 2, (rng, number) => {
    const drawn = draw(rng)
    const question = segment(segmentKind.question, number, length(rng, shape.questionTokens))
    const prefix = segment(segmentKind.prefix, drawn, prefixTokens[drawn] ?? 0)
    const answer = segment(segmentKind.answer, number, length(rng, shape.outputTokens))
    const hasPrefix = prefix.tokens > 0
    return { group: hasPrefix ? drawn : number, prompt: hasPrefix ? [prefix, question] : [question], answer }
  })
}
