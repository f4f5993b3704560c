import type { ClientOrigin, Exchange, ExchangeObserver, RequestHead, Tunnel } from '#contracts/exchange.ts'
import { Fault } from '#core/fault.ts'
import { type HeaderList, headerOf } from '#core/header-list.ts'
import type { Body } from '#core/request.ts'
import { statusText } from '#wire/http1/status-text.ts'
import type { Http1Connection } from './connection.ts'
import type { FoundHead } from './find-head.ts'

const emptyHead: RequestHead = { method: '', target: '', headers: [] }
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
  addedHeaders: HeaderList = []
  readonly asksWebSocket = false
  readonly #connection: Http1Connection
  readonly #minor: number
  #keepAlive: boolean
  #stage: number = stage.fresh
  #framing: number = framing.none
  #remaining = 0
  #headText = ''
  /** What `write` added since the last flush: buffer, start, end, ... of the caller's memory. */
  #buffers: Buffer[] = []
  #ranges: number[] = []
  #pendingBytes = 0

  constructor(connection: Http1Connection, found: FoundHead | undefined, startedAtMs: number) {
    this.#connection = connection
    this.startedAtMs = startedAtMs
    this.head = found?.head ?? emptyHead
    this.#minor = found?.head.minor ?? 1
    this.#keepAlive = found !== undefined && wantsKeepAlive(found)
  }

  get remoteAddress(): string {
    return this.#connection.remoteAddress
  }

  get remotePort(): number {
    return this.#connection.socket.remotePort ?? 0
  }

  get origin(): ClientOrigin {
    const address = this.remoteAddress
    const host = headerOf(this.head.headers, 'host') ?? ''
    return { address, scheme: this.isSecure ? 'https' : 'http', host, forwardedFor: address }
  }

  get isSecure(): boolean {
    return 'encrypted' in this.#connection.socket
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
    this.start(status, headers, body.length, !isHead && status !== 204)
    if (this.#framing !== framing.none) this.write(body, 0, body.length)
    this.end()
  }

  start(status: number, headers: HeaderList, bodyBytes: number | undefined, hasBody: boolean): void {
    if (this.#stage !== stage.fresh) return
    this.#stage = stage.started
    if (this.#connection.context.isDraining()) this.#keepAlive = false
    let text = `HTTP/1.1 ${status} ${statusText(status)}\r\n`
    const added = this.addedHeaders
    for (let i = 0; i < added.length; i += 2) text += `${added[i]}: ${added[i + 1]}\r\n`
    for (let i = 0; i < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`
    if (bodyBytes !== undefined) {
      this.#framing = hasBody ? framing.length : framing.none
      this.#remaining = hasBody ? bodyBytes : 0
      if (status !== 204) text += `content-length: ${bodyBytes}\r\n`
    } else if (!hasBody) this.#framing = framing.none
    else if (this.#minor === 1) {
      this.#framing = framing.chunked
      text += 'transfer-encoding: chunked\r\n'
    } else {
      this.#framing = framing.close
      this.#keepAlive = false
    }
    if (!this.#keepAlive) text += 'connection: close\r\n'
    else if (this.#minor === 0) text += 'connection: keep-alive\r\n'
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
    this.#connection.finished(this, false)
  }

  tunnel(): Tunnel {
    throw new Fault('self', 'this door has no tunnel')
  }

  recycleBody(): void {
    this.body = emptyBody
    this.#connection.recycle(this)
  }

  /** The client has gone. */
  abort(): void {
    if (this.#stage === stage.ended) return
    this.#stage = stage.ended
    this.aborted = true
    this.observer?.aborted()
  }

  /** The socket has taken everything that was written. */
  drained(): void {
    this.#connection.noteProgress()
    if (this.#stage !== stage.ended) this.observer?.drained()
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
    return this.#connection.socket.write(out)
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

function wantsKeepAlive(found: FoundHead): boolean {
  const { connection } = found.head.framing
  if (connection.includes('close')) return false
  return found.head.minor === 1 || connection.includes('keep-alive')
}
