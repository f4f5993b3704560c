import type { Rng } from '#core/clock.ts'
import type { Arm, ArmPorts, Placed } from '#lab/arm.ts'
import type { Arrival, FleetView } from '#lab/virtual-fleet.ts'
import { ActiveBlocks } from './active-blocks.ts'
import { leastOf } from './blind.ts'

/**
 * Dynamo's rule for engines that decode what others have prefilled (routing-algorithms.md 2.3): the fewest prompt tokens in use
 * with the request added, each block once, and so many tokens more for each request in flight; at random among equals.
 */
export class DecodeBlocks {
  readonly #blocks: ActiveBlocks
  readonly #requests: Float64Array
  readonly #costs: Float64Array
  readonly #tokensPerRequest: number
  readonly #rng: Rng
  #open = 0

  constructor({ settings, rng }: ArmPorts, tokensPerRequest: number) {
    this.#blocks = new ActiveBlocks(settings)
    this.#requests = new Float64Array(settings.length)
    this.#costs = new Float64Array(settings.length)
    this.#tokensPerRequest = tokensPerRequest
    this.#rng = rng
  }

  place(arrival: Arrival, fleet: FleetView): number {
    const tokens = this.#blocks.withRequest(arrival)
    for (let i = 0; i < this.#costs.length; i++) {
      const cost = tokens[i]! + this.#tokensPerRequest * this.#requests[i]!
      this.#costs[i] = fleet.mayDecode(i, arrival) ? cost : Number.POSITIVE_INFINITY
    }
    const endpoint = leastOf(this.#costs, this.#rng)
    if (!fleet.mayDecode(endpoint, arrival)) return -1
    this.#count(endpoint, 1)
    this.#blocks.add(arrival, endpoint)
    return endpoint
  }

  end({ arrival, endpoint }: Placed): void {
    this.#count(endpoint, -1)
    this.#blocks.remove(arrival, endpoint)
  }

  /** Requests that decode. */
  get open(): number {
    return this.#open
  }

  #count(endpoint: number, by: 1 | -1): void {
    this.#requests[endpoint] = (this.#requests[endpoint] ?? 0) + by
    this.#open += by
  }
}

/** An arm that places decodes by this rule, and prompts by its own. */
export function decodesByBlocks(arm: Arm, decodes: DecodeBlocks): Arm {
  return {
    place: (arrival, fleet) => arm.place(arrival, fleet),
    placeDecode: (arrival, fleet) => decodes.place(arrival, fleet),
    onFirstToken: (placed, atMs) => arm.onFirstToken?.(placed, atMs),
    onFinished: (placed, atMs) => arm.onFinished?.(placed, atMs),
    onFailed: (placed, atMs) => arm.onFailed?.(placed, atMs),
    onDecodeEnded: (placed) => decodes.end(placed),
    open: () => (arm.open?.() ?? 0) + decodes.open,
  }
}
