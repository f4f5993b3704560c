import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { requestsOn } from '#plugins/requests-on.ts'

/**
 * Prefers endpoints with fewer requests: score = (slack + fewest) / (slack + own). The ratio sees magnitude: 1 request
 * against 0 is little, 20 against 10 is much, 101 against 100 is next to nothing, where scaling to the spread of the
 * candidates would call all three 1 against 0.
 */
export const leastRequest = definePlugin({
  point: 'scorer',
  type: 'least-request',
  stability: 'stable',
  summary: 'Prefers endpoints with fewer requests: ours in flight, and those of others that the engine counts.',
  reads: ['inFlight', 'running', 'waiting', 'inFlightAtReport'],
  parameters: z.strictObject({
    slack: z
      .number()
      .positive()
      .max(1000)
      .default(4)
      .describe(
        'Requests that an engine takes into its batch without much delay; less makes small differences weigh more.',
      ),
  }),
  create: ({ slack }) => ({
    score(_request, { slots, count, loads }, out) {
      let fewest = Number.POSITIVE_INFINITY
      for (let i = 0; i < count; i++) {
        const requests = requestsOn(loads, slots[i]!)
        out[i] = requests
        if (requests < fewest) fewest = requests
      }
      for (let i = 0; i < count; i++) out[i] = (slack + fewest) / (slack + out[i]!)
    },
  }),
})
