import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { keepCandidates } from './keep-candidates.ts'

/** Drops endpoints over any of some caps; one that does not report a value is not over its cap. */
export const utilizationFilter = definePlugin({
  point: 'filter',
  type: 'utilization-filter',
  origin: 'epp',
  stability: 'alpha',
  summary: 'Drops endpoints that are over any of some caps.',
  reads: ['inFlight', 'running', 'waiting', 'kvUse'],
  parameters: z.strictObject({
    conditions: z
      .array(
        z.strictObject({
          metric: z.enum(['active-requests', 'running-requests', 'waiting-queue', 'kv-cache-utilization']),
          maxValue: z.number().min(0),
        }),
      )
      .max(16)
      .default([])
      .describe(
        '`metric` (`active-requests`, `running-requests`, `waiting-queue`, `kv-cache-utilization`) and `maxValue`.',
      ),
    fallbackOnEmpty: z.boolean().default(false).describe('Whether all are kept when none would be left.'),
  }),
  create: ({ conditions, fallbackOnEmpty }) => ({
    filter(_request, candidates) {
      const { inFlight, running, waiting, kvUse } = candidates.loads
      const columns = {
        'active-requests': inFlight,
        'running-requests': running,
        'waiting-queue': waiting,
        'kv-cache-utilization': kvUse,
      }
      keepCandidates(
        candidates,
        (slot) => !conditions.some(({ metric, maxValue }) => columns[metric][slot]! > maxValue),
        fallbackOnEmpty,
      )
    },
  }),
})
