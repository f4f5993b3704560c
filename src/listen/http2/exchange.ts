import { constants, type ServerHttp2Stream } from 'node:http2'
import type { ClientOrigin, Exchange, ExchangeObserver, RequestHead, Tunnel } from '#contracts/exchange.ts'
import { Fault } from '#core/fault.ts'
import type { HeaderList } from '#core/header-list.ts'
import { type Refusal, type RefusalReason, refuse } from '#core/refusal.ts'
import type { Body } from '#core/request.ts'
import { clientOrigin, type TrustedProxies } from '#listen/client-origin.ts'
import type { SlowReader } from '#listen/write-budget.ts'
import { Http2Body } from './body.ts'
import type { Http2Connection } from './connection.ts'
import { responseFields } from './response-fields.ts'
import { ownStream, readBody, type StreamOwner } from './stream-events.ts'

const emptyHead: RequestHead = { method: '', target: '', headers: [] }
const emptyBody: Body = { slices: [], bytes: 0 }
const nobody: TrustedProxies = { isEmpty: true, has: () => false }
const noHeaders: HeaderList = []

/** `body`: being read. `fresh`: to be answered. `started`: the answer has begun. `ended`: nothing more is written. */
const stage = { body: 0, fresh: 1, started: 2, ended: 3 } as const

/**
 * A client that takes bytes of other streams but none of this one for so many times the limit is stalled all the same:
 * with many streams one stalled stream hides behind the others, with one alone the bytes are its own.
 */
const patience = 10

/**
 * After a refusal before the end of the body: how long the rest is swallowed. Reset at once, in the same packet as the
 * answer, curl 7.88 takes the stream for failed and does not show the answer.
 */
const swallowMs = 1_000

/** One request and its answer on a stream of an HTTP/2 connection. */
export class Http2Exchange implements Exchange, SlowReader, StreamOwner {
  readonly head: RequestHead
  readonly startedAtMs: number
  body: Body = emptyBody
  aborted = false
  observer: ExchangeObserver | undefined = undefined
  addedHeaders: HeaderList = noHeaders
  readonly asksWebSocket = false
  budgetIndex = -1
  /** Place in the connection's list. */
  index = -1
  readonly #connection: Http2Connection
  readonly #stream: ServerHttp2Stream
  #stage: number = stage.fresh
  #reading: Http2Body | undefined = undefined
  #origin: ClientOrigin | undefined = undefined
  /** Of the answer, until they have been sent. */
  #fields: string[] | undefined = undefined
  #hasBody = false
  /** Bytes that the announced length still wants; -1 when none was announced. */
  #remaining = -1
  #buffers: Buffer[] = []
  #ranges: number[] = []
  #pendingBytes = 0
  /** Bytes that wait, and bytes that have left the connection, at the last sweep. */
  #unsent = 0
  #left = 0
  #deadlineMs = 0
  #lastDeadlineMs = 0
  /** The stream was given up on this side. */
  #wasCut = false
  /** After a refusal: when a body that is still coming is no longer borne. */
  #swallowUntilMs = Number.POSITIVE_INFINITY

  constructor(connection: Http2Connection, stream: ServerHttp2Stream, head: RequestHead | undefined, nowMs: number) {
    this.#connection = connection
    this.#stream = stream
    this.head = head ?? emptyHead
    this.startedAtMs = nowMs
    this.#expectProgress(nowMs)
    ownStream(stream, this)
  }

  get remoteAddress(): string {
    return this.#connection.peer.address
  }

  get remotePort(): number {
    return this.#connection.peer.port
  }

  get isSecure(): boolean {
    return this.#connection.peer.isSecure
  }

  get origin(): ClientOrigin {
    const { peer, context } = this.#connection
    this.#origin ??= clientOrigin(peer, this.head.headers, context.trusted ?? nobody)
    return this.#origin
  }

  get listener(): string {
    return this.#connection.context.listener
  }

  get unsentBytes(): number {
    return this.#stream.writableLength
  }

