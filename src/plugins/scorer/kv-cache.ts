import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'

/** Prefers endpoints with more free KV cache: score = 1 - use. */
export const kvCache = definePlugin({
  point: 'scorer',
  type: 'kv-cache',
  stability: 'stable',
  summary: 'Prefers endpoints with more free KV cache; silent about engines that do not report it.',
  reads: ['kvUse'],
  parameters: z.strictObject({}),
  create: () => ({
    score(_request, { slots, count, loads }, out) {
      // Math.min and Math.max keep NaN: no report, no opinion.
      for (let i = 0; i < count; i++) out[i] = Math.min(1, Math.max(0, 1 - loads.kvUse[slots[i]!]!))
    },
  }),
})
