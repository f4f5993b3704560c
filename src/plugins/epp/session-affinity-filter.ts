import { definePlugin } from '#contracts/plugin.ts'
import { createSessionAffinity, sessionParameters } from './session-affinity.ts'

/** Keeps the endpoint that the session is bound to, if it is still a candidate; else all. */
export const sessionAffinityFilter = definePlugin({
  point: 'filter',
  type: 'session-affinity-filter',
  origin: 'epp',
  stability: 'alpha',
  summary: 'Keeps only the endpoint that served the session before, as long as it is a candidate.',
  reads: [],
  parameters: sessionParameters,
  create(parameters, ports) {
    const affinity = createSessionAffinity(parameters, ports)
    return {
      filter(request, candidates) {
        const bound = affinity.find(request, candidates)
        if (bound < 0) return
        candidates.slots[0] = candidates.slots[bound]!
        candidates.count = 1
      },
      placed: affinity.placed,
    }
  },
})
