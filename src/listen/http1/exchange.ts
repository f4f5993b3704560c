import type {
  ClientOrigin,
  Exchange,
  ExchangeObserver,
  RequestHead,
  Tunnel,
  TunnelObserver,
} from '#contracts/exchange.ts'
import { Fault } from '#core/fault.ts'
import { type HeaderList, headerOf, headerValues } from '#core/header-list.ts'
import type { RefusalReason } from '#core/refusal.ts'
import type { Body } from '#core/request.ts'
import { clientOrigin, type TrustedProxies } from '#listen/client-origin.ts'
import type { ParsedRequestHead } from '#wire/http1/request-head.ts'
import { statusText } from '#wire/http1/status-text.ts'
import { trimBlanks } from '#wire/http1/trim-blanks.ts'
import type { Http1Connection } from './connection.ts'

const emptyHead: RequestHead = { method: '', target: '', headers: [] }
const noHeaders: HeaderList = []
const nobody: TrustedProxies = { isEmpty: true, has: () => false }
const emptyBody: Body = { slices: [], bytes: 0 }

const stage = { fresh: 0, started: 1, ended: 2 } as const

/** How the body of an answer is framed. */
const framing = { length: 0, chunked: 1, close: 2, none: 3 } as const

/** One request and its answer on an HTTP/1.x connection. */
export class Http1Exchange implements Exchange {
  readonly head: RequestHead
  readonly startedAtMs: number
  body: Body = emptyBody
  aborted = false
  observer: ExchangeObserver | undefined = undefined
  addedHeaders: HeaderList = noHeaders
  readonly #connection: Http1Connection
  /** Undefined when the request was refused before its head was understood. */
  readonly #parsed: ParsedRequestHead | undefined
  #origin: ClientOrigin | undefined = undefined
  #keepAlive: boolean
  #stage: number = stage.fresh
  #framing: number = framing.none
  #remaining = 0
  #headText = ''
  /** What `write` added since the last flush: buffer, start, end, ... of the caller's memory. */
  #buffers: Buffer[] = []
  #ranges: number[] = []
  #pendingBytes = 0

