import type { Limits, ListenerPlan } from '#config/snapshot.ts'
import type { Exchange, ExchangeHandler } from '#contracts/exchange.ts'
import { type ManualClock, manualClock } from '#core/manual-clock.ts'
import type { Refusal } from '#core/refusal.ts'
import { listenerPlan, snapshotOf } from '#datastore/snapshot-case.ts'
import { Listener } from '#listen/listener.ts'
import { RawHttp2 } from './raw-client-case.ts'

// For tests: a listener that speaks HTTP/2 in the clear, and a raw client of it.

/** A running listener. */
export interface Door {
  readonly listener: Listener
  readonly clock: ManualClock
  readonly client: RawHttp2
  readonly port: number
  readonly served: Exchange[]
  readonly refused: string[]
}

/** What differs from the usual; without `serve` every request is answered. */
export interface Given {
  readonly limits?: Partial<Limits>
  readonly plan?: Partial<ListenerPlan>
  readonly serve?: (exchange: Exchange) => void
}

/** Starts a listener and a client, and closes both after `run`. */
export async function withDoor(given: Given, run: (door: Door) => Promise<void>): Promise<void> {
  const clock = manualClock(1000)
  const served: Exchange[] = []
  const refused: string[] = []
  const handler: ExchangeHandler = {
    begin: () => undefined,
    serve(exchange) {
      served.push(exchange)
      if (given.serve === undefined) exchange.reply(200, [], Buffer.from('ok'))
      else given.serve(exchange)
    },
    refuse(exchange, refusal: Refusal) {
      refused.push(refusal.reason)
      exchange.reply(400, [], Buffer.from(refusal.reason))
    },
  }
  const ports = { handler, clock, onConnections: () => {}, onRefusedConnection: () => {} }
  const limits = { ...snapshotOf([]).limits, ...given.limits }
  const listener = new Listener(listenerPlan({ http2: true, ...given.plan }), limits, ports)
  const port = await listener.listen()
  const client = new RawHttp2(port)
  try {
    await run({ listener, clock, client, port, served, refused })
  } finally {
    client.socket.destroy()
    listener.close()
  }
}

/** Number in a payload. */
export const codeOf = (payload: Buffer | undefined, at = 0): number => payload?.readUInt32BE(at) ?? -1
