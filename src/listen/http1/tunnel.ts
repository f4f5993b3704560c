import type { Tunnel, TunnelObserver } from '#contracts/exchange.ts'
import type { Http1Connection } from './connection.ts'

/** The client's end of a connection that has left HTTP behind. */
export class Http1Tunnel implements Tunnel {
  readonly #connection: Http1Connection
  #observer: TunnelObserver | undefined
  /** What came right behind the request head, until it is delivered. */
  #early: Buffer | undefined
  #paused = false
  #hasEnded = false

  constructor(connection: Http1Connection, observer: TunnelObserver, early: Buffer | undefined) {
    this.#connection = connection
    this.#observer = observer
    this.#early = early
    // Not within the call that makes the tunnel: the observer does not hold it yet and could not pause.
    if (early !== undefined) process.nextTick(() => this.#deliver())
  }

  write(data: Buffer, start: number, end: number): boolean {
    const { socket } = this.#connection
    if (end <= start || socket.destroyed || socket.writableEnded) return true
    const out = Buffer.allocUnsafe(end - start)
    data.copy(out, 0, start, end)
    return this.#connection.write(out)
  }

  end(): void {
    this.#connection.socket.end()
  }

  destroy(): void {
    this.#observer = undefined
    this.#connection.destroy()
  }

  pause(): void {
    this.#paused = true
    this.#connection.socket.pause()
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#deliver()
    if (!this.#paused) this.#connection.socket.resume()
  }

  /** The client sent `data[0, bytes)`. */
  data(data: Buffer, bytes: number): void {
    if (this.#early === undefined) return this.#observer?.data(data, 0, bytes)
    this.#early = Buffer.concat([this.#early, data.subarray(0, bytes)])
    this.#deliver()
  }

  drained(): void {
    this.#observer?.drained()
  }

  ended(): void {
    this.#hasEnded = true
    if (this.#early === undefined) this.#observer?.ended()
  }

  closed(): void {
    const observer = this.#observer
    this.#observer = undefined
    observer?.closed()
  }

  #deliver(): void {
    const early = this.#early
    if (early === undefined || this.#paused) return
    this.#early = undefined
    this.#observer?.data(early, 0, early.length)
    if (this.#hasEnded) this.#observer?.ended()
  }
}
