import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import type { Candidates, Facts } from '#contracts/schedule.ts'
import { normalise } from './normalise.ts'
import { readInFlight } from './strategy.ts'

/** How much the match counts against requests in flight: these only decide among equal matches. */
const matchShare = 1 - 1e-6

/** Most requests in flight with which an endpoint may be chosen for its match (A2.4, steps 5 and 6). */
function inFlightBound({ slots, count, loads }: Candidates, imbalance: number, deviations: number): number {
  let least = Number.POSITIVE_INFINITY
  let most = 0
  let sum = 0
  let squares = 0
  for (let i = 0; i < count; i++) {
    const requests = loads.inFlight[slots[i]!]!
    least = Math.min(least, requests)
    most = Math.max(most, requests)
    sum += requests
    squares += requests * requests
  }
  if (most - least > imbalance) return least
  const mean = sum / count
  // What rounding leaves of a variance of 0 must not keep out an endpoint that is at the mean.
  return mean + deviations * Math.sqrt(Math.max(0, squares / count - mean * mean)) + 1e-9
}

/** Share of the prompt that each candidate holds; NaN for those above the bound. */
function readMatches(candidates: Candidates, facts: Facts, bound: number, out: Float64Array): void {
  const { slots, count, loads } = candidates
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!
    out[i] = loads.inFlight[slot]! <= bound ? facts.cachedTokens[slot]! / facts.promptTokens : Number.NaN
  }
}

/**
 * AIBrix strategy `prefix-cache` (aibrix-and-others.md A2.4): the longest match, then the fewest requests in flight, among
 * the endpoints that are not too busy. The rest score 0; there always is one at the mean or below it, so that step 7 never
 * comes to pass. The match is that of the profile's prefix producer.
 */
export const aibrixPrefixCache = definePlugin({
  point: 'scorer',
  type: 'aibrix-prefix-cache',
  stability: 'beta',
  origin: 'aibrix',
  summary: 'AIBrix strategy `prefix-cache`: the longest cached prefix among endpoints that are not too busy.',
  reads: ['inFlight', 'cachedTokens', 'promptTokens'],
  parameters: z.strictObject({
    imbalance: z
      .number()
      .min(0)
      .max(1_000_000)
      .default(8)
      .describe(
        'When requests in flight differ by more than this, only the endpoints with the fewest are chosen from.',
      ),
    deviations: z
      .number()
      .min(0)
      .max(1_000_000)
      .default(1)
      .describe('Standard deviations above the mean of requests in flight up to which an endpoint is chosen.'),
  }),
  create({ imbalance, deviations }, { facts }) {
    let fewest = new Float64Array(16)
    return {
      score(_request, candidates, out) {
        const { count } = candidates
        if (fewest.length < count) fewest = new Float64Array(2 * count)
        readInFlight(candidates, fewest)
        normalise(fewest, count, 'least')
        const bound = inFlightBound(candidates, imbalance, deviations)
        readMatches(candidates, facts, bound, out)
        normalise(out, count, 'most')
        const { slots, loads } = candidates
        for (let i = 0; i < count; i++) {
          const isOpen = loads.inFlight[slots[i]!]! <= bound
          out[i] = isOpen ? matchShare * out[i]! + (1 - matchShare) * fewest[i]! : 0
        }
      },
    }
  },
})
