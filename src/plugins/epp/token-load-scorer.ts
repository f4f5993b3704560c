import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'

/** 1 - tokens / threshold, where tokens are those in flight at the endpoint and those that this request would add. */
export const tokenLoadScorer = definePlugin({
  point: 'scorer',
  type: 'token-load-scorer',
  origin: 'epp',
  stability: 'stable',
  summary: 'Prefers endpoints with fewer tokens to compute, those of this request included.',
  reads: ['inFlightTokens', 'requestTokens'],
  parameters: z.strictObject({
    queueThresholdTokens: z
      .int()
      .positive()
      .max(1_000_000_000)
      .default(4_194_304)
      .describe('Tokens that make the score 0.'),
  }),
  create: ({ queueThresholdTokens: threshold }, { facts }) => ({
    score(_request, { slots, count }, out) {
      for (let i = 0; i < count; i++) {
        const slot = slots[i]!
        const tokens = Math.max(0, facts.inFlightTokens[slot]! + facts.requestTokens[slot]!)
        out[i] = 1 - Math.min(tokens, threshold) / threshold
      }
    },
  }),
})
