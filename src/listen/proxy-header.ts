import type { Socket } from 'node:net'
import { ProxyHeaderReader, type ProxySource } from '#wire/proxy-protocol.ts'
import type { BytesTaker } from './direct-socket.ts'
import { ownSocket, type SocketOwner } from './http1/socket-owner.ts'
import type { OpenConnection } from './open-connection.ts'

/** Who waits for the header. */
export interface ProxyHeaderOwner {
  /**
   * The header is complete; `source` is undefined when the peer speaks for itself. `rest` are the bytes behind it, valid
   * during the call. The socket changes hands.
   */
  headerRead(header: ProxyHeader, source: ProxySource | undefined, rest: Buffer): void
  /** The connection ended before that. */
  closed(header: ProxyHeader): void
}

/** A connection whose PROXY protocol header is being read. Owns its direct socket until that is complete. */
export class ProxyHeader implements OpenConnection, BytesTaker, SocketOwner {
  readonly isBusy = false
  readonly idleSinceMs: number
  readonly socket: Socket
  readonly #owner: ProxyHeaderOwner
  readonly #deadlineMs: number
  readonly #reader = new ProxyHeaderReader()

  constructor(socket: Socket, owner: ProxyHeaderOwner, nowMs: number, timeoutMs: number) {
    this.socket = socket
    this.idleSinceMs = nowMs
    this.#owner = owner
    this.#deadlineMs = nowMs + timeoutMs
    ownSocket(socket, this)
  }

  received(buffer: Buffer, bytes: number): void {
    // Turned away: what still comes is swallowed.
    if (this.#reader.done) return
    const end = this.#reader.read(buffer, 0, bytes)
    if (this.#reader.error !== undefined) this.destroy()
    else if (this.#reader.done) this.#owner.headerRead(this, this.#reader.source, buffer.subarray(end, bytes))
  }

  sweep(nowMs: number): void {
    if (nowMs >= this.#deadlineMs) this.destroy()
  }

  destroy(): void {
    this.socket.destroy()
  }

  read(): void {}

  drained(): void {}

  ended(): void {
    this.destroy()
  }

  failed(): void {
    this.destroy()
  }

  closed(): void {
    this.#owner.closed(this)
  }
}
