import type { Socket } from 'node:net'
import type { ConnectionPeer } from '#listen/http1/connection.ts'
import type { OpenConnection } from '#listen/open-connection.ts'
import type { HandshakeFailure } from './failure-reason.ts'

/** Who waits for the end of a handshake. */
export interface HandshakeOwner {
  /** It failed, or the connection ended before it was complete. Once; not after the socket has changed hands. */
  handshakeFailed(handshake: TlsHandshake, reason: HandshakeFailure): void
}

/** What a handshake begins with. */
export interface HandshakeGiven {
  readonly timeoutMs: number
  readonly peer: ConnectionPeer | undefined
}

const key: unique symbol = Symbol('handshake')

interface ShakingSocket extends Socket {
  [key]?: TlsHandshake | undefined
}

/** A connection in its TLS handshake. Owns the socket below until that is complete. */
export class TlsHandshake implements OpenConnection {
  readonly isBusy = false
  readonly idleSinceMs: number
  /** Whom the PROXY protocol header named. */
  readonly peer: ConnectionPeer | undefined
  readonly #raw: ShakingSocket
  readonly #owner: HandshakeOwner
  readonly #deadlineMs: number

  constructor(raw: Socket, owner: HandshakeOwner, nowMs: number, given: HandshakeGiven) {
    this.#raw = raw
    this.#owner = owner
    this.idleSinceMs = nowMs
    this.#deadlineMs = nowMs + given.timeoutMs
    this.peer = given.peer
    this.#raw[key] = this
    raw.on('close', onClose)
  }

  /** The handshake of the socket below; undefined when it is over. */
  static of(raw: Socket): TlsHandshake | undefined {
    return (raw as ShakingSocket)[key]
  }

  /** It is complete: the socket changes hands. */
  finish(): void {
    this.#raw[key] = undefined
  }

  /** It failed. */
  fail(reason: HandshakeFailure): void {
    if (this.#raw[key] === undefined) return
    this.#raw[key] = undefined
    this.#owner.handshakeFailed(this, reason)
    this.#raw.destroy()
  }

  sweep(nowMs: number): void {
    if (nowMs >= this.#deadlineMs) this.fail('timeout')
  }

  destroy(): void {
    this.fail('closed')
  }
}

/** The layer above closes after this one, and knows better why. */
function onClose(this: ShakingSocket): void {
  if (this[key] !== undefined) setImmediate(failClosed, this[key])
}

function failClosed(handshake: TlsHandshake): void {
  handshake.fail('closed')
}
