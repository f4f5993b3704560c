import type { Socket } from 'node:net'
import type { Limits } from '#config/snapshot.ts'
import type { ExchangeHandler } from '#contracts/exchange.ts'
import type { Clock } from '#core/clock.ts'
import { type Refusal, refuse } from '#core/refusal.ts'
import type { SlabPool } from '#struct/slab-pool.ts'
import { BodyReader } from './body-reader.ts'
import { Http1Exchange } from './exchange.ts'
import { continueLine, type FoundHead, findHead } from './find-head.ts'

/** What a connection needs of its listener. */
export interface ConnectionContext {
  readonly listener: string
  readonly limits: Limits
  readonly handler: ExchangeHandler
  readonly clock: Clock
  /** True once the drain has begun: answers then close their connection. */
  isDraining(): boolean
  closed(connection: Http1Connection): void
  /** Memory for what is read by `received`. */
  readonly pool: SlabPool
}

const phase = { idle: 0, head: 1, body: 2, serving: 3, closing: 4 } as const

/** Bytes of pipelined requests that are held while an answer is under way. */
const maxHeldBytes = 64 * 1024
/** How long a client may take no byte of a reply before it is cut. */
const stalledWriteMs = 60_000
/** After a refusal of unread input: how long the rest is swallowed so that the refusal is not lost to a reset. */
const lingerMs = 1_000

/**
 * One client connection speaking HTTP/1.x: reads requests one after the other, hands each to the handler, writes the
 * answer. Owns its socket. Deadlines are numbers that the listener's sweep compares with the clock, so that ten
 * thousand connections need no timer each.
 */
export class Http1Connection {
  readonly socket: Socket
  readonly context: ConnectionContext
  readonly remoteAddress: string
  #phase: number = phase.idle
  #deadlineMs: number
  #startedAtMs = 0
  #pending: Buffer | undefined = undefined
  #exchange: Http1Exchange | undefined = undefined
  readonly #body: BodyReader
  #paused = false
  /** Where the bytes of the request under way lie; given back when nobody can read them any more. */
  #slabs: Buffer[] = []

