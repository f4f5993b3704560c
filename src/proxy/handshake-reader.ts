import { type ParsedResponseHead, parseResponseHead } from '#wire/http1/response-head.ts'
import { ResponseReader, type ResponseSink } from './response-reader.ts'

const maxHeadBytes = 64 * 1024
const maxHeaders = 256
const maxInterim = 8
/** An answer instead of the switch is an error document: a longer one is none. */
const maxAnswerBytes = 256 * 1024

const headEnd = '\r\n\r\n'

/** Reads an endpoint's answer to a handshake: a switch of protocols, or an ordinary answer, kept whole. */
export class HandshakeReader implements ResponseSink {
  error: string | undefined = undefined
  /** Set once the head has been read, of either. */
  answer: ParsedResponseHead | undefined = undefined
  /** Whether the protocol has been switched; `rest` came right behind it. */
  hasSwitched = false
  /** Whether an ordinary answer is complete. */
  isComplete = false
  rest: Buffer = Buffer.alloc(0)
  #carry: Buffer = Buffer.alloc(0)
  #interim = 0
  #reader: ResponseReader | undefined = undefined
  readonly #body: Buffer[] = []
  #bodyBytes = 0

  /** Body of the ordinary answer. */
  get body(): Buffer {
    return Buffer.concat(this.#body)
  }

  /** Takes `buffer[0, bytes)`, which is copied. Nothing more after a switch, a complete answer or an error. */
  push(buffer: Buffer, bytes: number): void {
    if (this.#reader !== undefined) return this.#feed(buffer.subarray(0, bytes))
    this.#carry = Buffer.concat([this.#carry, buffer.subarray(0, bytes)])
    for (let end = this.#carry.indexOf(headEnd); end >= 0; end = this.#carry.indexOf(headEnd)) {
      const head = parseResponseHead(this.#carry.toString('latin1', 0, end + 2), maxHeaders, false)
      if (typeof head === 'string') return this.#fail(head)
      if (head.status === 101) return this.#switched(head, this.#carry.subarray(end + headEnd.length))
      if (head.status >= 200) return this.#answered()
      if (++this.#interim > maxInterim) return this.#fail('too many interim answers')
      this.#carry = this.#carry.subarray(end + headEnd.length)
    }
    if (this.#carry.length > maxHeadBytes) this.#fail('the response head is too large')
  }

  /** The connection has ended: true when that completes the answer. */
  endOfInput(): boolean {
    this.isComplete = this.error === undefined && this.#reader?.endOfInput() === true
    return this.isComplete
  }

  head(head: ParsedResponseHead): void {
    this.answer = head
  }

  data(buffer: Buffer, start: number, end: number): void {
    this.#bodyBytes += end - start
    if (this.#bodyBytes > maxAnswerBytes) return this.#fail('the answer is too long')
    this.#body.push(Buffer.from(buffer.subarray(start, end)))
  }

  #switched(head: ParsedResponseHead, rest: Buffer): void {
    this.answer = head
    this.hasSwitched = true
    this.rest = rest
  }

  #answered(): void {
    this.#reader = new ResponseReader()
    this.#reader.begin(false)
    const carry = this.#carry
    this.#carry = Buffer.alloc(0)
    this.#feed(carry)
  }

  #feed(data: Buffer): void {
    const reader = this.#reader
    if (reader === undefined || this.error !== undefined) return
    reader.read(data, data.length, this)
    if (reader.error !== undefined) return this.#fail(reader.error)
    this.isComplete = reader.complete && this.error === undefined
  }

  #fail(detail: string): void {
    this.error ??= detail
    this.#reader?.cancel()
  }
}
