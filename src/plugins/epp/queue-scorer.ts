import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { scoreBySpread } from './spread-score.ts'

/** Prefers endpoints with fewer waiting requests, scaled to the spread of the candidates. */
export const queueScorer = definePlugin({
  point: 'scorer',
  type: 'queue-scorer',
  origin: 'epp',
  stability: 'stable',
  summary: 'Prefers endpoints with fewer waiting requests: (most - own) / (most - least) over the candidates.',
  reads: ['waiting'],
  parameters: z.strictObject({}),
  create: () => ({
    score(_request, candidates, out) {
      scoreBySpread(candidates.loads.waiting, candidates, out)
    },
  }),
})
