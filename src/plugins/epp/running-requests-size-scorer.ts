import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { scoreBySpread } from './spread-score.ts'

/** Prefers endpoints with fewer running requests, scaled to the spread of the candidates. */
export const runningRequestsSizeScorer = definePlugin({
  point: 'scorer',
  type: 'running-requests-size-scorer',
  origin: 'epp',
  stability: 'stable',
  summary: 'Prefers endpoints with fewer running requests: (most - own) / (most - least) over the candidates.',
  reads: ['running'],
  parameters: z.strictObject({}),
  create: () => ({
    score(_request, candidates, out) {
      scoreBySpread(candidates.loads.running, candidates, out)
    },
  }),
})
