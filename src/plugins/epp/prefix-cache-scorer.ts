import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'

/**
 * Prefers endpoints that hold more of the prompt: w x min(1, matched tokens / scale)^2 + (1 - w) x matched / total
 * blocks (endpoint-picker.md 4.3). Silent about requests without a prompt.
 */
export const prefixCacheScorer = definePlugin({
  point: 'scorer',
  type: 'prefix-cache-scorer',
  origin: 'epp',
  stability: 'stable',
  summary: 'Prefers endpoints that hold a greater part of the prompt in their cache.',
  reads: ['matchedBlocks', 'totalBlocks', 'blockTokens'],
  parameters: z.strictObject({
    matchLengthWeight: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe('Weight of the length of the match; the rest is that of its part of the prompt.'),
    matchLengthScaleTokens: z
      .int()
      .positive()
      .max(100_000_000)
      .default(8192)
      .describe('Length of match, in tokens, from which on more of it counts no more.'),
  }),
  create: ({ matchLengthWeight: weight, matchLengthScaleTokens: scale }, { facts }) => ({
    score(_request, { slots, count }, out) {
      const { matchedBlocks, totalBlocks, blockTokens } = facts
      for (let i = 0; i < count; i++) {
        const matched = Math.min(matchedBlocks[slots[i]!]!, totalBlocks)
        const length = Math.min(1, (matched * blockTokens) / scale)
        out[i] = totalBlocks === 0 ? Number.NaN : weight * length * length + ((1 - weight) * matched) / totalBlocks
      }
    },
  }),
})
