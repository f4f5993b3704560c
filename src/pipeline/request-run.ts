import type { Exchange } from '#contracts/exchange.ts'
import type { OutcomeDraft } from '#core/outcome.ts'
import type { Refusal } from '#core/refusal.ts'
import type { InferenceRequest } from '#core/request.ts'
import type { Gauge } from '#observe/metric-handles.ts'
import type { Destination } from '#proxy/destination.ts'
import type { ForwardJob } from '#proxy/forwarder.ts'
import type { Decision } from './decide.ts'

/** How a run ends: by a refusal, or with its outcome complete. */
export interface RunOwner {
  refuseWith(exchange: Exchange, refusal: Refusal, outcome: OutcomeDraft): void
  record(outcome: OutcomeDraft): void
  /** Reports a mistake of ours; returns what the client is told. */
  faulted(caught: unknown, outcome: OutcomeDraft): Refusal
}

/** Where a run may go. */
export type RunDecision = Pick<Decision, 'choose'> & Partial<Pick<Decision, 'explained'>>

/** What a run is made from. */
export interface RunPlan {
  readonly exchange: Exchange
  readonly request: InferenceRequest
  readonly outcome: OutcomeDraft
  readonly decision: RunDecision
  readonly exposeEndpoint: boolean
  /** Already counted up; counted down when the run ends. */
  readonly inFlight: Gauge
}

/** One request on its way through the proxy, as the proxy sees it. */
export class RequestRun implements ForwardJob {
  readonly exchange: Exchange
  readonly request: InferenceRequest
  readonly outcome: OutcomeDraft
  readonly exposeEndpoint: boolean
  readonly #owner: RunOwner
  readonly #decision: RunDecision
  readonly #inFlight: Gauge

  constructor(owner: RunOwner, plan: RunPlan) {
    this.exchange = plan.exchange
    this.request = plan.request
    this.outcome = plan.outcome
    this.exposeEndpoint = plan.exposeEndpoint
    this.#owner = owner
    this.#decision = plan.decision
    this.#inFlight = plan.inFlight
  }

  /** A fault in a plug-in is a refusal here: thrown into the proxy it would leave a call that never ends. */
  choose(tried: readonly number[]): Destination | Refusal {
    try {
      return this.#decision.choose(tried)
    } catch (caught) {
      return this.#owner.faulted(caught, this.outcome)
    }
  }

  refused(refusal: Refusal): void {
    this.#inFlight.add(-1)
    const { explained } = this.#decision
    if (explained !== undefined)
      this.exchange.addedHeaders = [...this.exchange.addedHeaders, 'x-infer-explain', explained]
    this.#owner.refuseWith(this.exchange, refusal, this.outcome)
  }

  ended(): void {
    this.#inFlight.add(-1)
    this.#owner.record(this.outcome)
  }
}
