import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'

/**
 * Picks at random, good endpoints more often: chance proportional to (score / greatest score) ^ sharpness. Spreads
 * load where several gateways see the same scores and would all pick the same endpoint.
 */
export const weightedRandom = definePlugin({
  point: 'picker',
  type: 'weighted-random',
  stability: 'beta',
  summary: 'Picks at random, an endpoint with a greater score more often.',
  reads: [],
  parameters: z.strictObject({
    sharpness: z
      .number()
      .min(1)
      .max(100)
      .default(8)
      .describe('1: chances as the scores; more: the best gets more of the requests.'),
  }),
  create: ({ sharpness }, { rng }) => ({
    pick(_request, { count }, scores) {
      let greatest = 0
      for (let i = 0; i < count; i++) if (scores[i]! > greatest) greatest = scores[i]!
      if (greatest === 0) return Math.floor(rng() * count)
      let total = 0
      for (let i = 0; i < count; i++) total += (scores[i]! / greatest) ** sharpness
      let at = rng() * total
      for (let i = 0; i < count; i++) {
        at -= (scores[i]! / greatest) ** sharpness
        if (at < 0) return i
      }
      return count - 1
    },
  }),
})
