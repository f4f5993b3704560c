import type { Call, CallRing } from './call.ts'
import { type FaultPlan, faultFromObject } from './fault.ts'
import type { KvEventSource } from './kv-events/kv-events.ts'
import type { Reply } from './reply.ts'
import type { SimStats } from './stats.ts'

/** What the paths for tests work on. */
export interface ControlParts {
  readonly call: Call
  readonly ring: CallRing
  readonly faults: FaultPlan
  stats(): SimStats
  kvEventSources(): readonly KvEventSource[]
}

/** Answers one of the paths for tests. */
export type ControlHandler = (parts: ControlParts, reply: Reply) => void

/**
 * Paths no real engine has, for tests: what arrived, live numbers, how far KV events are, and faults. They need no key and no
 * fault hits them.
 * `POST /sim/faults` takes a fault, or `null` to end it.
 */
export const CONTROL_ROUTES: ReadonlyMap<string, ControlHandler> = new Map<string, ControlHandler>([
  ['GET /sim/last-requests', ({ ring }, reply) => reply.json(200, ring.arrivals())],
  ['GET /sim/stats', ({ stats }, reply) => reply.json(200, stats())],
  ['GET /sim/kv-events', ({ kvEventSources }, reply) => reply.json(200, kvEventSources())],
  ['GET /sim/faults', ({ faults }, reply) => reply.json(200, faults.current ?? null)],
  ['POST /sim/faults', setFault],
])

function setFault({ call, faults }: ControlParts, reply: Reply): void {
  try {
    const value: unknown = JSON.parse(call.body.toString() || 'null')
    faults.set(value === null ? undefined : faultFromObject(value))
  } catch (error) {
    return reply.json(400, { error: error instanceof Error ? error.message : 'not a fault' })
  }
  reply.json(200, faults.current ?? null)
}
