import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'

/** Prefers endpoints with more free KV cache: score = 1 - use. */
export const kvCacheUtilizationScorer = definePlugin({
  point: 'scorer',
  type: 'kv-cache-utilization-scorer',
  origin: 'epp',
  stability: 'stable',
  summary: 'Prefers endpoints with more free KV cache: 1 - use.',
  reads: ['kvUse'],
  parameters: z.strictObject({}),
  create: () => ({
    score(_request, { slots, count, loads }, out) {
      // Math.min and Math.max keep NaN: no report, no opinion.
      for (let i = 0; i < count; i++) out[i] = Math.min(1, Math.max(0, 1 - loads.kvUse[slots[i]!]!))
    },
  }),
})
