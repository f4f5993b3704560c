import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'

/** Counts what the gateway has in flight: 1 up to `idleThreshold`, else (most - own) / most x `maxBusyScore`. */
export const activeRequestScorer = definePlugin({
  point: 'scorer',
  type: 'active-request-scorer',
  origin: 'epp',
  stability: 'stable',
  summary: 'Prefers endpoints with fewer requests of this gateway in flight: (most - own) / most.',
  reads: ['inFlight'],
  parameters: z.strictObject({
    idleThreshold: z.int().min(0).max(1_000_000).default(0).describe('Up to this many requests the score is 1.'),
    maxBusyScore: z.number().min(0).max(1).default(1).describe('Greatest score of an endpoint with more.'),
    requestTimeout: z.string().max(64).default('').describe('Ignored, as in the Endpoint Picker.'),
  }),
  create: ({ idleThreshold, maxBusyScore }) => ({
    score(_request, { slots, count, loads }, out) {
      let most = 0
      for (let i = 0; i < count; i++) most = Math.max(most, loads.inFlight[slots[i]!]!)
      for (let i = 0; i < count; i++) {
        const own = loads.inFlight[slots[i]!]!
        out[i] = own <= idleThreshold ? 1 : ((most - own) / most) * maxBusyScore
      }
    },
  }),
})