  constructor(connection: Http1Connection, parsed: ParsedRequestHead | undefined, startedAtMs: number) {
    this.#connection = connection
    this.#parsed = parsed
    this.startedAtMs = startedAtMs
    this.head = parsed ?? emptyHead
    this.#keepAlive = parsed !== undefined && wantsKeepAlive(parsed)
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

  get asksWebSocket(): boolean {
    const parsed = this.#parsed
    if (parsed === undefined || parsed.minor !== 1 || parsed.method !== 'GET') return false
    return parsed.framing.connection.includes('upgrade') && asksFor(parsed.headers, 'websocket')
  }

  get listener(): string {
    return this.#connection.context.listener
  }

  /** The connection ends after this answer. */
  closeAfter(): void {
    this.#keepAlive = false
  }

  reply(status: number, headers: HeaderList, body: Buffer): void {
    const isHead = this.head.method === 'HEAD'
    const date = this.#connection.context.date
    // An answer that an engine gave in place of a WebSocket has a date of its own.
    const isDated = headerOf(headers, 'date') !== undefined
    if (date !== undefined && !isDated) this.addedHeaders = [...this.addedHeaders, 'date', date.now()]
    this.start(status, headers, body.length, !isHead && status !== 204)
    if (this.#framing !== framing.none) this.write(body, 0, body.length)
    this.end()
  }

  start(status: number, headers: HeaderList, bodyBytes: number | undefined, hasBody: boolean): void {
    if (this.#stage !== stage.fresh) return
    this.#stage = stage.started
    if (this.#connection.context.isDraining()) this.#keepAlive = false
    const minor = this.#parsed?.minor ?? 1
    let text = this.#headWith(status, headers)
    if (bodyBytes !== undefined) {
      this.#framing = hasBody ? framing.length : framing.none
      this.#remaining = hasBody ? bodyBytes : 0
      if (status !== 204) text += `content-length: ${bodyBytes}\r\n`
    } else if (!hasBody) this.#framing = framing.none
    else if (minor === 1) {
      this.#framing = framing.chunked
      text += 'transfer-encoding: chunked\r\n'
    } else {
      this.#framing = framing.close
      this.#keepAlive = false
    }
    if (!this.#keepAlive) text += 'connection: close\r\n'
    else if (minor === 0) text += 'connection: keep-alive\r\n'
    this.#headText = `${text}\r\n`
  }

  write(data: Buffer, start: number, end: number): void {
    if (end <= start || this.#stage !== stage.started || this.#framing === framing.none) return
    this.#buffers.push(data)
    this.#ranges.push(start, end)
    this.#pendingBytes += end - start
  }

  flush(): boolean {
    if (this.#stage !== stage.started) return true
    return this.#send(false)
  }

  end(): void {
    if (this.#stage !== stage.started) return
    this.#send(true)
    this.#stage = stage.ended
    // A body shorter than promised must not let the next answer be read as its rest.
    const keepAlive = this.#keepAlive && this.#remaining === 0
    this.#connection.finished(this, keepAlive)
  }

  cut(): void {
    if (this.#stage === stage.ended) return
    if (this.#stage === stage.started) this.#send(false)
    this.#stage = stage.ended
    // Where the end of the connection is the end of the body, only a reset says that it is not whole.
    if (this.#framing === framing.close) this.#connection.reset()
    else this.#connection.finished(this, false)
  }

  tunnel(headers: HeaderList, observer: TunnelObserver): Tunnel {
    if (this.#stage === stage.started || !this.asksWebSocket) throw new Fault('self', 'no tunnel was asked for')
    if (this.#stage === stage.fresh) {
      this.#stage = stage.ended
      this.observer = undefined
      this.#connection.write(Buffer.from(`${this.#headWith(101, headers)}\r\n`, 'latin1'))
    }
    return this.#connection.switchTo(this, observer)
  }

  recycleBody(): void {
    this.body = emptyBody
    this.#connection.recycle(this)
  }

  /** The client has gone, or was sent away for `reason`. */
  abort(reason: RefusalReason | undefined): void {
    if (this.#stage === stage.ended) return
    this.#stage = stage.ended
    this.aborted = true
    this.observer?.aborted(reason)
  }

  /** The socket has taken everything that was written. */
  drained(): void {
    if (this.#stage !== stage.ended) this.observer?.drained()
  }

  /** Status line and headers, without the empty line. */
  #headWith(status: number, headers: HeaderList): string {
    let text = `HTTP/1.1 ${status} ${statusText(status)}\r\n`
    const added = this.addedHeaders
    for (let i = 0; i < added.length; i += 2) text += `${added[i]}: ${added[i + 1]}\r\n`
    for (let i = 0; i < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`
    return text
  }

  /** Head, pending body and framing in one buffer, one write: one system call and one packet for what came together. */
  #send(isLast: boolean): boolean {
    const bytes = this.#pendingBytes
    const before = this.#textBefore(bytes)
    const after = this.#framing === framing.chunked ? chunkEnd(bytes > 0, isLast) : ''
    if (before.length + bytes + after.length === 0) return true
    if (this.#framing === framing.length) {
      if (bytes > this.#remaining) return this.#overrun()
      this.#remaining -= bytes
    }
    const out = Buffer.allocUnsafe(before.length + bytes + after.length)
    if (before.length > 0) out.write(before, 0, 'latin1')
    let at = before.length
    for (let i = 0; i < this.#buffers.length; i++) {
      const start = this.#ranges[2 * i] as number
      const end = this.#ranges[2 * i + 1] as number
      at += (this.#buffers[i] as Buffer).copy(out, at, start, end)
    }
    if (after.length > 0) out.write(after, at, 'latin1')
    this.#headText = ''
    this.#buffers.length = 0
    this.#ranges.length = 0
    this.#pendingBytes = 0
    return this.#connection.write(out)
  }

  /** The head, when it has not left yet, and the size line of the chunk to come. */
  #textBefore(bytes: number): string {
    if (bytes === 0 || this.#framing !== framing.chunked) return this.#headText
    return `${this.#headText}${bytes.toString(16)}\r\n`
  }

  /** More body than the length promised: a mistake of ours; the connection is the only thing left to give up. */
  #overrun(): boolean {
    this.#connection.destroy()
    return false
  }
}

/** What closes a chunk, and the body behind the last one. */
function chunkEnd(hasData: boolean, isLast: boolean): string {
  if (isLast) return hasData ? '\r\n0\r\n\r\n' : '0\r\n\r\n'
  return hasData ? '\r\n' : ''
}

function wantsKeepAlive({ framing: { connection }, minor }: ParsedRequestHead): boolean {
  if (connection.includes('close')) return false
  return minor === 1 || connection.includes('keep-alive')
}

/** Whether `upgrade` names `protocol`, with or without a version. */
function asksFor(headers: HeaderList, protocol: string): boolean {
  for (const value of headerValues(headers, 'upgrade'))
    for (const element of value.split(',')) if (trimBlanks(element).toLowerCase() === protocol) return true
  return false
}
