import { connect, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import type { Limits, ListenerPlan } from '#config/snapshot.ts'
import type { Exchange, ExchangeHandler } from '#contracts/exchange.ts'
import { systemClock } from '#core/clock.ts'
import { type ManualClock, manualClock } from '#core/manual-clock.ts'
import { listenerPlan, snapshotOf } from '#datastore/snapshot-case.ts'
import { Listener } from './listener.ts'

// For tests: a listener whose time stands still, and clients that say what they are told.

/** A running listener and what has happened to it. */
export interface Case {
  readonly listener: Listener
  readonly clock: ManualClock
  readonly port: number
  readonly limits: Limits
  readonly served: Exchange[]
  /** Numbers of open connections as they were told. */
  readonly told: number[]
  /** Connections turned away. */
  readonly refused: { count: number }
  readonly failedHandshakes: string[]
}

/** Starts a listener that answers with the peer's address, its own name and the body; closes it after `run`. */
export async function withListener(
  given: { readonly plan?: Partial<ListenerPlan>; readonly limits?: Partial<Limits> },
  run: (one: Case) => Promise<void>,
): Promise<void> {
  const clock = manualClock(1000)
  const served: Exchange[] = []
  const told: number[] = []
  const refused = { count: 0 }
  const failedHandshakes: string[] = []
  const handler: ExchangeHandler = {
    begin: () => undefined,
    serve(exchange) {
      served.push(exchange)
      if (exchange.head.target === '/hang') return
      exchange.reply(200, [], Buffer.from(`${exchange.remoteAddress} ${exchange.isSecure ? 'secure' : 'plain'}`))
    },
    refuse: (exchange, { reason }) => exchange.reply(400, [], Buffer.from(reason)),
  }
  const limits = { ...snapshotOf([]).limits, ...given.limits }
  const listener = new Listener(listenerPlan(given.plan), limits, {
    handler,
    clock,
    onConnections: (open) => void told.push(open),
    onRefusedConnection: () => void refused.count++,
    onFailedHandshake: (reason) => void failedHandshakes.push(reason),
  })
  const port = await listener.listen()
  try {
    await run({ listener, clock, port, limits, served, told, refused, failedHandshakes })
  } finally {
    listener.close()
  }
}

/** Waits for something that happens by itself. */
export async function until(what: string, isTrue: () => boolean): Promise<void> {
  const clock = systemClock()
  const deadlineMs = clock.nowMs() + 5000
  while (!isTrue()) {
    if (clock.nowMs() > deadlineMs) throw new Error(`never ${what}`)
    await new Promise<void>((resolve) => clock.after(1, resolve))
  }
}

/** A client and everything that it has received. */
export class TextClient {
  readonly socket: Socket
  text = ''
  isEnded = false

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes: Buffer) => {
      this.text += bytes.toString('latin1')
    })
    for (const event of ['end', 'close', 'error']) {
      socket.on(event, () => {
        this.isEnded = true
      })
    }
  }

  /** A client on a connection of its own. */
  static async open(port: number): Promise<TextClient> {
    const socket = connect({ port, host: '127.0.0.1' })
    await new Promise((resolve) => socket.once('connect', resolve))
    return new TextClient(socket)
  }

  /** Sends a request and waits for an answer that ends with `end`. */
  async ask(end: string, request = get): Promise<string> {
    this.text = ''
    this.socket.write(request)
    await until(`answered with ${end}`, () => this.text.endsWith(end) || this.isEnded)
    return this.text
  }
}

/** A request that leaves the connection open. */
export const get = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n'

/** A TLS connection, or why there is none. With TLS 1.3 the server may still refuse it afterwards. */
export function tlsTo(port: number, options: ConnectionOptions = {}): Promise<TLSSocket | Error> {
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
  return new Promise((resolve) => {
    socket.once('secureConnect', () => resolve(socket))
    socket.once('error', resolve)
  })
}