  /** Reads the body, then serves; `sendsContinue` says that the client waits to be asked for it. */
  readBody(sendsContinue: boolean, nowMs: number): void {
    this.#stage = stage.body
    this.#reading = new Http2Body(this.#connection.context.pool, nowMs)
    if (sendsContinue) this.#stream.additionalHeaders({ ':status': 100 })
    readBody(this.#stream)
  }

  read(chunk: Buffer): void {
    const { limits, clock } = this.#connection.context
    if (this.#stage !== stage.body || this.#reading === undefined) return
    this.#reading.push(chunk, clock.nowMs())
    if (this.#reading.bytes > limits.bodyBytes) this.refuse(bodyTooLarge(limits.bodyBytes))
  }

  bodyEnded(): void {
    if (this.#stage === stage.body) this.serve()
  }

  /** Everything of the request is there. */
  serve(): void {
    const { handler, clock } = this.#connection.context
    this.body = this.#reading?.take() ?? emptyBody
    this.#stage = stage.fresh
    this.#expectProgress(clock.nowMs())
    handler.serve(this)
  }

  /** Answers a refusal; what is still to come of the body is not taken. */
  refuse(refusal: Refusal): void {
    const { clock, handler } = this.#connection.context
    const nowMs = clock.nowMs()
    if (this.#stage !== stage.body && !this.#stream.readableEnded) readBody(this.#stream)
    this.#stage = stage.fresh
    this.#reading = undefined
    this.#expectProgress(nowMs)
    this.#swallowUntilMs = nowMs + swallowMs
    handler.refuse(this, refusal)
  }

  reply(status: number, headers: HeaderList, body: Buffer): void {
    const { date } = this.#connection.context
    if (date !== undefined) this.addedHeaders = [...this.addedHeaders, 'date', date.now()]
    const hasBody = this.head.method !== 'HEAD' && status !== 204
    this.start(status, headers, body.length, hasBody)
    this.write(body, 0, body.length)
    this.end()
  }

  start(status: number, headers: HeaderList, bodyBytes: number | undefined, hasBody: boolean): void {
    if (this.#stage !== stage.fresh) return
    this.#stage = stage.started
    this.#hasBody = hasBody
    this.#fields = responseFields(status, this.addedHeaders, headers)
    if (bodyBytes === undefined) return
    if (hasBody) this.#remaining = bodyBytes
    if (status !== 204) this.#fields.push('content-length', String(bodyBytes))
  }

  write(data: Buffer, start: number, end: number): void {
    if (end <= start || this.#stage !== stage.started || !this.#hasBody) return
    this.#buffers.push(data)
    this.#ranges.push(start, end)
    this.#pendingBytes += end - start
  }

  flush(): boolean {
    if (this.#stage !== stage.started) return true
    if (!this.#count() || !this.#sendHead(false)) return false
    if (this.#pendingBytes === 0) return true
    const goesOn = this.#stream.write(this.#joined())
    if (!goesOn) this.#connection.context.budget?.add(this)
    return goesOn
  }

  end(): void {
    if (this.#stage !== stage.started || !this.#count()) return
    this.#stage = stage.ended
    // A body shorter than promised must not look complete.
    if (this.#remaining > 0) return this.#reset()
    const isEmpty = this.#pendingBytes === 0
    if (!this.#sendHead(isEmpty)) return
    if (isEmpty) this.#stream.end()
    else this.#stream.end(this.#joined())
    if (this.#stream.writableLength > 0) this.#connection.context.budget?.add(this)
  }

  cut(): void {
    if (this.#stage === stage.ended) return
    const hasBegun = this.#stage === stage.started
    if (hasBegun && this.#pendingBytes > 0) this.flush()
    this.#stage = stage.ended
    // What was written still leaves, unless the client does not take it: then the sweep ends the stream.
    if (!hasBegun || this.#stream.writableLength === 0) this.#reset()
    else this.#stream.write(nothing, () => this.#reset())
  }

  tunnel(): Tunnel {
    throw new Fault('self', 'this door has no tunnel')
  }

  recycleBody(): void {
    this.body = emptyBody
    this.#reading?.recycle()
  }

  drained(): void {
    this.#connection.context.budget?.remove(this)
    if (this.#stage < stage.ended) this.observer?.drained()
  }

  closed(): void {
    const isComplete = this.#stage === stage.ended && this.#stream.rstCode === constants.NGHTTP2_NO_ERROR
    this.#abort(undefined)
    this.#connection.closedStream(this, !isComplete && !this.#wasCut)
  }

  /** Ends a stream whose client does not read. */
  cutSlow(): void {
    this.#reset()
    this.#abort('client-too-slow')
  }

  /** Called about twice a second; `left` counts the bytes that have left the connection. */
  sweep(nowMs: number, left: number): void {
    const { limits } = this.#connection.context
    if (this.#stage === stage.body) {
      if (this.#reading?.isTooSlow(nowMs, limits.bodyTimeoutMs) !== true) return
      return this.refuse(refuse('body-timeout', 'The request body stalled.'))
    }
    // RFC 9113 8.1: the answer is complete, the client need not send the rest.
    if (nowMs >= this.#swallowUntilMs && this.#stream.writableFinished) this.#stream.close(constants.NGHTTP2_NO_ERROR)
    const unsent = this.unsentBytes
    if (unsent === 0 || unsent < this.#unsent) this.#expectProgress(nowMs)
    else if (left !== this.#left) this.#deadlineMs = nowMs + limits.stalledReaderMs
    this.#unsent = unsent
    this.#left = left
    if (nowMs >= Math.min(this.#deadlineMs, this.#lastDeadlineMs)) this.cutSlow()
  }

  #expectProgress(nowMs: number): void {
    const { stalledReaderMs } = this.#connection.context.limits
    this.#deadlineMs = nowMs + stalledReaderMs
    this.#lastDeadlineMs = nowMs + patience * stalledReaderMs
  }

  /** Takes what is about to be written from the announced length; false when it is more than that. */
  #count(): boolean {
    if (this.#remaining < 0) return true
    this.#remaining -= this.#pendingBytes
    if (this.#remaining >= 0) return true
    this.#stage = stage.ended
    this.#reset()
    return false
  }

  /** Sends the head, when it has not left yet; false when there is nobody to send it to. */
  #sendHead(isLast: boolean): boolean {
    const stream = this.#stream
    if (stream.destroyed || stream.closed) return false
    const fields = this.#fields
    if (fields === undefined) return true
    this.#fields = undefined
    stream.respond(fields, isLast ? lastHead : firstHead)
    return true
  }

  /** What was added since the last flush, as one buffer: what came together leaves in one frame. */
  #joined(): Buffer {
    const out = Buffer.allocUnsafe(this.#pendingBytes)
    let at = 0
    for (let i = 0; i < this.#buffers.length; i++) {
      const start = this.#ranges[2 * i] as number
      const end = this.#ranges[2 * i + 1] as number
      at += (this.#buffers[i] as Buffer).copy(out, at, start, end)
    }
    this.#buffers = []
    this.#ranges = []
    this.#pendingBytes = 0
    return out
  }

  #reset(): void {
    this.#connection.context.budget?.remove(this)
    this.#wasCut = true
    // Not `close`, which ends the body first: the answer would look complete.
    this.#stream.destroy(brokenOff)
  }

  #abort(reason: RefusalReason | undefined): void {
    this.#connection.context.budget?.remove(this)
    this.#reading = undefined
    if (this.#stage === stage.ended) return
    this.#stage = stage.ended
    this.aborted = true
    this.observer?.aborted(reason)
  }
}

/** Options of `respond`; the date, which the types do not know, is ours to add. */
const firstHead = { endStream: false, sendDate: false }
const lastHead = { endStream: true, sendDate: false }
const nothing = Buffer.alloc(0)
/** What makes a destroyed stream one that is reset with INTERNAL_ERROR. */
const brokenOff = new Error('the answer was broken off')

/** The refusal of a body beyond the limit. */
export function bodyTooLarge(limitBytes: number): Refusal {
  return refuse('body-too-large', `The request body may have at most ${limitBytes} bytes.`)
}
