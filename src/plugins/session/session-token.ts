import { createHmac, timingSafeEqual } from 'node:crypto'
import { Fault } from '#core/fault.ts'

const markBytes = 8
const expiryBytes = 5
const signatureBytes = 16
const bodyBytes = expiryBytes + markBytes

/** What a valid token says. */
export interface SessionClaim {
  /** Of the endpoint: `markOf` of its id, as text. */
  readonly mark: string
  /** Seconds since the Unix epoch. */
  readonly expiresAtS: number
}

/**
 * Makes and reads session tokens: base64url of expiry (5 bytes), a keyed hash of the endpoint (8) and a signature (16,
 * HMAC-SHA256) over both and the scope, which is the model. A token says nothing of the endpoint to whoever lacks the key,
 * and is worth nothing for another model.
 */
export class SessionTokens {
  readonly #key: Uint8Array

  /** Throws a Fault without a key. */
  constructor(key: Uint8Array) {
    if (key.length === 0) throw new Fault('self', 'session tokens need a key')
    this.#key = key
  }

  /** Hash of an endpoint's id, as tokens carry it. */
  markOf(endpointId: string): string {
    return this.#hash('endpoint', endpointId).toString('latin1', 0, markBytes)
  }

  /** A token for an endpoint by its mark. */
  issue(scope: string, { mark, expiresAtS }: SessionClaim): string {
    const token = Buffer.alloc(bodyBytes + signatureBytes)
    token.writeUIntBE(expiresAtS, 0, expiryBytes)
    token.write(mark, expiryBytes, markBytes, 'latin1')
    this.#sign(scope, token).copy(token, bodyBytes, 0, signatureBytes)
    return token.toString('base64url')
  }

  /** What a token says when it is ours, for this scope and not over; else undefined. */
  read(scope: string, text: string, nowS: number): SessionClaim | undefined {
    if (text.length !== Math.ceil(((bodyBytes + signatureBytes) * 4) / 3)) return undefined
    const token = Buffer.from(text, 'base64url')
    if (token.length !== bodyBytes + signatureBytes) return undefined
    const expiresAtS = token.readUIntBE(0, expiryBytes)
    if (expiresAtS < nowS) return undefined
    const signature = this.#sign(scope, token).subarray(0, signatureBytes)
    if (!timingSafeEqual(signature, token.subarray(bodyBytes))) return undefined
    return { mark: token.toString('latin1', expiryBytes, bodyBytes), expiresAtS }
  }

  #sign(scope: string, token: Buffer): Buffer {
    return this.#hash('token', `${token.toString('latin1', 0, bodyBytes)}${scope}`)
  }

  #hash(purpose: string, text: string): Buffer {
    return createHmac('sha256', this.#key).update(`${purpose}\0`).update(text, 'utf8').digest()
  }
}
