import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { health } from '#core/endpoint.ts'

/**
 * Drops endpoints that said they are not ready, and those that rest after failures, unless all of the others do: a
 * rest is our guess, and the last endpoint is better tried than given up.
 */
export const usable = definePlugin({
  point: 'filter',
  type: 'usable',
  stability: 'stable',
  summary: 'Drops endpoints that are not ready, and those that rest after failures as long as others are left.',
  reads: ['health', 'restUntilMs'],
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
        if (!(loads.restUntilMs[slot]! > nowMs)) awake++
      }
      candidates.count = ready
      if (awake === 0 || awake === ready) return
      let kept = 0
      for (let i = 0; i < ready; i++) {
        const slot = slots[i]!
        if (!(loads.restUntilMs[slot]! > nowMs)) slots[kept++] = slot
      }
      candidates.count = kept
    },
  }),
})
