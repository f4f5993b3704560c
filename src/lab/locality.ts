import { cachedBlocks } from './placements.ts'
import type { Arrival, FleetView } from './virtual-fleet.ts'

/**
 * How many of the cached prompt tokens that a request could have found it did find where it was placed: over all placements,
 * the best reachable ones against those of the endpoint chosen.
 */
export class Locality {
  #reachableTokens = 0
  #realisedTokens = 0

  /** Counts a placement, before the engine has the request. */
  add(arrival: Arrival, fleet: FleetView, chosen: number): void {
    const { promptTokens, blockHashes } = arrival.request
    let best = 0
    for (let i = 0; i < fleet.engines.length; i++) {
      const engine = fleet.engines[i]!
      if (i !== chosen && !fleet.mayPlace(i, arrival)) continue
      const { blockSize } = engine.settings
      const tokens = cachedBlocks(engine, blockHashes, Math.floor((promptTokens - 1) / blockSize)) * blockSize
      if (i === chosen) this.#realisedTokens += tokens
      best = Math.max(best, tokens)
    }
    this.#reachableTokens += best
  }

  /** Part of the reachable tokens that was not used; 0 when there was nothing to reach. */
  get givenAway(): number {
    return this.#reachableTokens === 0 ? 0 : 1 - this.#realisedTokens / this.#reachableTokens
  }
}
