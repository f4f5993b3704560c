import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'

/** Half the score for an empty queue, less in proportion up to a threshold: 0.5 x (1 - min(waiting, T) / T). */
export const loadAwareScorer = definePlugin({
  point: 'scorer',
  type: 'load-aware-scorer',
  origin: 'epp',
  stability: 'stable',
  summary: 'Prefers endpoints with fewer waiting requests: 0.5 x (1 - waiting / threshold), at least 0.',
  reads: ['waiting'],
  parameters: z.strictObject({
    threshold: z.int().positive().max(1_000_000).default(128).describe('Waiting requests that make the score 0.'),
  }),
  create: ({ threshold }) => ({
    score(_request, { slots, count, loads }, out) {
      for (let i = 0; i < count; i++) out[i] = 0.5 * (1 - Math.min(loads.waiting[slots[i]!]!, threshold) / threshold)
    },
  }),
})
