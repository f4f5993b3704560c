import { z } from 'zod'
import type { Candidates, Placement, PluginPorts, ScheduleRequest } from '#contracts/schedule.ts'
import { SessionPlaces } from '#plugins/session/session-places.ts'
import { sessionIdOf, sessionSource, tokenEndpoint, tokenHeader, tokenPlacement } from './session-token.ts'

/** Parameters of the session scorer and the session filter. */
export const sessionParameters = z.strictObject({
  strategy: z
    .enum(['encoded_endpoint_header', 'session_id'])
    .default('encoded_endpoint_header')
    .describe(
      'Either the client brings back the endpoint in a header, or the gateway remembers which session went where.',
    ),
  encodedEndpointHeaderConfig: z
    .strictObject({ header: tokenHeader })
    .default({ header: 'x-session-token' })
    .describe('For `encoded_endpoint_header`.'),
  sessionIdConfig: z
    .strictObject({ sources: z.array(sessionSource).min(1).max(16) })
    .default({ sources: [{ header: 'x-session-id' }] })
    .describe('For `session_id`: headers or cookies (`{header}`, `{cookie}`) that name the session, in order.'),
  evictionTtlSeconds: z
    .number()
    .positive()
    .max(604_800)
    .default(300)
    .describe('For `session_id`: silence after which a session is forgotten.'),
  evictionSweepSeconds: z
    .number()
    .positive()
    .max(86_400)
    .default(10)
    .describe('Ignored: sessions are forgotten as others come.'),
})

/** Which endpoint a request's session is bound to, and the binding of it. */
export interface SessionAffinity {
  /** Index of the candidate; -1 when the request has no session, or one that is bound to none of them. */
  find(request: ScheduleRequest, candidates: Candidates): number
  placed(request: ScheduleRequest, slot: number): Placement | undefined
}

/** Session affinity by one of the two strategies. */
export function createSessionAffinity(
  parameters: z.infer<typeof sessionParameters>,
  ports: PluginPorts,
): SessionAffinity {
  return parameters.strategy === 'session_id' ? bySessionId(parameters, ports) : byToken(parameters, ports)
}

function byToken(
  { encodedEndpointHeaderConfig }: z.infer<typeof sessionParameters>,
  { endpointOf }: PluginPorts,
): SessionAffinity {
  const header = encodedEndpointHeaderConfig.header.toLowerCase()
  return {
    find({ headers }, { slots, count }) {
      const id = tokenEndpoint(headers, header)
      if (id === undefined) return -1
      for (let i = 0; i < count; i++) if (endpointOf(slots[i]!)?.id === id) return i
      return -1
    },
    placed(_request, slot) {
      const id = endpointOf(slot)?.id
      return id === undefined ? undefined : tokenPlacement(header, id)
    },
  }
}

function bySessionId(
  { sessionIdConfig: { sources }, evictionTtlSeconds }: z.infer<typeof sessionParameters>,
  ports: PluginPorts,
): SessionAffinity {
  const places = new SessionPlaces({ ttlMs: evictionTtlSeconds * 1000, token: undefined, key: '' }, ports)
  return {
    find: (request, candidates) => places.find(request, sessionIdOf(request.headers, sources), candidates),
    placed: (request, slot) => places.placed(request, sessionIdOf(request.headers, sources), slot),
  }
}
