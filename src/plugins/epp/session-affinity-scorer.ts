import { definePlugin } from '#contracts/plugin.ts'
import { createSessionAffinity, sessionParameters } from './session-affinity.ts'

/** 1 for the endpoint that the session is bound to, 0 for the others; silent about requests of no bound session. */
export const sessionAffinityScorer = definePlugin({
  point: 'scorer',
  type: 'session-affinity-scorer',
  origin: 'epp',
  stability: 'alpha',
  summary: 'Prefers the endpoint that served the session before: 1 for it, 0 for the others.',
  reads: [],
  parameters: sessionParameters,
  create(parameters, ports) {
    const affinity = createSessionAffinity(parameters, ports)
    return {
      score(request, { slots, count }, out) {
        const bound = affinity.boundTo(request)
        for (let i = 0; i < count; i++) {
          out[i] = bound === undefined ? Number.NaN : ports.endpointOf(slots[i]!)?.id === bound ? 1 : 0
        }
      },
      placed: affinity.placed,
    }
  },
})
