import type { ServerResponse } from 'node:http'
import type { Clock } from '#core/clock.ts'
import type { SimFault } from './fault.ts'

/** Response headers; undefined ones are left out. */
export type ReplyHeaders = Readonly<Record<string, string | undefined>>

/** Time for bytes on their way to be read before a reset, which would discard them. */
const RESET_GRACE_MS = 10

/** Bytes that no HTTP parser may accept. */
const GARBAGE = Buffer.from('\x16\x03\x01\x00garbage\r\n\r\n\x00\xff\xfe', 'latin1')

/**
 * The answer to one call, and the gate where faults happen: handlers answer as if all were well, and what a fault forbids does
 * not reach the socket.
 */
export class Reply {
  readonly #response: ServerResponse
  readonly #clock: Clock
  readonly #common: ReplyHeaders
  readonly #fault: SimFault | undefined
  readonly #leaveListeners: (() => void)[] = []
  readonly #hangListeners: (() => void)[] = []
  #chunks = 0
  /** Set once a fault took over: nothing of the real answer goes out any more. */
  #isCut = false
  #isHung = false
  #isClosed = false

  constructor(response: ServerResponse, clock: Clock, context: { common: ReplyHeaders; fault: SimFault | undefined }) {
    this.#response = response
    this.#clock = clock
    this.#common = context.common
    this.#fault = context.fault
    response.on('error', () => {})
    response.on('close', () => {
      this.#isClosed = true
      if (response.writableFinished) return
      for (const listener of this.#leaveListeners) listener()
    })
    this.#cutAtStart()
  }

  /** Whether work for this answer shall make no progress. */
  get isHung(): boolean {
    return this.#isHung
  }

  /** Whether the connection is gone. */
  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Calls `listener` when the connection closes before the answer is complete. */
  onLeave(listener: () => void): void {
    this.#leaveListeners.push(listener)
  }

  /** Calls `listener` when a fault makes the answer hang. */
  onHang(listener: () => void): void {
    this.#hangListeners.push(listener)
  }

  /** Answers with a complete body. */
  send(status: number, headers: ReplyHeaders, body: string | Buffer): void {
    if (this.#isOver()) return
    const bytes = typeof body === 'string' ? Buffer.from(body) : body
    const isWrong = this.#fault?.kind === 'wrong-content-length'
    const announced = Math.max(0, bytes.length + (isWrong ? (this.#fault.deltaBytes ?? 10) : 0))
    this.#head(status, { ...headers, 'content-length': String(announced) })
    if (this.#cutAfterHeaders()) return
    if (isWrong) {
      this.#isCut = true
      this.#response.write(bytes, () => this.#response.socket?.end())
    } else if (this.#cutsBody()) {
      const half = bytes.length >> 1
      this.#write(bytes.subarray(0, half))
      if (!this.#isCut) this.#write(bytes.subarray(half))
      if (!this.#isCut) this.#response.end()
    } else {
      this.#response.end(bytes)
    }
  }

  json(status: number, value: unknown, headers: ReplyHeaders = {}): void {
    this.send(status, { 'content-type': 'application/json', ...headers }, JSON.stringify(value))
  }

  /** Starts a streamed answer: the head goes out at once. */
  stream(headers: ReplyHeaders): void {
    if (this.#isOver()) return
    this.#head(200, headers)
    this.#response.flushHeaders()
    this.#cutAfterHeaders()
  }

  /** Sends one piece of a streamed answer. */
  chunk(text: string): void {
    if (!this.#isOver()) this.#write(text)
  }

  /** Ends a streamed answer, with a last piece that counts as a chunk. */
  end(text: string): void {
    if (this.#isOver()) return
    if (this.#cutsBody()) this.#write(text)
    if (this.#isCut) return
    if (this.#cutsBody()) this.#response.end()
    else this.#response.end(text)
  }

  /** Ends an answer that cannot be given: with 500 where nothing of it has gone out, else with the connection. */
  fail(message: string): void {
    if (this.#response.headersSent) this.#response.destroy()
    else this.json(500, { error: { message, type: 'SimulatorError', param: null, code: 500 } })
  }

  #isOver(): boolean {
    return this.#isCut || this.#isClosed || this.#response.writableEnded
  }

  #head(status: number, headers: ReplyHeaders): void {
    const fields: [string, string][] = []
    const all = { ...this.#common, ...headers }
    for (const [name, value] of Object.entries(all)) {
      if (value !== undefined) fields.push([name, value])
    }
    if ('date' in all && all['date'] === undefined) this.#response.sendDate = false
    // Engines keep connections open and do not say so.
    if (all['connection'] === undefined) this.#response.removeHeader('connection')
    for (const [name, value] of fields) this.#response.setHeader(name, value)
    this.#response.writeHead(status)
  }

  #write(piece: string | Buffer): void {
    this.#response.write(piece)
    this.#chunks++
    if (this.#cutsBody() && this.#chunks >= (this.#fault?.chunks ?? 1)) this.#cutBody()
  }

  #cutsBody(): boolean {
    const kind = this.#fault?.kind
    return kind === 'reset-after-chunks' || kind === 'truncate' || kind === 'hang-mid-stream'
  }

  #cutAtStart(): void {
    const kind = this.#fault?.kind
    if (kind === 'garbage') {
      this.#isCut = true
      this.#response.socket?.end(GARBAGE)
    } else if (kind === 'reset-before-headers') {
      this.#isCut = true
      this.#response.socket?.resetAndDestroy()
    } else if (kind === 'hang-before-headers') {
      this.#hang()
    }
  }

  #cutAfterHeaders(): boolean {
    if (this.#fault?.kind !== 'reset-after-headers') return false
    this.#response.flushHeaders()
    this.#resetSoon()
    return true
  }

  #cutBody(): void {
    if (this.#fault?.kind === 'hang-mid-stream') this.#hang()
    else if (this.#fault?.kind === 'reset-after-chunks') this.#resetSoon()
    else {
      this.#isCut = true
      // Ending the socket behind the response's back: what was written goes out, the end of the body does not.
      this.#response.write('', () => this.#response.socket?.end())
    }
  }

  #hang(): void {
    this.#isCut = true
    this.#isHung = true
    for (const listener of this.#hangListeners) listener()
  }

  #resetSoon(): void {
    this.#isCut = true
    this.#clock.after(RESET_GRACE_MS, () => this.#response.socket?.resetAndDestroy())
  }
}
