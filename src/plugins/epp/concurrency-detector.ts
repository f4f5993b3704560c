import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { keepCandidates } from './keep-candidates.ts'

/** As a filter: drops endpoints with too much of this gateway's work in flight; all are kept when none is left. */
export const concurrencyDetector = definePlugin({
  point: 'filter',
  type: 'concurrency-detector',
  origin: 'epp',
  stability: 'stable',
  summary: 'Drops endpoints with too many requests or tokens of this gateway in flight, as long as others are left.',
  reads: ['inFlight', 'inFlightTokens'],
  parameters: z.strictObject({
    maxConcurrency: z.int().positive().max(1e6).default(100).describe('Requests in flight.'),
    concurrencyMode: z.enum(['requests', 'tokens', 'hybrid']).default('requests').describe('What is limited.'),
    maxTokenConcurrency: z.int().positive().max(1e12).default(1_000_000).describe('Tokens in flight.'),
    headroom: z.number().min(0).max(100).default(0).describe('Share by which the limit is exceeded before it drops.'),
  }),
  create({ maxConcurrency, concurrencyMode, maxTokenConcurrency, headroom }, { facts }) {
    const unlimited = Number.POSITIVE_INFINITY
    const requests = concurrencyMode === 'tokens' ? unlimited : Math.floor(maxConcurrency * (1 + headroom))
    const tokens = concurrencyMode === 'requests' ? unlimited : Math.floor(maxTokenConcurrency * (1 + headroom))
    return {
      filter(_request, candidates) {
        const { inFlight } = candidates.loads
        keepCandidates(candidates, (slot) => inFlight[slot]! < requests && facts.inFlightTokens[slot]! < tokens, true)
      },
    }
  },
})
