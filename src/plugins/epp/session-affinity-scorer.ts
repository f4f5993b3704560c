import { definePlugin } from '#contracts/plugin.ts'
import { createSessionAffinity, sessionParameters } from './session-affinity.ts'

/** 1 for the endpoint that the session is bound to, 0 for the others; silent about requests whose session is bound to none of them. */
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
      score(request, candidates, out) {
        const bound = affinity.find(request, candidates)
        out.fill(bound < 0 ? Number.NaN : 0, 0, candidates.count)
        if (bound >= 0) out[bound] = 1
      },
      placed: affinity.placed,
    }
  },
})
