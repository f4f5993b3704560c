import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { requestsOn } from '#plugins/requests-on.ts'

/**
 * Prefers endpoints with fewer requests for what they can do: score = least load / own load, where a load is (slack + requests) /
 * declared capacity, so without capacities (slack + fewest) / (slack + own). The ratio sees magnitude: 1 request
 * against 0 is little, 20 against 10 is much, 101 against 100 is next to nothing, where scaling to the spread of the
 * candidates would call all three 1 against 0.
 */
export const leastRequest = definePlugin({
  point: 'scorer',
  type: 'least-request',
  stability: 'stable',
  summary:
    'Prefers endpoints with fewer requests for their declared capacity: ours in flight, and those of others that the engine counts.',
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
  create: ({ slack }, { capacities }) => ({
    score(_request, { slots, count, loads }, out) {
      let least = Number.POSITIVE_INFINITY
      for (let i = 0; i < count; i++) {
        const slot = slots[i]!
        const requests = slack + requestsOn(loads, slot)
        const load = capacities === undefined ? requests : requests / capacities[slot]!
        out[i] = load
        if (load < least) least = load
      }
      for (let i = 0; i < count; i++) out[i] = least / out[i]!
    },
  }),
})
