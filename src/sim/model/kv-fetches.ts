import type { Seat } from './engine-request.ts'
import type { EngineSettings } from './engine-settings.ts'
import { WaitingQueue } from './waiting-queue.ts'

/** KV on its way from prefill engines: over one link, one request after the other. */
export class KvFetches {
  readonly #settings: EngineSettings
  readonly #onTheWay = new WaitingQueue(false)
  #linkFreeMs = Number.NEGATIVE_INFINITY
  #arrivedCount = 0

  constructor(settings: EngineSettings) {
    this.#settings = settings
  }

  /** Waiting requests whose KV is on its way. */
  get fetchingCount(): number {
    return this.#onTheWay.length
  }

  /** Waiting requests whose KV has arrived. */
  get arrivedCount(): number {
    return this.#arrivedCount
  }

  /** When the next fetch ends. */
  get nextMs(): number {
    return this.#onTheWay.at(0)?.fetchedMs ?? Number.POSITIVE_INFINITY
  }

  /** Begins to fetch so many tokens for a request that holds their blocks. */
  begin(seat: Seat, tokens: number, atMs: number): void {
    const { transferStartMs, transferPerTokenUs } = this.#settings
    this.#linkFreeMs = Math.max(this.#linkFreeMs, atMs) + (tokens * transferPerTokenUs) / 1e3
    seat.fetchedMs = this.#linkFreeMs + transferStartMs
    this.#onTheWay.add(seat)
  }

  /** The next request whose fetch has ended by a time; it counts as arrived until {@link leave}. */
  takeArrived(atMs: number): Seat | undefined {
    const seat = this.#onTheWay.at(0)
    if (seat === undefined || seat.fetchedMs > atMs) return undefined
    this.#onTheWay.removeAt(0)
    seat.remoteTokens = 0
    this.#arrivedCount++
    return seat
  }

  /** A request stops waiting: it runs or is cancelled. */
  leave(seat: Seat): void {
    if (Number.isNaN(seat.fetchedMs) || seat.preemptions > 0) return
    if (!this.#onTheWay.remove(seat)) this.#arrivedCount--
  }
}
