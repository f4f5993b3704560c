/** Retries allowed as a share of requests, over about the last ten seconds. */
const share = 0.2
const windowMs = 10_000
/** A quiet gateway may still retry: so many are free per window. */
const freeRetries = 10

/**
 * Keeps retries from multiplying the load of a fleet in trouble: at most 20 % of recent requests may be retries. Two
 * half-window counters are summed, so the window slides without a timer.
 */
export class RetryBudget {
  #startedMs = 0
  #requests = 0
  #retries = 0
  #lastRequests = 0
  #lastRetries = 0

  /** A request has begun. */
  request(nowMs: number): void {
    this.#roll(nowMs)
    this.#requests++
  }

  /** Takes one retry from the budget; false when it is used up. */
  take(nowMs: number): boolean {
    this.#roll(nowMs)
    const retries = this.#retries + this.#lastRetries
    const requests = this.#requests + this.#lastRequests
    if (retries >= freeRetries + requests * share) return false
    this.#retries++
    return true
  }

  #roll(nowMs: number): void {
    const elapsedMs = nowMs - this.#startedMs
    if (elapsedMs < windowMs / 2) return
    const isNext = elapsedMs < windowMs
    this.#lastRequests = isNext ? this.#requests : 0
    this.#lastRetries = isNext ? this.#retries : 0
    this.#requests = 0
    this.#retries = 0
    this.#startedMs = nowMs
  }
}