  constructor(socket: Socket, context: ConnectionContext) {
    this.socket = socket
    this.context = context
    this.remoteAddress = socket.remoteAddress ?? ''
    this.#body = new BodyReader(context.limits.bodyBytes)
    this.#deadlineMs = context.clock.nowMs() + context.limits.headTimeoutMs
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('drain', () => this.#exchange?.drained())
    // A half-closed connection counts as a client that left: engines must stop generating for it.
    socket.on('end', () => this.destroy())
    socket.on('error', () => this.destroy())
    socket.on('close', () => this.#closed())
  }

  /** Takes `buffer[0, bytes)` from a socket that reads into memory it uses again. */
  received(buffer: Buffer, bytes: number): void {
    const slab = this.context.pool.take(bytes)
    buffer.copy(slab, 0, 0, bytes)
    this.#slabs.push(slab)
    this.#read(slab.subarray(0, bytes))
  }

  /** Nobody reads the body of `exchange` any more: its memory serves the next request. */
  recycle(exchange: Http1Exchange): void {
    // What has been read of a following request lies in the same memory.
    if (this.#exchange !== exchange || this.#pending !== undefined) return
    for (const slab of this.#slabs) this.context.pool.give(slab)
    this.#slabs.length = 0
  }

  /** Whether a request is being read or answered. */
  get isBusy(): boolean {
    return this.#phase !== phase.idle
  }

  /** Drops the connection at once; an exchange under way is aborted. */
  destroy(): void {
    this.#phase = phase.closing
    this.socket.destroy()
  }

  /** Called about twice a second: acts on deadlines that have passed. */
  sweep(nowMs: number): void {
    if (this.#phase === phase.serving) return this.#sweepWrites(nowMs)
    if (nowMs < this.#deadlineMs) return
    if (this.#phase === phase.head) this.#refuse(refuse('head-timeout', 'The request head did not arrive in time.'))
    else if (this.#phase === phase.body) this.#refuse(refuse('body-timeout', 'The request body stalled.'))
    else this.destroy()
  }

  /** The answer of `exchange` is complete; the connection goes on or ends. */
  finished(exchange: Http1Exchange, keepAlive: boolean): void {
    if (this.#exchange !== exchange) return
    this.#exchange = undefined
    if (this.#slabs.length > 0) this.#slabs = []
    // An answer that began before the drain promised to keep the connection: it ends all the same.
    if (!keepAlive || this.context.isDraining() || this.#phase === phase.closing) return this.#close()
    this.#phase = phase.idle
    this.#deadlineMs = this.context.clock.nowMs() + this.context.limits.keepAliveMs
    if (this.#paused) {
      this.#paused = false
      this.socket.resume()
    }
    if (this.#pending !== undefined) this.#next()
  }

  #sweepWrites(nowMs: number): void {
    if (this.socket.writableLength === 0) this.#deadlineMs = nowMs + stalledWriteMs
    else if (nowMs >= this.#deadlineMs) this.destroy()
  }

  /** Bytes left the socket: a slow reader that still reads is not stalled. */
  noteProgress(): void {
    this.#deadlineMs = this.context.clock.nowMs() + stalledWriteMs
  }

  #read(chunk: Buffer): void {
    if (this.#phase === phase.closing) return
    if (this.#phase === phase.body) return this.#readBody(chunk)
    this.#pending = this.#pending === undefined ? chunk : Buffer.concat([this.#pending, chunk])
    if (this.#phase !== phase.serving) this.#next()
    else if (this.#pending.length > maxHeldBytes) {
      this.#paused = true
      this.socket.pause()
    }
  }

  /** Takes the next request head from what has been read. */
  #next(): void {
    const data = this.#pending
    if (data === undefined) return
    if (this.#phase === phase.idle) {
      this.#phase = phase.head
      this.#startedAtMs = this.context.clock.nowMs()
      this.#deadlineMs = this.#startedAtMs + this.context.limits.headTimeoutMs
    }
    const found = findHead(data, this.context.limits)
    if (found === undefined) return
    if ('kind' in found) return this.#refuse(found)
    this.#begin(found, data)
  }

  #begin(found: FoundHead, data: Buffer): void {
    this.#pending = undefined
    const exchange = new Http1Exchange(this, found, this.#startedAtMs)
    this.#exchange = exchange
    const refusal = this.context.handler.begin(exchange) ?? this.#body.begin(found.head.framing)
    const rest = found.end < data.length ? data.subarray(found.end) : undefined
    if (refusal !== undefined) return this.#refuse(refusal)
    this.#phase = phase.body
    this.#deadlineMs = this.context.clock.nowMs() + this.context.limits.bodyTimeoutMs
    if (found.expectsContinue && rest === undefined && !this.#body.complete) this.socket.write(continueLine)
    this.#readBody(rest)
  }

  #readBody(chunk: Buffer | undefined): void {
    const rest = chunk === undefined ? undefined : this.#body.push(chunk)
    if (this.#body.refusal !== undefined) return this.#refuse(this.#body.refusal)
    if (!this.#body.complete) {
      if (chunk !== undefined) this.#deadlineMs = this.context.clock.nowMs() + this.context.limits.bodyTimeoutMs
      return
    }
    this.#pending = rest
    this.#phase = phase.serving
    this.#deadlineMs = this.context.clock.nowMs() + stalledWriteMs
    const exchange = this.#exchange
    if (exchange === undefined) return
    exchange.body = this.#body.take()
    this.context.handler.serve(exchange)
  }

  /** Answers a refusal found before the request was complete; the rest of the input is not read as a request. */
  #refuse(refusal: Refusal): void {
    const exchange = this.#exchange ?? new Http1Exchange(this, undefined, this.#startedAtMs)
    this.#exchange = exchange
    // With the body complete (or absent) the next request could still be found; after anything else it could not.
    exchange.closeAfter()
    this.#phase = phase.serving
    this.context.handler.refuse(exchange, refusal)
  }

  /** Ends the connection so that what was written arrives: half-close, swallow input a moment, then drop. */
  #close(): void {
    this.#phase = phase.closing
    this.#pending = undefined
    if (this.#paused) this.socket.resume()
    this.socket.end()
    this.context.clock.after(lingerMs, () => this.socket.destroy())
  }

  #closed(): void {
    this.#phase = phase.closing
    this.#pending = undefined
    const exchange = this.#exchange
    this.#exchange = undefined
    this.context.closed(this)
    exchange?.abort()
  }
}
