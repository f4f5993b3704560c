import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'

/** Picks the endpoint with the greatest score; among equals, one at random, so that no position is favoured. */
export const maxScore = definePlugin({
  point: 'picker',
  type: 'max-score',
  stability: 'stable',
  summary: 'Picks the endpoint with the greatest score, at random among equals.',
  reads: [],
  parameters: z.strictObject({
    epsilon: z
      .number()
      .min(0)
      .max(1)
      .default(1e-9)
      .describe('Scores that differ from the greatest by no more than this are equal to it.'),
  }),
  create: ({ epsilon }, { rng }) => ({
    pick(_request, { count }, scores) {
      let greatest = Number.NEGATIVE_INFINITY
      for (let i = 0; i < count; i++) if (scores[i]! > greatest) greatest = scores[i]!
      const least = greatest - epsilon
      let equals = 0
      let first = 0
      for (let i = count - 1; i >= 0; i--) {
        if (scores[i]! < least) continue
        equals++
        first = i
      }
      if (equals <= 1) return first
      let before = Math.floor(rng() * equals)
      for (let i = first; i < count; i++) if (scores[i]! >= least && before-- === 0) return i
      return first
    },
  }),
})
