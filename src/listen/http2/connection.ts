import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Socket } from 'node:net'
import { type Refusal, refuse } from '#core/refusal.ts'
import type { ConnectionContext, ConnectionPeer } from '#listen/http1/connection.ts'
import { expectation } from '#listen/http1/find-head.ts'
import type { OpenConnection } from '#listen/open-connection.ts'
import { type Http2RequestHead, isHttp2HeadError, readHttp2Head } from '#wire/http2/request-head.ts'
import { bodyTooLarge, Http2Exchange } from './exchange.ts'
import { FloodGuard } from './flood-guard.ts'
import { connectionWindowBytes, maxConcurrentStreams, type SessionOptions } from './session-options.ts'

/** After the last stream of a closing session: how long the client may take to go. */
const lingerMs = 1_000

const owner: unique symbol = Symbol('owner')

interface OwnedSession extends ServerHttp2Session {
  [owner]?: Http2Connection
}

/** One client connection speaking HTTP/2. Owns its session and through it the socket. */
export class Http2Connection implements OpenConnection {
  readonly context: ConnectionContext
  readonly peer: ConnectionPeer
  readonly #socket: Socket
  readonly #session: OwnedSession
  readonly #exchanges: Http2Exchange[] = []
  /** Streams that ended badly: as many as may be open at once may be given up at once, twice. */
  readonly #resets = new FloodGuard(2 * maxConcurrentStreams, 100)
  /** PING and SETTINGS, which have to be answered. */
  readonly #controls = new FloodGuard(200, 20)
  /** GOAWAY has been sent: the session ends with its last stream. */
  #closing = false
  /** When the last stream ended; before the first, when the session began. */
  #idleSinceMs: number
  #served = 0

  /** `socket` has read nothing, or has put it back. */
  constructor(socket: Socket, context: ConnectionContext, peer: ConnectionPeer, options: SessionOptions) {
    this.context = context
    this.peer = peer
    this.#socket = socket
    this.#idleSinceMs = context.clock.nowMs()
    this.#session = performServerHandshake(socket, options)
    this.#session[owner] = this
    this.#session.setLocalWindowSize(connectionWindowBytes)
    this.#session.on('stream', onStream)
    this.#session.on('ping', onControl)
    this.#session.on('remoteSettings', onControl)
    this.#session.on('error', ignore)
    this.#session.on('close', onClose)
    // A half-closed connection counts as a client that left.
    socket.on('end', destroySocket)
  }

  get isBusy(): boolean {
    return this.#exchanges.length > 0
  }

  get idleSinceMs(): number {
    return this.isBusy ? Number.POSITIVE_INFINITY : this.#idleSinceMs
  }

  destroy(): void {
    this.#session.destroy()
    // A session leaves the socket open until everything that was written has gone.
    this.#socket.destroy()
  }

  sweep(nowMs: number): void {
    const left = this.#socket.bytesWritten
    for (let i = this.#exchanges.length - 1; i >= 0; i--) this.#exchanges[i]?.sweep(nowMs, left)
    if (this.context.isDraining()) this.#close()
    if (this.isBusy) return
    const idleMs = nowMs - this.#idleSinceMs
    if (!this.#closing) {
      if (idleMs >= this.#idleLimitMs()) this.#close()
    } else if (idleMs >= lingerMs) this.destroy()
  }

  /** A new stream with its header block: flat, as sent. */
  opened(stream: ServerHttp2Stream, fields: readonly string[], isComplete: boolean): void {
    const { limits, clock } = this.context
    const nowMs = clock.nowMs()
    if (stream.destroyed || stream.closed) return this.#openedGone(stream, nowMs)
    const head = readHttp2Head(fields, limits)
    const exchange = new Http2Exchange(this, stream, isHttp2HeadError(head) ? undefined : head, nowMs)
    exchange.index = this.#exchanges.push(exchange) - 1
    this.#served++
    if (limits.requestsPerConnection > 0 && this.#served >= limits.requestsPerConnection) this.#close()
    if (isHttp2HeadError(head)) return exchange.refuse(headRefusal(head.kind, head.detail, this.context))
    const refusal = this.#headRefusal(exchange, head)
    if (refusal !== undefined) return exchange.refuse(refusal)
    if (isComplete) return exchange.serve()
    exchange.readBody(expectation(head.headers, 1) === 'continue', nowMs)
  }

  /** A stream is gone. One that the client broke off has cost us more than it. */
  closedStream(exchange: Http2Exchange, isBroken: boolean): void {
    const last = this.#exchanges.pop()
    if (last !== undefined && last !== exchange) {
      this.#exchanges[exchange.index] = last
      last.index = exchange.index
    }
    const nowMs = this.context.clock.nowMs()
    this.#idleSinceMs = nowMs
    if (isBroken && !this.#resets.admits(nowMs)) this.#calm()
  }

  /** A frame that has to be answered. */
  controlled(): void {
    if (!this.#controls.admits(this.context.clock.nowMs())) this.#calm()
  }

  sessionClosed(): void {
    this.context.closed(this)
  }

  /** A stream that was reset in the packet that opened it: nobody need know of it. */
  #openedGone(stream: ServerHttp2Stream, nowMs: number): void {
    stream.on('error', ignore)
    if (!this.#resets.admits(nowMs)) this.#calm()
  }

  #headRefusal(exchange: Http2Exchange, head: Http2RequestHead): Refusal | undefined {
    const { handler, limits } = this.context
    const refusal = handler.begin(exchange)
    if (refusal !== undefined) return refusal
    if (expectation(head.headers, 1) === 'unknown')
      return refuse('expectation-failed', 'The only expectation that is met is 100-continue.')
    return head.contentLength > limits.bodyBytes ? bodyTooLarge(limits.bodyBytes) : undefined
  }

  #idleLimitMs(): number {
    const { limits } = this.context
    return this.#served === 0 ? limits.headTimeoutMs : limits.keepAliveMs
  }

  /**
   * Takes no more streams; the session ends with the last one. GOAWAY names the last stream that is served, so a client
   * knows that those it has just opened beyond may be asked again elsewhere. A first GOAWAY that leaves them a moment
   * (RFC 9113 6.8) is not to be had: the library serves nothing new after the first.
   */
  #close(): void {
    if (this.#closing) return
    this.#closing = true
    this.#idleSinceMs = this.context.clock.nowMs()
    this.#session.close()
  }

  /** Ends a session that abuses the protocol. */
  #calm(): void {
    if (!this.#session.destroyed) this.#session.destroy(flooded, constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }
}

/** What makes a destroyed session tell its client a code. */
const flooded = new Error('too much was asked of the session')

function headRefusal(kind: 'syntax' | 'size', detail: string, { limits }: ConnectionContext): Refusal {
  if (kind === 'syntax') return refuse('malformed-request', `The request is malformed: ${detail} is not allowed.`)
  const text = `Request line and headers may have ${limits.headBytes} bytes and ${limits.headerCount} fields.`
  return refuse('head-too-large', text)
}

type StreamEvent = [ServerHttp2Stream, IncomingHttpHeaders, flags: number, fields: readonly string[]]

function onStream(this: OwnedSession, ...[stream, , flags, fields]: StreamEvent): void {
  this[owner]?.opened(stream, fields, (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0)
}

function onControl(this: OwnedSession): void {
  this[owner]?.controlled()
}

function onClose(this: OwnedSession): void {
  this[owner]?.sessionClosed()
}

function ignore(): void {}

function destroySocket(this: Socket): void {
  this.destroy()
}
