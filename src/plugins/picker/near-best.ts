import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { requestsOn } from '#plugins/requests-on.ts'

/** A 32-bit hash of two numbers (finisher of MurmurHash3). */
function mix(first: number, second: number): number {
  let mixed = Math.imul(first ^ Math.imul(second + 1, 0x9e3779b1), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/**
 * Picks among the endpoints that are next to the best: first one with the fewest requests in flight, then by rendezvous
 * hashing of what no endpoint has of the prompt, so that requests that begin alike come together even before anybody knows.
 */
export const nearBest = definePlugin({
  point: 'picker',
  type: 'near-best',
  stability: 'beta',
  summary:
    'Picks among the best and those close to it the one with the fewest requests, then the same one for the same prompt.',
  reads: ['missHash', 'inFlight', 'running', 'waiting', 'inFlightAtReport'],
  parameters: z.strictObject({
    tolerance: z
      .number()
      .min(0)
      .max(1)
      .default(0.02)
      .describe('Scores of at least the greatest divided by one more than this are next to the best.'),
  }),
  create: ({ tolerance }, { facts, rng }) => ({
    tolerance,
    pick(_request, { slots, count, loads }, scores) {
      let greatest = Number.NEGATIVE_INFINITY
      for (let i = 0; i < count; i++) if (scores[i]! > greatest) greatest = scores[i]!
      const least = greatest > 0 ? greatest / (1 + tolerance) : greatest
      let best = 0
      let fewest = Number.POSITIVE_INFINITY
      let weight = -1
      // Nothing is known of the prompt: any will do, but not always the same.
      const hash = facts.missHash === 0 ? Math.floor(rng() * 2 ** 32) : facts.missHash
      for (let i = 0; i < count; i++) {
        if (scores[i]! < least) continue
        const slot = slots[i]!
        const requests = requestsOn(loads, slot)
        if (requests > fewest) continue
        const own = mix(hash, slot)
        if (requests === fewest && own <= weight) continue
        best = i
        fewest = requests
        weight = own
      }
      return best
    },
  }),
})
