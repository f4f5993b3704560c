import { headerOf } from '#core/header-list.ts'
import { ChunkDecoder } from '#wire/http1/chunk-decoder.ts'
import { type ParsedResponseHead, parseResponseHead } from '#wire/http1/response-head.ts'

/** Where a response goes as it is read. The memory behind `buffer` is valid during the call only. */
export interface ResponseSink {
  head(head: ParsedResponseHead): void
  data(buffer: Buffer, start: number, end: number): void
}

const maxHeadBytes = 64 * 1024
const maxHeaders = 256
const maxInterim = 8

/** Turns the bytes of one connection into one response after another, whatever way they are cut into reads. */
export class ResponseReader {
  complete = false
  /** Some byte of the answer has come. */
  started = false
  keepAlive = false
  keepAliveMs: number | undefined = undefined
  error: string | undefined = undefined
  #isHead = false
  #head: ParsedResponseHead | undefined = undefined
  #carry: Buffer | undefined = undefined
  #remaining = 0
  #interim = 0
  #chunks: ChunkDecoder | undefined = undefined
  #cancelled = false

  /** Prepares for the answer to a request; `isHead` says that it has no body. */
  begin(isHead: boolean): void {
    this.complete = false
    this.started = false
    this.keepAlive = false
    this.error = undefined
    this.#isHead = isHead
    this.#head = undefined
    this.#carry = undefined
    this.#remaining = 0
    this.#interim = 0
    this.#chunks = undefined
    this.#cancelled = false
  }

  /** The sink is gone: nothing more is delivered, not even the rest of the read under way. */
  cancel(): void {
    this.#cancelled = true
  }

  /** Reads `buffer[0, bytes)`. Stops at the first error and at the end of the answer. */
  read(buffer: Buffer, bytes: number, sink: ResponseSink): void {
    this.started = true
    let input = buffer
    let end = bytes
    let pos = 0
    if (this.#carry !== undefined) {
      input = Buffer.concat([this.#carry, buffer.subarray(0, bytes)])
      end = input.length
      this.#carry = undefined
    }
    while (this.#head === undefined) {
      pos = this.#readHead(input, pos, end, sink)
      if (pos < 0) return
    }
    if (!this.#cancelled) this.#readBody(input, pos, end, sink)
  }

  /** The connection has ended. True when that completes the answer. */
  endOfInput(): boolean {
    if (this.#head?.body !== 'close') return false
    this.complete = true
    return true
  }

  /** Reads one head; returns the position behind it, or -1 when there is none yet or it is bad. */
  #readHead(input: Buffer, pos: number, end: number, sink: ResponseSink): number {
    const found = input.indexOf('\r\n\r\n', pos, 'latin1')
    if (found < 0 || found + 4 > end) {
      this.error = this.#incompleteHead(input, pos, end)
      return -1
    }
    if (found + 4 - pos > maxHeadBytes) {
      this.error = 'the response head is too large'
      return -1
    }
    const head = parseResponseHead(input.toString('latin1', pos, found + 2), maxHeaders, this.#isHead)
    if (typeof head === 'string') this.error = head
    else if (head.status === 101) this.error = 'the protocol was switched without being asked'
    else if (head.status >= 200) this.#begin(head, sink)
    else if (++this.#interim > maxInterim) this.error = 'too many interim answers'
    return this.error === undefined ? found + 4 : -1
  }

  /** Keeps the beginning of a head; what cannot become a good one is told now, in the same words as if it had come whole. */
  #incompleteHead(input: Buffer, pos: number, end: number): string | undefined {
    if (end - pos > maxHeadBytes) return 'the response head is too large'
    if (end > pos && !isStatusLineStart(input, pos, end)) return 'the status line is not HTTP/1.x'
    const bare = bareLineFeed(input, pos, end)
    if (bare < 0) {
      this.#carry = Buffer.from(input.subarray(pos, end))
      return undefined
    }
    const head = parseResponseHead(`${input.toString('latin1', pos, bare + 1)}\r\n`, maxHeaders, this.#isHead)
    return typeof head === 'string' ? head : 'a line does not end with CRLF'
  }

  #begin(head: ParsedResponseHead, sink: ResponseSink): void {
    this.#head = head
    this.keepAlive = head.keepAlive
    this.#remaining = head.bodyBytes
    if (head.body === 'chunked') this.#chunks = new ChunkDecoder()
    this.complete = head.body === 'none' || (head.body === 'length' && head.bodyBytes === 0)
    const timeout = /timeout=(\d{1,6})/i.exec(headerOf(head.headers, 'keep-alive') ?? '')
    this.keepAliveMs = timeout === null ? undefined : Number(timeout[1]) * 1000
    sink.head(head)
  }

  #readBody(input: Buffer, from: number, end: number, sink: ResponseSink): void {
    let pos = from
    if (this.#chunks !== undefined) pos = this.#readChunks(input, pos, end, sink)
    else if (this.#head?.body === 'close') {
      if (end > pos) sink.data(input, pos, end)
      pos = end
    } else {
      const taken = Math.min(this.#remaining, end - pos)
      if (taken > 0) sink.data(input, pos, pos + taken)
      this.#remaining -= taken
      pos += taken
      this.complete = this.#remaining === 0
    }
    // Bytes behind the end belong to no request: the connection cannot be trusted with another.
    if (this.complete && pos < end) this.keepAlive = false
  }

  #readChunks(input: Buffer, from: number, end: number, sink: ResponseSink): number {
    const chunks = this.#chunks
    if (chunks === undefined) return from
    let pos = from
    while (pos < end && !chunks.done && !this.#cancelled) {
      pos = chunks.next(input, pos, end)
      if (chunks.dataEnd > chunks.dataStart) sink.data(input, chunks.dataStart, chunks.dataEnd)
      if (chunks.error !== undefined) {
        this.error = chunks.error
        return pos
      }
    }
    this.complete = chunks.done
    return pos
  }
}

const statusLineStart = Buffer.from('HTTP/1.')

/** Garbage is told from a slow head by its first bytes. */
function isStatusLineStart(input: Buffer, pos: number, end: number): boolean {
  for (let i = 0; i < statusLineStart.length && pos + i < end; i++)
    if (input[pos + i] !== statusLineStart[i]) return false
  return true
}

/** Where a line feed stands without its carriage return; -1 when nowhere. */
function bareLineFeed(input: Buffer, pos: number, end: number): number {
  for (let at = input.indexOf(0x0a, pos); at >= 0 && at < end; at = input.indexOf(0x0a, at + 1))
    if (at === pos || input[at - 1] !== 0x0d) return at
  return -1
}
