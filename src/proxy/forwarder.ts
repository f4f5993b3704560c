import type { Exchange } from '#contracts/exchange.ts'
import type { Clock } from '#core/clock.ts'
import type { OutcomeDraft } from '#core/outcome.ts'
import type { Refusal } from '#core/refusal.ts'
import type { InferenceRequest } from '#core/request.ts'
import type { Destination } from './destination.ts'
import { ForwardCall } from './forward-call.ts'
import { RetryBudget } from './retry-budget.ts'
import type { UpstreamPools } from './upstream-pools.ts'

/** One request to forward, and who wants to know. */
export interface ForwardJob {
  readonly exchange: Exchange
  readonly request: InferenceRequest
  /** Filled in as the call goes on: attempts, instants, bytes, usage, abort. */
  readonly outcome: OutcomeDraft
  readonly exposeEndpoint: boolean
  /** Chooses the next destination and reserves it; `tried` are the slots that have failed this request. */
  choose(tried: readonly number[]): Destination | Refusal
  /** Nothing has been sent to the client: answer this refusal. */
  refused(refusal: Refusal): void
  /** The exchange has ended, whatever way; called exactly once unless `refused` was. */
  ended(): void
}

/** How often deadlines are looked at: their precision. */
const sweepMs = 100

/** Forwards requests of one thread. Owns the calls in flight and watches their deadlines with one timer. */
export class Forwarder {
  readonly pools: UpstreamPools
  readonly clock: Clock
  readonly budget = new RetryBudget()
  /**
   * An array with removal by swapping, not a Set: a Set that sees an insertion and a removal per request is rebuilt all
   * the time, and each discarded table points to the next, so that collections of the young generation keep what was
   * in them (npm run bench -- small).
   */
  readonly #calls: ForwardCall[] = []
  #sweeping = false

  constructor(pools: UpstreamPools, clock: Clock) {
    this.pools = pools
    this.clock = clock
  }

  /** Calls in flight. */
  get active(): number {
    return this.#calls.length
  }

  /** Starts a call. */
  forward(job: ForwardJob): void {
    const call = new ForwardCall(job, this)
    call.position = this.#calls.push(call) - 1
    if (!this.#sweeping) this.#sweepLater()
    this.budget.request(job.outcome.receivedAtMs)
    call.start()
  }

  /** A call has ended. */
  done(call: ForwardCall): void {
    const last = this.#calls.pop()
    if (last === undefined || last === call) return
    this.#calls[call.position] = last
    last.position = call.position
  }

  /** Ends every call in flight with `refusal`: streams get an error event. For the end of a drain. */
  endAll(refusal: Refusal): void {
    for (const call of [...this.#calls]) call.giveUp(refusal)
  }

  #sweepLater(): void {
    this.#sweeping = true
    this.clock.after(sweepMs, () => {
      const nowMs = this.clock.nowMs()
      // From the end, because a call that ends now is replaced by the last one, which has been looked at.
      for (let i = this.#calls.length - 1; i >= 0; i--) this.#calls[i]?.checkDeadlines(nowMs)
      this.#sweeping = false
      if (this.#calls.length > 0) this.#sweepLater()
    })
  }
}
