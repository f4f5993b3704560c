/**
 * Counts what costs the client less than us, such as streams that it resets (CVE-2023-44487), and says when it is too
 * much: a bucket of `burst` that drains at `perSecond`.
 */
export class FloodGuard {
  readonly #burst: number
  readonly #perMs: number
  #level = 0
  #atMs = 0

  constructor(burst: number, perSecond: number) {
    this.#burst = burst
    this.#perMs = perSecond / 1000
  }

  /** Counts one; false when it is one too many. */
  admits(nowMs: number): boolean {
    this.#level = Math.max(0, this.#level - (nowMs - this.#atMs) * this.#perMs) + 1
    this.#atMs = nowMs
    return this.#level <= this.#burst
  }
}
