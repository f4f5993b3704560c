import type { Limits } from '#config/snapshot.ts'
import type { Exchange, ExchangeHandler } from '#contracts/exchange.ts'
import { manualClock } from '#core/manual-clock.ts'
import { snapshotOf } from '#datastore/snapshot-case.ts'
import { type ConnectionContext, Http1Connection } from '#listen/http1/connection.ts'
import { PaperSocket } from '#listen/http1/paper-socket.ts'
import { SlabPool } from '#struct/slab-pool.ts'

/** A request as the gateway's handler got it. */
export interface Served {
  readonly method: string
  readonly target: string
  /** Flat. */
  readonly headers: readonly string[]
  /** As latin1; undefined when it was refused at its head and the connection goes on. */
  readonly body: string | undefined
}

/** What a connection made of a stream of bytes. */
export interface Driven {
  readonly served: readonly Served[]
  /** Of the refusal that ended it. */
  readonly refused: string | undefined
  /** Whether it would read more. */
  readonly open: boolean
  /** Everything it wrote, as latin1. */
  readonly written: string
  /** Answers that it meant to write. */
  readonly answers: number
}

const limits: Limits = { ...snapshotOf([]).limits, headBytes: 4096, headerCount: 32, bodyBytes: 64 * 1024 }

/**
 * Feeds `slices` to a connection of the gateway, each from memory that is overwritten afterwards, as its sockets do;
 * every request is answered at once, with the values of its headers copied.
 */
export function driveConnection(slices: readonly Buffer[], more: Partial<Limits> = {}): Driven {
  const served: Served[] = []
  let refused: string | undefined
  let answers = 0
  const handler: ExchangeHandler = {
    begin: () => undefined,
    serve(exchange: Exchange) {
      answers++
      const { method, target, headers } = exchange.head
      const body = Buffer.concat(exchange.body.slices).toString('latin1')
      served.push({ method, target, headers: [...headers], body })
      exchange.recycleBody()
      // Whatever came in a value must not split the answer that it is copied to.
      const copied = headers.flatMap((text, i) => (i % 2 === 1 ? ['x-copy', text] : []))
      exchange.reply(200, copied, Buffer.from(method === 'HEAD' ? '' : String(served.length)))
    },
    refuse(exchange, refusal) {
      answers++
      const { method, target, headers } = exchange.head
      if (refusal.reason === 'expectation-failed')
        served.push({ method, target, headers: [...headers], body: undefined })
      refused = refusal.reason
      exchange.reply(400, ['x-infer-reason', refusal.reason], Buffer.from(method === 'HEAD' ? '' : refusal.message))
    },
  }
  const socket = new PaperSocket()
  const context: ConnectionContext = {
    listener: 'fuzz',
    limits: { ...limits, ...more },
    handler,
    clock: manualClock(),
    pool: new SlabPool(),
    isDraining: () => false,
    closed: () => {},
  }
  const connection = new Http1Connection(socket.socket, context)
  const memory = Buffer.alloc(Math.max(0, ...slices.map((slice) => slice.length)))
  for (const slice of slices) {
    slice.copy(memory)
    connection.received(memory, slice.length)
    memory.fill(0x58, 0, slice.length)
  }
  const open = !socket.writableEnded && !socket.destroyed
  return { served, refused: open ? undefined : refused, open, written: socket.written, answers }
}
