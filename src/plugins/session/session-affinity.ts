import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { isOverloaded } from './bound-scores.ts'
import { SessionPlaces } from './session-places.ts'

/** Names that may stand in a header line and in a cookie. */
const tokenName = /^[a-z0-9][a-z0-9_-]{0,62}$/

/**
 * Prefers the endpoint where the session was last served (1, the others 0). Silent when the request has no session or a
 * new one, when that endpoint is not among the candidates, and when it is so much busier than the others that waiting for
 * it would cost more than the cache there saves: the session then moves.
 */
export const sessionAffinity = definePlugin({
  point: 'scorer',
  type: 'session-affinity',
  stability: 'beta',
  summary:
    'Prefers the endpoint where the session was last served, unless that is much busier than others; silent about new sessions.',
  reads: ['inFlight', 'running', 'waiting', 'inFlightAtReport'],
  parameters: z.strictObject({
    ttlMs: z
      .number()
      .min(1000)
      .max(7 * 24 * 3_600_000)
      .default(10_800_000)
      .describe('How long a session is remembered after it was last used, in milliseconds.'),
    breakOut: z
      .number()
      .min(0)
      .max(1_000_000)
      .default(16)
      .describe('Requests more than the least busy endpoint has, beyond which a session is let go.'),
    carrier: z
      .enum(['none', 'header', 'cookie'])
      .default('none')
      .describe(
        'Whether clients are given a signed token, as a header or a cookie, by which any replica finds the endpoint again.',
      ),
    carrierName: z
      .string()
      .regex(tokenName, 'must be lower-case letters, digits, - and _, at most 63')
      .default('x-infer-session')
      .describe('Name of the header or cookie.'),
    secret: z
      .string()
      .max(1024)
      .default('')
      .describe('What signs the tokens, the same for all replicas; empty is a random one of each process.'),
  }),
  caution: ({ carrier, secret }) =>
    carrier !== 'none' && secret === ''
      ? "without 'secret' session tokens are signed with a random one: they end with the process, and other replicas do not know them"
      : undefined,
  create({ ttlMs, breakOut, carrier, carrierName, secret }, ports) {
    const token = carrier === 'none' ? undefined : { by: carrier, name: carrierName }
    const places = new SessionPlaces({ ttlMs, key: secret, token }, ports)
    return {
      score(request, candidates, out) {
        const { count } = candidates
        const bound = places.find(request, request.session, candidates)
        const isKept = bound >= 0 && !isOverloaded(bound, candidates, breakOut)
        out.fill(isKept ? 0 : Number.NaN, 0, count)
        if (isKept) out[bound] = 1
      },
      placed: (request, slot) => places.placed(request, request.session, slot),
    }
  },
})
