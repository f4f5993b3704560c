import type { Limits } from '#config/snapshot.ts'
import type { Exchange, ExchangeHandler } from '#contracts/exchange.ts'
import { type ManualClock, manualClock } from '#core/manual-clock.ts'
import { snapshotOf } from '#datastore/snapshot-case.ts'
import type { WriteBudget } from '#listen/write-budget.ts'
import { SlabPool } from '#struct/slab-pool.ts'
import { type ConnectionContext, Http1Connection } from './connection.ts'
import { DateText } from './date-text.ts'
import { PaperSocket } from './paper-socket.ts'

/** Time between two sweeps. */
export const sweepMs = 500

/** A connection for tests, and what happened on it. */
export class Bench {
  readonly paper = new PaperSocket()
  readonly clock: ManualClock = manualClock(1_000_000)
  readonly pool = new SlabPool()
  /** Slabs that were taken and not given back. */
  slabsOut = 0
  readonly served: Exchange[] = []
  readonly refused: string[] = []
  readonly aborted: (string | undefined)[] = []
  readonly connection: Http1Connection
  closed = 0
  draining = false

  /** `serve` answers a request; by default it echoes. */
  constructor(limits: Partial<Limits> = {}, more: Partial<ExchangeHandler> & { readonly budget?: WriteBudget } = {}) {
    const { budget, ...methods } = more
    this.#countSlabs()
    const handler: ExchangeHandler = {
      begin: () => undefined,
      serve: (exchange) => exchange.reply(200, [], Buffer.concat(exchange.body.slices)),
      refuse: (exchange, refusal) => exchange.reply(400, [], Buffer.from(refusal.reason)),
      ...methods,
    }
    const context: ConnectionContext = {
      listener: 'test',
      limits: { ...snapshotOf([]).limits, keepAliveMs: 75_000, ...limits },
      clock: this.clock,
      pool: this.pool,
      date: new DateText(this.clock),
      ...(budget === undefined ? {} : { budget }),
      handler: {
        begin: (exchange) => handler.begin(exchange),
        serve: (exchange) => {
          this.served.push(exchange)
          exchange.observer = { aborted: (reason) => void this.aborted.push(reason), drained: () => {} }
          handler.serve(exchange)
        },
        refuse: (exchange, refusal) => {
          this.refused.push(refusal.reason)
          handler.refuse(exchange, refusal)
        },
      },
      isDraining: () => this.draining,
      closed: () => void this.closed++,
    }
    this.connection = new Http1Connection(this.paper.socket, context)
  }

  /** The client sends `text` (latin1), which is read into memory that is used again. */
  send(text: string): void {
    const memory = Buffer.from(text, 'latin1')
    this.connection.received(memory, memory.length)
    memory.fill(0x58)
  }

  /** Time passes, with sweeps. */
  pass(ms: number): void {
    for (let left = ms; left > 0; left -= sweepMs) {
      this.clock.advance(Math.min(left, sweepMs))
      this.connection.sweep(this.clock.nowMs())
    }
  }

  /** Statuses of the answers written so far. */
  get answers(): string[] {
    return this.paper.written.match(/(?<=HTTP\/1\.1 )\d{3}/g) ?? []
  }

  #countSlabs(): void {
    const { pool } = this
    const [take, give] = [pool.take.bind(pool), pool.give.bind(pool)]
    pool.take = (bytes) => {
      this.slabsOut++
      return take(bytes)
    }
    pool.give = (slab) => {
      this.slabsOut--
      give(slab)
    }
  }
}

/** The shortest request. */
export const get = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n'

/** Serves nothing: the exchange stays open. */
export const hold: Partial<ExchangeHandler> = { serve: () => {} }
