import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'

// Rules and defaults: kthena-router.md 4.3.

const usualWaiting = 10

/** Keeps engines with fewer waiting requests than the bound, and those that do not say. May leave none: 503 then. */
export const kthenaMaxWaiting = definePlugin({
  point: 'filter',
  type: 'kthena-least-request-filter',
  stability: 'beta',
  origin: 'kthena',
  summary: 'Kthena filter `least-request`: keeps engines with fewer waiting requests than the bound.',
  reads: ['waiting'],
  parameters: z.strictObject({
    maxWaitingRequests: z.number().int().min(0).max(1_000_000).default(usualWaiting).describe('The bound; 0 means 10.'),
  }),
  create: ({ maxWaitingRequests }) => ({
    filter(_request, candidates) {
      const { slots, loads } = candidates
      const bound = maxWaitingRequests === 0 ? usualWaiting : maxWaitingRequests
      let kept = 0
      for (let i = 0; i < candidates.count; i++) {
        const slot = slots[i]!
        if (!(loads.waiting[slot]! >= bound)) slots[kept++] = slot
      }
      candidates.count = kept
    },
  }),
})

/** Keeps endpoints that have the adapter. When none has it all are kept: one of them loads it, where Kthena answers 400. */
export const kthenaLoraAffinity = definePlugin({
  point: 'filter',
  type: 'kthena-lora-affinity',
  stability: 'beta',
  origin: 'kthena',
  summary: 'Kthena filter `lora-affinity`: keeps endpoints that have the adapter loaded, as long as there are such.',
  reads: ['hasAdapter'],
  parameters: z.strictObject({}),
  create: () => ({
    filter({ adapter }, candidates) {
      const { slots, count, loads } = candidates
      if (adapter < 0) return
      let kept = 0
      let isAny = false
      for (let i = 0; i < count && !isAny; i++) isAny = loads.hasAdapter(slots[i]!, adapter)
      if (!isAny) return
      for (let i = 0; i < count; i++) if (loads.hasAdapter(slots[i]!, adapter)) slots[kept++] = slots[i]!
      // Another thread may have noted that the last of them has dropped it.
      if (kept > 0) candidates.count = kept
    },
  }),
})
