import type { Socket } from 'node:net'
import type { Limits } from '#config/snapshot.ts'
import type { ExchangeHandler, Tunnel, TunnelObserver } from '#contracts/exchange.ts'
import type { Clock } from '#core/clock.ts'
import { type Refusal, refuse } from '#core/refusal.ts'
import type { PeerAddress, TrustedProxies } from '#listen/client-origin.ts'
import type { OpenConnection } from '#listen/open-connection.ts'
import type { SlowReader, WriteBudget } from '#listen/write-budget.ts'
import type { SlabPool } from '#struct/slab-pool.ts'
import type { Framing } from '#wire/http1/header-fields.ts'
import { BodyReader } from './body-reader.ts'
import type { DateText } from './date-text.ts'
import { Http1Exchange } from './exchange.ts'
import { continueLine, expectation, type FoundHead, findHead, isBlankStart } from './find-head.ts'
import { ownSocket, type SocketOwner } from './socket-owner.ts'
import { Http1Tunnel } from './tunnel.ts'

/** What a connection needs of its listener. One object serves all connections of a listener. */
export interface ConnectionContext {
  readonly listener: string
  readonly limits: Limits
  readonly handler: ExchangeHandler
  readonly clock: Clock
  /** Memory for what is read by `received`. */
  readonly pool: SlabPool
  /** Bound of what waits for slow clients of this thread; none: only the bounds of each connection hold. */
  readonly budget?: WriteBudget
  /** For the gateway's own answers; none: they have no date. */
  readonly date?: DateText
  /** Whose forwarding headers are believed; none: nobody's. */
  readonly trusted?: TrustedProxies
  /** True once the drain has begun: answers then close their connection. */
  isDraining(): boolean
  closed(connection: OpenConnection): void
}

/** The peer as a PROXY protocol header names it. */
export interface ConnectionPeer extends PeerAddress {
  readonly port: number
}

/**
 * `flushing`: the answer is complete, but the client has not taken enough of it to be given another. `closing`: the
 * last answer is not all sent. `lingering`: it is, and input is swallowed for a moment.
 */
const phase = {
  idle: 0,
  head: 1,
  body: 2,
  serving: 3,
  flushing: 4,
  closing: 5,
  lingering: 6,
  tunnel: 7,
  closed: 8,
} as const

/** Bytes of pipelined requests that are held while an answer is under way. */
const maxHeldBytes = 64 * 1024
/** Pipelined requests that are answered before other connections have their turn. */
const maxTurn = 16
/**
 * After the last answer: how long unread input is swallowed, because a connection that is dropped with input unread is
 * reset, and the reset can overtake the answer.
 */
const lingerMs = 1_000

/**
 * One client connection speaking HTTP/1.x: reads requests one after the other, hands each to the handler, writes the
 * answer. Owns its socket. Deadlines are numbers that the listener's sweep compares with the clock, so that ten
 * thousand connections need no timer each.
 */
export class Http1Connection implements SocketOwner, SlowReader {
  readonly socket: Socket
  readonly context: ConnectionContext
  readonly peer: ConnectionPeer
  budgetIndex = -1
  #phase: number = phase.idle
  #deadlineMs: number
  /** When the request under way began; while idle, when that did. */
  #startedAtMs: number
  #served = 0
  /** What the client had taken at the last sweep; -1 when nothing waited for it. */
  #takenBytes = -1
  /** Input that is not yet taken: the beginning of the next request. */
  #pending: Buffer | undefined = undefined
  /** Bytes of it that hold no complete head. */
  #searched = 0
  #exchange: Http1Exchange | undefined = undefined
  #body: BodyReader | undefined = undefined
  #tunnel: Http1Tunnel | undefined = undefined
  #paused = false
  #advancing = false
  /** Where the bytes of the request under way lie; given back when nobody can read them any more. */
  #slabs: Buffer[] | undefined = undefined

  constructor(socket: Socket, context: ConnectionContext, peer: ConnectionPeer = peerOf(socket)) {
    this.socket = socket
    this.context = context
    this.peer = peer
    this.#startedAtMs = context.clock.nowMs()
    this.#deadlineMs = this.#startedAtMs + context.limits.headTimeoutMs
    ownSocket(socket, this)
  }

  /** Whether a request is being read or answered, or the connection is a tunnel. */
  get isBusy(): boolean {
    return this.#phase !== phase.idle
  }

  /** Clock.nowMs of the last answer, or of the beginning; infinite while busy. */
  get idleSinceMs(): number {
    return this.#phase === phase.idle ? this.#startedAtMs : Number.POSITIVE_INFINITY
  }

