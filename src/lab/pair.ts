import type { EngineSettings } from '#sim/model/engine-settings.ts'
import type { Placed } from './arm.ts'
import type { Arrival, Placement } from './virtual-fleet.ts'

/** A request as the decode engine gets it when a prefill engine holds the KV of its whole prompt. */
export function decodingArrival(arrival: Arrival): Arrival {
  const { request } = arrival
  return { ...arrival, request: { ...request, remoteTokens: request.promptTokens } }
}

/**
 * A request that two engines have served, as its client sees it: all tokens are those of the decode engine, since the token of
 * the prefill engine reaches nobody (model-servers.md 1.1.6). What was cached is what the prefill engine had no need to compute.
 */
export function wholeOf(prefill: Placed, { endpoint, call }: Placed): Placed {
  const { cachedTokens, preemptions, arrivedMs, admittedMs } = prefill.call
  const { phase, producedTokens, firstTokenMs, lastTokenMs } = call
  const { request, number } = prefill.call
  const counts = { number, phase, producedTokens, cachedTokens, preemptions: preemptions + call.preemptions }
  return {
    arrival: prefill.arrival,
    endpoint: prefill.endpoint,
    decodeEndpoint: endpoint,
    call: { request, ...counts, arrivedMs, admittedMs, firstTokenMs, lastTokenMs },
  }
}

/** Fewest requests in flight among the engines that decode; among equals the next one after the one picked last. */
export function leastDecoding(): Placement {
  let last = -1
  return (arrival, fleet) => {
    const { engines, inFlight } = fleet
    let best = -1
    for (let turn = 1; turn <= engines.length; turn++) {
      const i = (last + turn) % engines.length
      if (fleet.mayDecode(i, arrival) && (best < 0 || inFlight[i]! < inFlight[best]!)) best = i
    }
    if (best >= 0) last = best
    return best
  }
}

/** Indexes of the engines that do the same part of the work: all of them, or those that prefill and those that decode. */
export function sidesOf(roles: readonly Pick<EngineSettings, 'role'>[]): readonly (readonly number[])[] {
  const all = Array.from(roles.keys())
  if (roles.every(({ role }) => role === 'both')) return [all]
  return [all.filter((i) => roles[i]?.role !== 'decode'), all.filter((i) => roles[i]?.role !== 'prefill')]
}

/** The greatest of some counts against their mean, on the side where that is most; NaN when all counts are 0. */
export function maxOverMean(counts: ArrayLike<number>, sides: readonly (readonly number[])[]): number {
  let worst = Number.NaN
  for (const side of sides) {
    let most = 0
    let total = 0
    for (const i of side) {
      most = Math.max(most, counts[i]!)
      total += counts[i]!
    }
    if (total === 0) continue
    const ratio = (most * side.length) / total
    worst = Number.isNaN(worst) ? ratio : Math.max(worst, ratio)
  }
  return worst
}
