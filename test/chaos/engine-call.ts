import type { Socket } from 'node:net'
import { type Rng, seededRng } from '#core/clock.ts'
import { answerPieces } from './content.ts'
import type { RequestPlan } from './request-plan.ts'

/** What the engine meant a delivery to give to a client that gets all of it. */
export interface Meant {
  readonly fault: string
  readonly status: number
  /** Body as the client must see it. */
  readonly body: string
}

/** One request at an engine: the hands of a fault. Its methods do nothing once the connection is gone. */
export class EngineCall {
  readonly plan: RequestPlan
  /** 1 for the first time that an engine got this request. */
  readonly delivery: number
  readonly fault: string
  /** The pieces of a whole answer. */
  readonly pieces: readonly string[]
  readonly rng: Rng
  extraHeaders = ''
  /** Write byte by byte. */
  drips = false
  /** Length announced for the body, when it is a lie. */
  announces: number | undefined = undefined
  readonly #socket: Socket
  readonly #finished: () => void
  #framing: RequestPlan['framing']
  #meant: { status: number; body: string } | undefined = undefined
  #isDone = false
  #dripping: string | undefined = undefined
  #wake: (() => void) | undefined = undefined

  /** `finished` is called when the connection may carry another request. */
  constructor(plan: RequestPlan, delivery: number, socket: Socket, finished: () => void) {
    this.plan = plan
    this.delivery = delivery
    this.fault = plan.faults[delivery - 1] ?? 'ok'
    this.#socket = socket
    this.#finished = finished
    this.#framing = plan.framing
    this.pieces = answerPieces(plan, delivery, 'engine')
    this.rng = seededRng(plan.seed + delivery)
    // A connection that is closed is no sign of an end when something is to be noticed missing.
    if (this.fault !== 'ok' && this.#framing === 'close') this.#framing = 'chunked'
  }

  /** The connection is gone: nothing waits any more. */
  closed(): void {
    this.#wake?.()
  }

  get isOpen(): boolean {
    return !this.#socket.destroyed && this.#socket.writable
  }

  /** Marks every answer, so that the client can tell which delivery it is from. */
  get token(): string {
    return `${this.plan.id} ${this.delivery}`
  }

  /** What a client must see that gets all of it. */
  get meant(): Meant {
    const whole = (): string => {
      const text = answerPieces(this.plan, this.delivery, 'client').join('')
      const engineText = this.pieces.join('')
      // An announced length that is too short cuts the engine's text; the name put back moves the end.
      return this.announces === undefined ? text : text.slice(0, this.announces + text.length - engineText.length)
    }
    const { status, body } = this.#meant ?? { status: 200, body: whole() }
    return { fault: this.fault, status, body }
  }

  /** Says that this is to be the answer, instead of the whole one. */
  means(status: number, body: string): void {
    this.#meant = { status, body }
  }

  /** Says that the answer is to be the first `sent` pieces and `event`. */
  breaksAfter(sent: number, event: string): void {
    this.means(200, answerPieces(this.plan, this.delivery, 'client').slice(0, sent).join('') + event)
  }

  /** Writes the head of a 200; `framing` a length, or how the body is framed, else as planned. */
  head(framing: RequestPlan['framing'] | number = this.#framing): void {
    if (typeof framing !== 'number') this.#framing = framing
    else this.#framing = 'length'
    const length = typeof framing === 'number' ? framing : byteLength(this.pieces)
    const frame = {
      length: `content-length: ${length}`,
      chunked: 'transfer-encoding: chunked',
      close: 'connection: close',
    }[this.#framing]
    const type = this.plan.stream ? 'text/event-stream; charset=utf-8' : 'application/json'
    this.raw(
      `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\nx-chaos: ${this.token}\r\n${this.extraHeaders}${frame}\r\n\r\n`,
    )
  }

  /** Writes a piece of the body in its frame. */
  piece(text: string): void {
    if (this.#framing !== 'chunked') this.raw(text)
    else if (text !== '') this.raw(`${text.length.toString(16)}\r\n${text}\r\n`)
  }

  /** Ends the body; the connection lives on unless the framing needs its end. */
  finish(): void {
    if (this.#framing === 'chunked') this.raw('0\r\n\r\n')
    if (this.#framing === 'close') this.end()
    else if (!this.drips) this.done()
  }

  /** The connection may carry the next request. */
  done(): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#finished()
  }

  /** Writes bytes as they are. */
  raw(bytes: string | Buffer): void {
    if (!this.isOpen) return
    if (this.drips && typeof bytes === 'string') this.#dripping = (this.#dripping ?? '') + bytes
    else this.#socket.write(bytes)
  }

  /** Sends what was collected, its beginning and its end byte by byte, then ends as `finish` should have. */
  async dripped(): Promise<void> {
    const bytes = Buffer.from(this.#dripping ?? '')
    const from = Math.floor(this.rng() * 100)
    const to = bytes.length - 40
    const untilMs = performance.now() + 300
    for (let at = 0; at < bytes.length && this.isOpen; ) {
      const isSlow = (at >= from && at < from + 60) || at >= to
      const next = performance.now() > untilMs ? bytes.length : isSlow ? at + 1 : at < from ? from : to
      this.#socket.write(bytes.subarray(at, next))
      at = next
      if (at < bytes.length) await new Promise((resolve) => setImmediate(resolve))
    }
    if (this.#framing === 'close') this.end()
    else this.done()
  }

  /** What `write` writes leaves in one piece. */
  joined(write: () => void): void {
    this.#socket.cork()
    write()
    this.#socket.uncork()
  }

  /** Waits, or until the connection is gone. */
  async wait(ms: number): Promise<void> {
    if (!this.isOpen) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  /** Does nothing until the gateway gives up. */
  hang(): Promise<void> {
    return this.wait(60_000)
  }

  stopReading(): void {
    this.#socket.pause()
  }

  readOn(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#socket.end()
  }

  reset(): void {
    if (this.#socket.writable) this.#socket.resetAndDestroy()
    else this.#socket.destroy()
  }
}

function byteLength(pieces: readonly string[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0)
}