  get unsentBytes(): number {
    return this.socket.writableLength
  }

  /** Takes `buffer[0, bytes)` from a socket that reads into memory it uses again. */
  received(buffer: Buffer, bytes: number): void {
    if (this.#phase === phase.tunnel) return this.#tunnel?.data(buffer, bytes)
    if (this.#phase >= phase.closing) return
    // Bytes that join others are copied there: a head sent byte by byte must not cost a slab a byte.
    if (this.#pending !== undefined) return this.#take(buffer.subarray(0, bytes))
    const slab = this.context.pool.take(bytes)
    buffer.copy(slab, 0, 0, bytes)
    const chunk = slab.subarray(0, bytes)
    if (this.#phase !== phase.body) {
      this.#keep(slab)
      return this.#take(chunk)
    }
    const body = this.#body as BodyReader
    const rest = body.push(chunk)
    if (rest !== undefined || body.keptInput) this.#keep(slab)
    else this.context.pool.give(slab)
    this.#bodyRead(body, rest)
  }

  /** Takes memory that is read once and may be kept. */
  read(chunk: Buffer): void {
    if (this.#phase === phase.tunnel) return this.#tunnel?.data(chunk, chunk.length)
    if (this.#phase >= phase.closing) return
    if (this.#body === undefined) return this.#take(chunk)
    this.#bodyRead(this.#body, this.#body.push(chunk))
  }

  /** Nobody reads the body of `exchange` any more: its memory serves the next request. */
  recycle(exchange: Http1Exchange): void {
    // What has been read of a following request lies in the same memory.
    if (this.#exchange !== exchange || this.#pending !== undefined || this.#slabs === undefined) return
    for (const slab of this.#slabs) this.context.pool.give(slab)
    this.#slabs = undefined
  }

  /** Writes bytes that are not changed any more. False asks to stop until the socket has drained. */
  write(out: Buffer): boolean {
    const goesOn = this.socket.write(out)
    if (!goesOn) this.context.budget?.add(this)
    return goesOn
  }

  /** Everything that was written has left this process. */
  drained(): void {
    this.context.budget?.remove(this)
    if (this.#tunnel !== undefined) return this.#tunnel.drained()
    this.#deadlineMs = this.#after(this.context.limits.stalledReaderMs)
    if (this.#phase === phase.flushing) this.#ready()
    else this.#exchange?.drained()
  }

  /** A half-closed connection counts as a client that left: engines must stop generating for it. */
  ended(): void {
    if (this.#tunnel !== undefined) this.#tunnel.ended()
    else if (this.#phase !== phase.closing) this.destroy()
  }

  failed(): void {
    this.destroy()
  }

  closed(): void {
    this.#phase = phase.closed
    this.#pending = undefined
    this.context.budget?.remove(this)
    const exchange = this.#exchange
    this.#exchange = undefined
    this.context.closed(this)
    exchange?.abort(undefined)
    this.#tunnel?.closed()
  }

  /** Drops the connection at once; an exchange under way is aborted, a tunnel closed. */
  destroy(): void {
    this.#phase = phase.closed
    this.socket.destroy()
  }

  /** Drops the connection so that the client can tell it from an orderly end. */
  reset(): void {
    this.#phase = phase.closed
    if (this.peer.isSecure) this.socket.destroy()
    else this.socket.resetAndDestroy()
  }

  /** Drops a client that does not read; the reset frees what waits for it in the system as well. */
  cutSlow(): void {
    this.#phase = phase.closed
    this.context.budget?.remove(this)
    const exchange = this.#exchange
    this.#exchange = undefined
    if (this.peer.isSecure) this.socket.destroy()
    else this.socket.resetAndDestroy()
    exchange?.abort('client-too-slow')
  }

  /** Called about twice a second: acts on deadlines that have passed. */
  sweep(nowMs: number): void {
    if (this.#phase >= phase.tunnel) return
    if (this.#phase >= phase.serving && this.#phase !== phase.lingering) return this.#sweepWrites(nowMs)
    if (this.#phase === phase.body && this.#body?.isTooSlow(nowMs, this.context.limits.bodyTimeoutMs) === true)
      return this.#refuse(refuse('body-timeout', 'The request body came too slowly.'))
    if (nowMs < this.#deadlineMs) return
    if (this.#phase === phase.head) this.#refuse(refuse('head-timeout', 'The request head did not arrive in time.'))
    else if (this.#phase === phase.body) this.#refuse(refuse('body-timeout', 'The request body stalled.'))
    else this.destroy()
  }

  /** The answer of `exchange` is complete; the connection goes on or ends. */
  finished(exchange: Http1Exchange, keepAlive: boolean): void {
    if (this.#exchange !== exchange) return
    this.#exchange = undefined
    this.#slabs = undefined
    if (this.#phase >= phase.closing) return
    // An answer that began before a drain promised to keep the connection, and the next request may be on its way: that
    // one is answered with `connection: close`, and a connection that stays idle is dropped by its listener.
    if (!keepAlive) return this.#close()
    this.#phase = phase.flushing
    // Whoever asks on without reading the answers gets no more of them.
    if (this.socket.writableNeedDrain) this.#deadlineMs = this.#after(this.context.limits.stalledReaderMs)
    else this.#ready()
  }

  /** The answer to `exchange` is that the protocol changes: HTTP ends here. */
  switchTo(exchange: Http1Exchange, observer: TunnelObserver): Tunnel {
    const early = this.#exchange === exchange ? this.#pending : undefined
    this.#exchange = undefined
    this.#slabs = undefined
    this.#pending = undefined
    const tunnel = new Http1Tunnel(this, observer, early)
    if (this.#phase >= phase.closing) {
      // The client has gone meanwhile, and its end has been told to the exchange.
      process.nextTick(() => tunnel.closed())
      return tunnel
    }
    this.#phase = phase.tunnel
    this.#tunnel = tunnel
    this.#unpause()
    return tunnel
  }

  #after(ms: number): number {
    return this.context.clock.nowMs() + ms
  }

  #keep(slab: Buffer): void {
    if (this.#slabs === undefined) this.#slabs = [slab]
    else this.#slabs.push(slab)
  }

  #unpause(): void {
    if (!this.#paused) return
    this.#paused = false
    this.socket.resume()
  }

  #sweepWrites(nowMs: number): void {
    if (this.#phase === phase.closing && this.socket.writableFinished) {
      this.#phase = phase.lingering
      this.#deadlineMs = nowMs + lingerMs
      return
    }
    const taken = this.socket.writableLength === 0 ? -1 : takenBytesOf(this.socket)
    const isStalled = taken === this.#takenBytes
    this.#takenBytes = taken
    if (!isStalled || taken < 0) this.#deadlineMs = nowMs + this.context.limits.stalledReaderMs
    else if (nowMs >= this.#deadlineMs) this.cutSlow()
  }

  /** Takes bytes of the next request. */
  #take(chunk: Buffer): void {
    this.#pending = this.#pending === undefined ? chunk : Buffer.concat([this.#pending, chunk])
    if (this.#phase < phase.body) return this.#advance()
    if (this.#pending.length <= maxHeldBytes) return
    this.#paused = true
    this.socket.pause()
  }

  /** The connection can take the next request. */
  #ready(): void {
    this.#phase = phase.idle
    this.#startedAtMs = this.context.clock.nowMs()
    this.#deadlineMs = this.#startedAtMs + this.context.limits.keepAliveMs
    this.#unpause()
    if (this.#pending !== undefined) this.#advance()
  }

  /** Serves what has been read, one request after the other; a loop, because pipelined ones are many. */
  #advance(): void {
    if (this.#advancing) return
    this.#advancing = true
    for (let served = 0; this.#pending !== undefined && this.#phase < phase.body; served++) {
      if (served === maxTurn) {
        setImmediate(() => this.#advance())
        break
      }
      if (!this.#next(this.#pending)) break
    }
    this.#advancing = false
  }

  /** Takes the next request head from what has been read; false when more is needed. */
  #next(data: Buffer): boolean {
    const { limits } = this.context
    if (this.#phase === phase.idle) {
      if (isBlankStart(data)) return false
      this.#phase = phase.head
      this.#startedAtMs = this.context.clock.nowMs()
      this.#deadlineMs = this.#startedAtMs + limits.headTimeoutMs
      this.#searched = 0
    }
    const found = findHead(data, limits, this.#searched)
    if (found === undefined) {
      this.#searched = data.length
      return false
    }
    this.#pending = undefined
    if ('kind' in found) this.#refuse(found)
    else this.#begin(found, found.end < data.length ? data.subarray(found.end) : undefined)
    return true
  }

  #begin({ head }: FoundHead, rest: Buffer | undefined): void {
    const { limits, handler } = this.context
    const exchange = new Http1Exchange(this, head, this.#startedAtMs)
    this.#exchange = exchange
    this.#served++
    if (limits.requestsPerConnection > 0 && this.#served >= limits.requestsPerConnection) exchange.closeAfter()
    const hasBody = head.framing.chunked || head.framing.contentLength > 0
    const expects = expectation(head.headers, head.minor)
    const refusal = headRefusal(exchange, expects, hasBody) ?? handler.begin(exchange)
    if (!hasBody) {
      this.#pending = rest
      return this.#serve(exchange, refusal)
    }
    if (refusal === undefined && rest !== undefined && this.#takeWhole(exchange, head.framing, rest)) return
    const startedAtMs = this.context.clock.nowMs()
    const body = new BodyReader(head.framing, limits.bodyBytes, startedAtMs)
    if (refusal !== undefined) return this.#refuseBody(exchange, refusal, body, rest)
    this.#phase = phase.body
    this.#body = body
    this.#deadlineMs = startedAtMs + limits.bodyTimeoutMs
    if (expects === 'continue' && rest === undefined && body.refusal === undefined) this.socket.write(continueLine)
    this.#bodyRead(body, rest === undefined ? undefined : body.push(rest))
  }

  /** The usual case: a body that came with its head needs no reader. */
  #takeWhole(exchange: Http1Exchange, { contentLength, chunked }: Framing, rest: Buffer): boolean {
    if (chunked || rest.length < contentLength || contentLength > this.context.limits.bodyBytes) return false
    const isExact = rest.length === contentLength
    exchange.body = { slices: [isExact ? rest : rest.subarray(0, contentLength)], bytes: contentLength }
    this.#pending = isExact ? undefined : rest.subarray(contentLength)
    this.#serve(exchange, undefined)
    return true
  }

  /** Bytes of the body have been read; `rest` lies behind its end. */
  #bodyRead(body: BodyReader, rest: Buffer | undefined): void {
    if (body.refusal !== undefined) return this.#refuse(body.refusal)
    if (!body.complete) {
      this.#deadlineMs = this.#after(this.context.limits.bodyTimeoutMs)
      return
    }
    const exchange = this.#exchange
    this.#pending = rest
    this.#body = undefined
    if (exchange === undefined) return
    exchange.body = body.take()
    this.#serve(exchange, undefined)
  }

  #serve(exchange: Http1Exchange, refusal: Refusal | undefined): void {
    this.#phase = phase.serving
    this.#deadlineMs = this.#after(this.context.limits.stalledReaderMs)
    if (refusal === undefined) this.context.handler.serve(exchange)
    else this.context.handler.refuse(exchange, refusal)
  }

  /** Refuses at the head. The connection goes on only if the body is there already, and ends well. */
  #refuseBody(exchange: Http1Exchange, refusal: Refusal, body: BodyReader, rest: Buffer | undefined): void {
    if (rest !== undefined && body.refusal === undefined) this.#pending = body.push(rest)
    if (!body.complete || body.refusal !== undefined) return this.#refuse(refusal)
    this.#serve(exchange, refusal)
  }

  /** Answers a refusal found before the request was complete; the rest of the input is not read as a request. */
  #refuse(refusal: Refusal): void {
    const exchange = this.#exchange ?? new Http1Exchange(this, undefined, this.#startedAtMs)
    this.#exchange = exchange
    this.#pending = undefined
    this.#body = undefined
    exchange.closeAfter()
    this.#serve(exchange, refusal)
  }

  /** Ends the connection so that what was written arrives. */
  #close(): void {
    this.#phase = phase.closing
    this.#deadlineMs = this.#after(this.context.limits.stalledReaderMs)
    this.#pending = undefined
    this.#unpause()
    this.socket.end()
  }
}

function peerOf(socket: Socket): ConnectionPeer {
  return { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0, isSecure: 'encrypted' in socket }
}

/** Counts up with every byte that the system takes from the socket. */
function takenBytesOf(socket: Socket): number {
  const { _handle: handle } = socket as unknown as WithHandle
  return handle === null ? 0 : handle.bytesWritten - handle.writeQueueSize
}

/** Node's own idea of whether a write still moves (`Socket#_onTimeout`) rests on these two. */
interface WithHandle {
  readonly _handle: { readonly bytesWritten: number; readonly writeQueueSize: number } | null
}

function headRefusal(exchange: Http1Exchange, expects: string, hasBody: boolean): Refusal | undefined {
  if (expects === 'unknown') {
    if (hasBody) exchange.closeAfter()
    return refuse('expectation-failed', 'The only expectation that is met is 100-continue.')
  }
  // The bytes behind the head would be those of the body for one reader, and of the new protocol for another.
  if (hasBody && exchange.asksWebSocket) {
    exchange.closeAfter()
    return refuse('malformed-request', 'A request to switch to WebSocket must have no body.')
  }
  return undefined
}
