import { z } from 'zod'
import type { LoadColumns } from '#contracts/load.ts'
import { definePlugin } from '#contracts/plugin.ts'

const loaded = 1
const roomForIt = 0.8
const unsuitable = 0

function scoreOf(loads: LoadColumns, slot: number, adapter: number): number {
  if (adapter >= 0 && loads.hasAdapter(slot, adapter)) return loaded
  const room = loads.maxAdapters[slot]! - loads.adapterCount[slot]!
  if (Number.isNaN(room)) return Number.NaN
  return room > 0 ? roomForIt : unsuitable
}

/**
 * 1 where the adapter is loaded, 0.8 where there is room for it, else 0; silent about engines that do not say how many
 * fit. An adapter that an engine still waits to load counts as loaded: engines here are known by one set of adapters,
 * so the 0.6 of the Endpoint Picker for those does not occur.
 */
export const loraAffinityScorer = definePlugin({
  point: 'scorer',
  type: 'lora-affinity-scorer',
  origin: 'epp',
  stability: 'stable',
  summary:
    'Prefers endpoints that have the adapter loaded (1), then those with room for it (0.8), then the others (0).',
  reads: ['hasAdapter', 'maxAdapters', 'adapterCount'],
  parameters: z.strictObject({}),
  create: () => ({
    score({ adapter }, { slots, count, loads }, out) {
      for (let i = 0; i < count; i++) out[i] = scoreOf(loads, slots[i]!, adapter)
    },
  }),
})
