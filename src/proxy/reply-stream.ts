import type { Exchange } from '#contracts/exchange.ts'
import type { ApiName } from '#core/api.ts'
import { headerOf } from '#core/header-list.ts'
import type { Refusal } from '#core/refusal.ts'
import type { Usage } from '#core/usage.ts'
import type { Dialect } from '#dialect/dialect.ts'
import type { ParsedResponseHead } from '#wire/http1/response-head.ts'
import { JsonReply } from './reply/json-reply.ts'
import { PlainReply } from './reply/plain-reply.ts'
import type { ReplyFilter, ReplySink, ReplyWork } from './reply/reply-filter.ts'
import { SseReply } from './reply/sse-reply.ts'
import { type OwnReplyHeaders, replyHeaders } from './reply-headers.ts'

/** What a reply stream needs beside the exchange and the engine's head. */
export interface ReplySettings extends OwnReplyHeaders {
  readonly dialect: Dialect
  readonly work: ReplyWork
}

/** So much of the beginning of a stream is held back until its first content is at hand ... */
const maxHeldBytes = 16 * 1024
/** ... and for so long: then the client gets what there is. */
const maxHeldMs = 900

/**
 * Passes one engine's answer to the client. Nothing leaves before the first byte of the body is at hand, and nothing of
 * a stream before its first content: an engine that then fails, or says so by an error event, can still be replaced.
 */
export class ReplyStream implements ReplySink {
  /** Bytes have gone to the client: from here on a retry would be a second answer. */
  hasStarted = false
  /** The client does not read: waiting for `onDrain`. */
  isBlocked = false
  readonly #exchange: Exchange
  readonly #head: ParsedResponseHead
  readonly #settings: ReplySettings
  readonly #filter: ReplyFilter
  readonly #sse: SseReply | undefined
  /** The beginning of a stream that is held back; undefined once bytes may flow. */
  #held: Buffer[] | undefined = undefined
  #heldBytes = 0
  #heldSinceMs = 0

  constructor(exchange: Exchange, head: ParsedResponseHead, settings: ReplySettings) {
    this.#exchange = exchange
    this.#head = head
    this.#settings = settings
    const type = headerOf(head.headers, 'content-type')?.toLowerCase() ?? ''
    const isPlain = head.status >= 400 || headerOf(head.headers, 'content-encoding') !== undefined
    if (!isPlain && type.startsWith('text/event-stream')) {
      this.#sse = new SseReply(settings.dialect, settings.work)
      this.#filter = this.#sse
      this.#held = []
    } else {
      this.#sse = undefined
      const isJson = !isPlain && type.startsWith('application/json')
      this.#filter = isJson ? new JsonReply(settings.dialect, settings.work) : new PlainReply()
    }
  }

  get usage(): Usage {
    return this.#filter.usage
  }

  /** The stream began with an error event, and nothing of it has gone to the client. */
  get opensWithError(): boolean {
    return !this.hasStarted && this.#sse?.opening === 'error'
  }

  /** An error event is in the stream, wherever. */
  get hasErrorEvent(): boolean {
    return this.#sse !== undefined && (this.#sse.opening === 'error' || this.#sse.hasLateError)
  }

  /** Lets go what is held back, if there is anything; true when there was. `flush` sends it. */
  open(): boolean {
    const held = this.#held
    if (held === undefined || held.length === 0) return false
    this.#held = undefined
    this.#start()
    for (const part of held) this.#exchange.write(part, 0, part.length)
    return true
  }

  /** Looks, from time to time, whether the beginning has been held back for long enough. */
  checkHeld(nowMs: number): void {
    if (this.#held === undefined || this.#heldBytes === 0) return
    if (this.#heldSinceMs === 0) this.#heldSinceMs = nowMs
    else if (nowMs - this.#heldSinceMs >= maxHeldMs && this.open()) this.flush()
  }

  /** Takes bytes of the engine's body. */
  push(buffer: Buffer, start: number, end: number): void {
    this.#filter.push(buffer, start, end, this)
  }

  /** Takes bytes from the filter; the head is decided when the first ones come. */
  write(data: Buffer, start: number, end: number): void {
    if (end <= start) return
    if (this.#held !== undefined && this.#holds(data, start, end)) return
    if (!this.hasStarted) this.#start()
    this.#exchange.write(data, start, end)
  }

  /** Sends what one read brought; false when the client must first take what it has. */
  flush(): boolean {
    if (!this.hasStarted) return true
    this.isBlocked = !this.#exchange.flush()
    return !this.isBlocked
  }

  /** The client has taken what it had. */
  unblock(): void {
    this.isBlocked = false
  }

  /** The engine's answer is complete. */
  finish(): void {
    this.#filter.finish(this)
    this.open()
    if (!this.hasStarted) this.#start()
    this.#exchange.end()
  }

  /** The engine's answer broke off: streams end with an error event, everything else with a cut connection. */
  fail(refusal: Refusal, api: ApiName): void {
    const hasFixedLength = this.#head.body === 'length' && this.#filter.lengthChange() !== undefined
    if (this.#sse === undefined || hasFixedLength) return this.#exchange.cut()
    const separator = this.#sse.isBetweenEvents ? '' : '\n\n'
    const event = Buffer.from(separator + this.#settings.dialect.errorEvent(refusal, api))
    this.#exchange.write(event, 0, event.length)
    this.#exchange.end()
  }

  /** Keeps bytes back while nothing but a preamble, or an error that is still to be judged, has come. */
  #holds(data: Buffer, start: number, end: number): boolean {
    const opening = this.#sse?.opening
    const isFull = opening === 'preamble' && this.#heldBytes + end - start > maxHeldBytes
    if (opening === 'content' || isFull) {
      if (!this.open()) this.#held = undefined
      return false
    }
    this.#held?.push(Buffer.from(data.subarray(start, end)))
    this.#heldBytes += end - start
    return true
  }

  #start(): void {
    this.hasStarted = true
    this.#held = undefined
    const head = this.#head
    const change = this.#filter.lengthChange()
    const isKnown = head.body === 'length' && change !== undefined
    const bodyBytes = isKnown ? head.bodyBytes + change : undefined
    this.#exchange.start(head.status, replyHeaders(head.headers, this.#settings), bodyBytes, head.body !== 'none')
  }
}
