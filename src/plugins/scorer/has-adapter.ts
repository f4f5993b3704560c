import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'

const loaded = 1
const roomForIt = 0.5
const mustDisplace = 0

/**
 * Prefers endpoints that have the adapter asked for loaded (1), then those with room for one more (0.5), then any (0).
 * An engine that does not say how many fit is taken to have room: the score of a holder must not sink to the mean just
 * because the others are silent.
 */
export const hasAdapter = definePlugin({
  point: 'scorer',
  type: 'has-adapter',
  stability: 'stable',
  summary: 'Prefers endpoints that have the adapter loaded, then those with room for it; silent about base models.',
  reads: ['hasAdapter', 'maxAdapters', 'adapterCount'],
  parameters: z.strictObject({}),
  create: () => ({
    score({ adapter }, { slots, count, loads }, out) {
      for (let i = 0; i < count; i++) {
        const slot = slots[i]!
        if (adapter < 0) out[i] = Number.NaN
        else if (loads.hasAdapter(slot, adapter)) out[i] = loaded
        else out[i] = loads.adapterCount[slot]! >= loads.maxAdapters[slot]! ? mustDisplace : roomForIt
      }
    },
  }),
})
