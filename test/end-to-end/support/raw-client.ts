import { connect, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import type { Rng } from '#core/clock.ts'

/** An answer as it came over the wire. */
export interface RawResponse {
  readonly statusLine: string
  readonly status: number
  /** Names in lower case, in the order they came. */
  readonly headers: readonly (readonly [string, string])[]
  readonly body: Buffer
}

/** A client that writes the bytes it is told to, one connection long. */
export class RawClient {
  readonly socket: Socket
  /** What has come and was not taken yet. */
  #parts: Buffer[] = []
  #bytes = 0
  #ended = false
  #wake: (() => void) | undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setNoDelay(true)
    socket.on('data', (bytes: Buffer) => {
      this.#parts.push(bytes)
      this.#bytes += bytes.length
      this.#wake?.()
    })
    for (const event of ['end', 'close', 'error']) {
      socket.on(event, () => {
        this.#ended = true
        this.#wake?.()
      })
    }
  }

  /** Connects to 127.0.0.1, or wherever `tls` says. */
  static async connect(port: number, options: { readonly host?: string; readonly tls?: ConnectionOptions } = {}) {
    const { host = '127.0.0.1', tls } = options
    const socket = tls === undefined ? connect({ host, port }) : connectTls({ host, port, ...tls })
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject)
      socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
        socket.off('error', reject)
        resolve()
      })
    })
    return new RawClient(socket)
  }

  /** Whether the other side has closed. */
  get isEnded(): boolean {
    return this.#ended
  }

  /** Writes bytes in one piece. */
  write(bytes: Buffer | string): void {
    this.socket.write(bytes)
  }

  /** Writes bytes in pieces of random length, each in a write of its own, with turns of the event loop between them. */
  async writeSplit(bytes: Buffer, rng: Rng): Promise<void> {
    let at = 0
    while (at < bytes.length && !this.#ended) {
      const longest = rng() < 0.5 ? 8 : Math.max(16, bytes.length >> 2)
      const next = Math.min(bytes.length, at + 1 + Math.floor(rng() * longest))
      this.socket.write(bytes.subarray(at, next))
      at = next
      if (rng() < 0.3) await nextTurn()
    }
  }

  /** Reads one whole answer; throws when the connection ends before it is complete. */
  async response(limitMs = 10_000): Promise<RawResponse> {
    const head = await this.#take(() => endOf(this.#received(), '\r\n\r\n'), limitMs)
    const [statusLine = '', ...lines] = head.toString('latin1').trimEnd().split('\r\n')
    const headers = lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
    })
    const status = Number(statusLine.split(' ')[1])
    if (status === 100) return this.response(limitMs)
    return { statusLine, status, headers, body: await this.#body(headers, status, limitMs) }
  }

  /** Everything that comes until the other side closes. */
  async rest(limitMs = 10_000): Promise<string> {
    await this.#until(() => this.#ended, limitMs)
    return this.#cut(this.#bytes).toString('utf8')
  }

  /** Waits until `text` has come, keeping it. */
  async seen(text: string, limitMs = 10_000): Promise<void> {
    await this.#until(() => this.#received().includes(text), limitMs)
  }

  close(): void {
    this.socket.destroy()
  }

  async #body(headers: RawResponse['headers'], status: number, limitMs: number): Promise<Buffer> {
    if (status === 204 || status === 304) return Buffer.alloc(0)
    const length = headers.find(([name]) => name === 'content-length')?.[1]
    if (length !== undefined) return this.#take(() => (this.#bytes >= Number(length) ? Number(length) : -1), limitMs)
    if (!headers.some(([name, value]) => name === 'transfer-encoding' && value === 'chunked')) {
      return Buffer.from(await this.rest(limitMs))
    }
    const pieces: Buffer[] = []
    for (;;) {
      const line = await this.#take(() => endOf(this.#received(), '\r\n'), limitMs)
      const size = Number.parseInt(line.toString('latin1'), 16)
      const piece = await this.#take(() => (this.#bytes >= size + 2 ? size + 2 : -1), limitMs)
      if (size === 0) return Buffer.concat(pieces)
      pieces.push(piece.subarray(0, size))
    }
  }

  /** Waits until `length` gives a number above zero, then takes so many bytes. */
  async #take(length: () => number, limitMs: number): Promise<Buffer> {
    await this.#until(() => length() > 0 || this.#ended, limitMs)
    const bytes = length()
    if (bytes <= 0)
      throw new Error(`the connection ended after ${JSON.stringify(this.#received().toString('latin1').slice(-500))}`)
    return this.#cut(bytes)
  }

  /** All that has come, in one piece: joined when asked for, because answers may be long. */
  #received(): Buffer {
    if (this.#parts.length !== 1) this.#parts = [Buffer.concat(this.#parts)]
    return this.#parts[0] ?? Buffer.alloc(0)
  }

  #cut(bytes: number): Buffer {
    const all = this.#received()
    this.#parts = [all.subarray(bytes)]
    this.#bytes -= bytes
    return all.subarray(0, bytes)
  }

  async #until(isDone: () => boolean, limitMs: number): Promise<void> {
    const deadline = performance.now() + limitMs
    while (!isDone()) {
      const leftMs = deadline - performance.now()
      if (leftMs <= 0)
        throw new Error(`nothing more in ${limitMs} ms; have ${this.#received().toString('latin1').slice(-500)}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }
}

/** Where the first `mark` ends; -1 when there is none. */
function endOf(bytes: Buffer, mark: string): number {
  const at = bytes.indexOf(mark)
  return at < 0 ? -1 : at + mark.length
}

/** A POST as bytes: head with `content-length`, or chunked with the given sizes. */
export function postBytes(
  target: string,
  body: Buffer,
  options: { readonly headers?: readonly string[]; readonly chunks?: readonly number[]; readonly type?: string } = {},
): Buffer {
  const { headers = [], chunks, type = 'application/json' } = options
  const framing = chunks === undefined ? `content-length: ${body.length}` : 'transfer-encoding: chunked'
  const lines = [`POST ${target} HTTP/1.1`, 'host: gateway.test', `content-type: ${type}`, framing, ...headers]
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  return Buffer.concat([head, chunks === undefined ? body : chunked(body, chunks)])
}

function chunked(body: Buffer, sizes: readonly number[]): Buffer {
  const parts: Buffer[] = []
  for (let at = 0, i = 0; at < body.length; i++) {
    const piece = body.subarray(at, at + Math.max(1, sizes[i % sizes.length] ?? 1))
    parts.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'))
    at += piece.length
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')])
}
