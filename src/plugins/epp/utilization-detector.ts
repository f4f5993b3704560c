import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { goDuration, parseGoDuration } from './go-duration.ts'
import { keepCandidates } from './keep-candidates.ts'

/**
 * As a filter: drops endpoints whose queue or KV cache is over its limit, and those of which nothing recent is known;
 * all are kept when none is left. What is recent is the scraper's to say unless a threshold is given: 200 ms, as in the
 * Endpoint Picker, would be older than most scrapes.
 */
export const utilizationDetector = definePlugin({
  point: 'filter',
  type: 'utilization-detector',
  origin: 'epp',
  stability: 'stable',
  summary: 'Drops endpoints whose queue or KV cache is over its limit, as long as others are left.',
  reads: ['waiting', 'kvUse', 'reportedAtMs'],
  parameters: z.strictObject({
    queueDepthThreshold: z.number().positive().max(1e6).default(5).describe('Waiting requests.'),
    kvCacheUtilThreshold: z.number().positive().max(1).default(0.8).describe('Part of the KV cache in use.'),
    metricsStalenessThreshold: goDuration
      .optional()
      .describe('Age from which on a report counts as none; what the scraper says unless given.'),
    headroom: z
      .number()
      .min(0)
      .max(100)
      .default(0)
      .describe('Share by which both limits are exceeded before it drops.'),
  }),
  create({ queueDepthThreshold, kvCacheUtilThreshold, metricsStalenessThreshold, headroom }) {
    const staleMs = parseGoDuration(metricsStalenessThreshold ?? '') ?? Number.POSITIVE_INFINITY
    const queueLimit = queueDepthThreshold * (1 + headroom)
    const kvLimit = kvCacheUtilThreshold * (1 + headroom)
    return {
      filter({ nowMs }, candidates) {
        const { waiting, kvUse, reportedAtMs } = candidates.loads
        // A comparison with NaN is false: an endpoint of which nothing is known is dropped.
        keepCandidates(
          candidates,
          (slot) => nowMs - reportedAtMs[slot]! <= staleMs && waiting[slot]! < queueLimit && kvUse[slot]! < kvLimit,
          true,
        )
      },
    }
  },
})
