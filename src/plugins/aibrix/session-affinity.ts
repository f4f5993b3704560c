import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import type { Candidates, PluginPorts, ScheduleRequest } from '#contracts/schedule.ts'
import { headerOf } from '#core/header-list.ts'
import { requestsOn } from '#plugins/requests-on.ts'
import { isOverloaded } from '#plugins/session/bound-scores.ts'
import { SessionPlaces } from '#plugins/session/session-places.ts'
import { Fnv64 } from './fnv.ts'
import { normalise } from './normalise.ts'

const idHeader = 'x-session-id'
const keyHeader = 'x-aibrix-session-key'
const maxKeyBytes = 256

/** Ids of AIBrix itself: base64 of `ip:port`. */
function boundByAddress(text: string, { slots, count }: Candidates, { endpointOf }: PluginPorts): number {
  if (text.length > maxKeyBytes) return -1
  const address = Buffer.from(text, 'base64').toString('latin1')
  for (let i = 0; i < count; i++) if (endpointOf(slots[i]!)?.id === address) return i
  return -1
}

/**
 * The candidate with the greatest FNV-1a of key, 0x00, address; of equals the one with the smaller address. Those that are
 * overloaded take no part, so that a hot key moves to the next in its own order.
 */
function rendezvous(key: string, candidates: Candidates, { endpointOf }: PluginPorts, breakOut: number): number {
  const start = new Fnv64().addText(key)
  start.add(0)
  const [best, hash] = [new Fnv64(), new Fnv64()]
  let winner = -1
  let address = ''
  for (let i = 0; i < candidates.count; i++) {
    const own = endpointOf(candidates.slots[i]!)?.id ?? ''
    hash.from(start).addText(own)
    const isTie = !hash.isAbove(best) && !best.isAbove(hash)
    if (winner >= 0 && !(isTie ? own < address : hash.isAbove(best))) continue
    if (isOverloaded(i, candidates, breakOut)) continue
    best.from(hash)
    winner = i
    address = own
  }
  return winner
}

function keyOf({ headers }: ScheduleRequest): string | undefined {
  const key = headerOf(headers, keyHeader) ?? ''
  return key === '' || Buffer.byteLength(key) > maxKeyBytes ? undefined : key
}

/**
 * AIBrix strategy `session-affinity` (aibrix-and-others.md A2.8): the endpoint of `x-session-id`, else the one that
 * `x-aibrix-session-key` hashes to, else the least busy. Unlike the original it looks at load, and the `x-session-id` that
 * it returns is a signed token in which no address can be read; those of AIBrix are understood.
 */
export const aibrixSessionAffinity = definePlugin({
  point: 'scorer',
  type: 'aibrix-session-affinity',
  stability: 'beta',
  origin: 'aibrix',
  summary: 'AIBrix strategy `session-affinity`: the endpoint of `x-session-id`, or that of `x-aibrix-session-key`.',
  reads: ['inFlight', 'running', 'waiting', 'inFlightAtReport'],
  parameters: z.strictObject({
    ttlMs: z
      .number()
      .min(1000)
      .max(7 * 24 * 3_600_000)
      .default(3_600_000)
      .describe('How long an `x-session-id` holds after it was last used, in milliseconds.'),
    breakOut: z
      .number()
      .min(0)
      .max(1_000_000)
      .default(16)
      .describe('Requests more than the least busy endpoint has, beyond which a session is let go.'),
    secret: z
      .string()
      .max(1024)
      .default('')
      .describe('What signs the ids, the same for all replicas; empty is a random one of each process.'),
  }),
  create({ ttlMs, breakOut, secret }, ports) {
    const places = new SessionPlaces({ ttlMs, key: secret, token: { by: 'header', name: idHeader } }, ports)
    const bound = (request: ScheduleRequest, candidates: Candidates): number => {
      const id = headerOf(request.headers, idHeader)
      const byToken = places.find(request, undefined, candidates)
      const byId = byToken < 0 && id !== undefined ? boundByAddress(id, candidates, ports) : byToken
      if (byId >= 0 && !isOverloaded(byId, candidates, breakOut)) return byId
      const session = keyOf(request)
      return session === undefined ? -1 : rendezvous(session, candidates, ports, breakOut)
    }
    return {
      score(request, candidates, out) {
        const { count } = candidates
        const index = bound(request, candidates)
        if (index >= 0) {
          out.fill(0, 0, count)
          out[index] = 1
          return
        }
        for (let i = 0; i < count; i++) out[i] = requestsOn(candidates.loads, candidates.slots[i]!)
        normalise(out, count, 'least')
      },
      placed: (request, slot) => (keyOf(request) === undefined ? places.placed(request, undefined, slot) : undefined),
    }
  },
})
