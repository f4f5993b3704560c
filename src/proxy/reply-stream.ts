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
import { connectionNames } from './upstream-request.ts'

/** What a reply stream needs beside the exchange and the engine's head. */
export interface ReplySettings {
  readonly requestId: string
  /** Shown to the client when set. */
  readonly endpoint: string | undefined
  readonly dialect: Dialect
  readonly work: ReplyWork
}

/** Response headers that end here: of the connection, or written by the gateway itself. */
const dropped: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
  'x-request-id',
  'x-infer-endpoint',
  'x-infer-reason',
])

/** Passes one engine's answer to the client. Nothing leaves before the first byte of the body is at hand. */
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

  constructor(exchange: Exchange, head: ParsedResponseHead, settings: ReplySettings) {
    this.#exchange = exchange
    this.#head = head
    this.#settings = settings
    const type = headerOf(head.headers, 'content-type')?.toLowerCase() ?? ''
    const isPlain = head.status >= 400 || headerOf(head.headers, 'content-encoding') !== undefined
    if (!isPlain && type.startsWith('text/event-stream')) {
      this.#sse = new SseReply(settings.dialect, settings.work)
      this.#filter = this.#sse
    } else {
      this.#sse = undefined
      const isJson = !isPlain && type.startsWith('application/json')
      this.#filter = isJson ? new JsonReply(settings.dialect, settings.work) : new PlainReply()
    }
  }

  get usage(): Usage {
    return this.#filter.usage
  }

  /** Takes bytes of the engine's body. */
  push(buffer: Buffer, start: number, end: number): void {
    this.#filter.push(buffer, start, end, this)
  }

  /** Takes bytes from the filter; the head is decided when the first ones come. */
  write(data: Buffer, start: number, end: number): void {
    if (end <= start) return
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

  #start(): void {
    this.hasStarted = true
    const head = this.#head
    const change = this.#filter.lengthChange()
    const isKnown = head.body === 'length' && change !== undefined
    const bodyBytes = isKnown ? head.bodyBytes + change : undefined
    this.#exchange.start(head.status, this.#headers(), bodyBytes, head.body !== 'none')
  }

  #headers(): string[] {
    const { headers } = this.#head
    const named = connectionNames(headers)
    const result: string[] = []
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i] as string
      if (dropped.has(name) || named?.has(name) === true) continue
      result.push(name, headers[i + 1] as string)
    }
    result.push('x-request-id', this.#settings.requestId)
    if (this.#settings.endpoint !== undefined) result.push('x-infer-endpoint', this.#settings.endpoint)
    return result
  }
}
