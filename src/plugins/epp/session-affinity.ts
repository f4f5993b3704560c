import { z } from 'zod'
import type { Placement, PluginPorts, ScheduleRequest } from '#contracts/schedule.ts'
import { SessionTable } from '#struct/session-table.ts'
import { hashText } from '#struct/text-hash.ts'
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
  /** The id of the endpoint; undefined when the request has no session, or one that is not bound. */
  boundTo(request: ScheduleRequest): string | undefined
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
    boundTo: ({ headers }) => tokenEndpoint(headers, header),
    placed(_request, slot) {
      const id = endpointOf(slot)?.id
      return id === undefined ? undefined : tokenPlacement(header, id)
    },
  }
}

const markSeed = 0x1b873593

function bySessionId(
  { sessionIdConfig: { sources }, evictionTtlSeconds }: z.infer<typeof sessionParameters>,
  { endpointOf, sessionMemory }: PluginPorts,
): SessionAffinity {
  const table = new SessionTable(sessionMemory)
  const ttlMs = evictionTtlSeconds * 1000
  const keyOf = ({ headers, model }: ScheduleRequest): string | undefined => {
    const session = sessionIdOf(headers, sources)
    return session === undefined ? undefined : `epp\0${model}\0${session}`
  }
  const placeOf = (row: number) => ({ row, mark: hashText(endpointOf(row)?.id ?? '', markSeed) })
  return {
    boundTo(request) {
      const key = keyOf(request)
      const place = key === undefined ? undefined : table.find(key, request.nowMs, ttlMs)
      // Another endpoint may have got the row since.
      return place !== undefined && placeOf(place.row).mark === place.mark ? endpointOf(place.row)?.id : undefined
    },
    placed(request, slot) {
      const key = keyOf(request)
      if (key === undefined) return undefined
      const place = placeOf(slot)
      table.bind(key, place, Math.max(request.nowMs, Number.MIN_VALUE))
      return {
        ended({ isAnswered }) {
          if (!isAnswered) table.forget(key, place)
        },
      }
    },
  }
}
