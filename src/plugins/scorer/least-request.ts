import { z } from 'zod'
import type { LoadColumns } from '#contracts/load.ts'
import { definePlugin } from '#contracts/plugin.ts'

const orNone = (requests: number): number => (Number.isNaN(requests) ? 0 : requests)

/**
 * Requests on an endpoint: ours, known without delay, and those that came from elsewhere, which are what the engine
 * counted (running + waiting) beyond ours of that moment. Adding the two counts as they are would count ours twice,
 * and taking the engine's alone would miss whatever was sent since. When it is not known how many were ours, the
 * greater count stands.
 */
function requestsOn(loads: LoadColumns, slot: number): number {
  const ours = loads.inFlight[slot]!
  const reported = orNone(loads.running[slot]!) + orNone(loads.waiting[slot]!)
  const oursThen = loads.inFlightAtReport[slot]!
  return Number.isNaN(oursThen) ? Math.max(ours, reported) : ours + Math.max(0, reported - oursThen)
}

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
