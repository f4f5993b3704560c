import type { Socket } from 'node:net'
import type { Limits } from '#config/snapshot.ts'
import type { BytesTaker } from '#listen/direct-socket.ts'
import type { ConnectionPeer } from '#listen/http1/connection.ts'
import { ownSocket, type SocketOwner } from '#listen/http1/socket-owner.ts'
import type { OpenConnection } from '#listen/open-connection.ts'

/** What a client that knows the server to speak HTTP/2 sends first (RFC 9113 3.4). */
const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1')

/** Who waits for the decision. */
export interface PrefaceOwner {
  /** The version is known. `first` are the bytes so far, valid during the call. The socket changes hands. */
  versionKnown(connection: Preface, isHttp2: boolean, first: Buffer): void
  /** The connection ended before that. */
  closed(connection: Preface): void
}

/** A plain connection whose first bytes tell the version of HTTP. Owns its direct socket until they are there. */
export class Preface implements OpenConnection, BytesTaker, SocketOwner {
  readonly isBusy = false
  readonly idleSinceMs: number
  readonly socket: Socket
  readonly peer: ConnectionPeer
  readonly #owner: PrefaceOwner
  readonly #deadlineMs: number
  /** Bytes of the preface that have come. */
  #matched = 0

  constructor(socket: Socket, owner: PrefaceOwner, peer: ConnectionPeer, given: { nowMs: number; limits: Limits }) {
    this.socket = socket
    this.peer = peer
    this.idleSinceMs = given.nowMs
    this.#owner = owner
    this.#deadlineMs = given.nowMs + given.limits.headTimeoutMs
    ownSocket(socket, this)
  }

  received(buffer: Buffer, bytes: number): void {
    const wanted = Math.min(bytes, preface.length - this.#matched)
    const isAlike = buffer.compare(preface, this.#matched, this.#matched + wanted, 0, wanted) === 0
    const before = this.#matched
    if (isAlike) this.#matched += wanted
    if (isAlike && this.#matched < preface.length) return
    const now = buffer.subarray(0, bytes)
    // What came before is the beginning of the preface, so it need not have been kept.
    const first = before === 0 ? now : Buffer.concat([preface.subarray(0, before), now])
    this.#owner.versionKnown(this, isAlike, first)
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
