import { clientHash } from '#datastore/breaker.ts'
import type { Lease } from '#datastore/lease.ts'

/**
 * Decides who is to blame when an endpoint breaks off, times out or says it cannot serve: the endpoint, or the request,
 * which may do the same to every one. One per request, made at its first such failure.
 *
 * - The request is then answered by another endpoint: those before it were to blame.
 * - It fails on a second endpoint too, and nobody answers it: it is the request, and no endpoint is blamed.
 * - It was tried once only: the endpoint is blamed, in the name of this client; it takes two clients to eject it, but for
 *   silence, which is not tried elsewhere and which a longer streak of one client proves.
 */
export class Attribution {
  readonly #suspects: Lease[] = []
  /** Whether the last of them said nothing until a timeout. */
  #isSilent = false

  /** The lease's endpoint failed the request; who is to blame is open. Saying so twice of the last one changes nothing. */
  suspect(lease: Lease, isSilent = false): void {
    this.#isSilent = isSilent
    if (this.#suspects.at(-1) === lease) return
    lease.suspended()
    this.#suspects.push(lease)
  }

  /** Another endpoint has answered. */
  answered(nowMs: number): void {
    for (const lease of this.#suspects) lease.failed(nowMs)
    this.#suspects.length = 0
  }

  /** Another endpoint did no better (a 500): true when there was one before it, so that neither is to blame. */
  repeated(): boolean {
    const isRepeated = this.#suspects.length > 0
    for (const lease of this.#suspects) lease.acquitted()
    this.#suspects.length = 0
    return isRepeated
  }

  /** The request is over. `client` is the identity of who sent it. */
  ended(nowMs: number, client: string): void {
    const [only] = this.#suspects
    if (this.#suspects.length === 1) only?.failed(nowMs, clientHash(client), this.#isSilent)
    else for (const lease of this.#suspects) lease.acquitted()
    this.#suspects.length = 0
  }
}
