import { seededRng } from '#core/clock.ts'
import type { EngineModel } from '#sim/model/engine-model.ts'
import type { Arrival, FleetView, Placement } from './virtual-fleet.ts'

/** One engine after the other. */
export function roundRobin(): Placement {
  let turn = 0
  return (_, { engines }) => turn++ % engines.length
}

/** Draws an engine; from other numbers than a workload of the same seed draws from. */
export function randomly(seed: number): Placement {
  const rng = seededRng(seed ^ 0x5eed1e55)
  return (_, { engines }) => Math.floor(rng() * engines.length)
}

/** Every group has one engine, and engines have equally many groups. */
export function byGroup(): Placement {
  return ({ group }, { engines }) => group % engines.length
}

/** An engine takes no more than this multiple of the mean of requests in flight, and a few more. */
const loadBound = 1.25
const loadSlack = 4

/**
 * The longest cached prefix among engines whose requests in flight are at most 1.25 times the mean plus 4; among equal prefixes
 * the fewest requests in flight. Reads the engines' caches as they are, as if their events took no time.
 */
export function longestPrefix(): Placement {
  return (arrival, fleet) => {
    const { engines, inFlight } = fleet
    const bound = loadBound * meanInFlight(arrival, fleet) + loadSlack
    let best = -1
    let bestBlocks = -1
    for (let i = 0; i < engines.length; i++) {
      if (inFlight[i]! > bound || !fleet.mayPlace(i, arrival)) continue
      const blocks = cachedBlocks(engines[i]!, arrival.request.blockHashes)
      if (blocks > bestBlocks || (blocks === bestBlocks && inFlight[i]! < inFlight[best]!)) {
        best = i
        bestBlocks = blocks
      }
    }
    return best
  }
}

/** Over the engines that the request may go to. */
function meanInFlight(arrival: Arrival, fleet: FleetView): number {
  let total = 0
  let count = 0
  for (let i = 0; i < fleet.engines.length; i++) {
    if (!fleet.mayPlace(i, arrival)) continue
    total += fleet.inFlight[i]!
    count++
  }
  return total / count
}

/** How many of the leading blocks (at most `most`) are cached, by bisection: what follows a prefix is forgotten before it. */
export function cachedBlocks({ cache }: EngineModel, hashes: Float64Array, most = hashes.length): number {
  let low = 0
  let high = Math.min(most, hashes.length)
  while (low < high) {
    const middle = (low + high) >>> 1
    if (cache.find(hashes[middle]!) >= 0) low = middle + 1
    else high = middle
  }
  return low
}
