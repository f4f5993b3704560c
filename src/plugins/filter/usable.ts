import { z } from 'zod'
import type { LoadColumns } from '#contracts/load.ts'
import { definePlugin } from '#contracts/plugin.ts'
import { health } from '#core/endpoint.ts'

/**
 * Drops endpoints that said they are not ready, and those that rest at their own wish or are ejected after failures,
 * unless all of the others do: an ejection is our guess, and the last endpoint is better tried than given up.
 */
export const usable = definePlugin({
  point: 'filter',
  type: 'usable',
  stability: 'stable',
  summary:
    'Drops endpoints that are not ready, and, as long as others are left, those that asked for a rest or are ejected after failures.',
  reads: ['health', 'restUntilMs', 'ejected'],
  parameters: z.strictObject({}),
  create: () => ({
    filter({ nowMs }, candidates) {
      const { slots, loads } = candidates
      let ready = 0
      let awake = 0
      for (let i = 0; i < candidates.count; i++) {
        const slot = slots[i]!
        if (loads.health[slot] === health.unready) continue
        slots[ready++] = slot
        if (isAwake(loads, slot, nowMs)) awake++
      }
      candidates.count = ready
      if (awake === 0 || awake === ready) return
      let kept = 0
      for (let i = 0; i < ready; i++) {
        const slot = slots[i]!
        if (isAwake(loads, slot, nowMs)) slots[kept++] = slot
      }
      // Another thread may have ejected the last of them since they were counted.
      if (kept > 0) candidates.count = kept
    },
  }),
})

function isAwake(loads: LoadColumns, slot: number, nowMs: number): boolean {
  return loads.ejected[slot] === 0 && !(loads.restUntilMs[slot]! > nowMs)
}
