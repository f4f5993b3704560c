import type { Candidates } from '#contracts/schedule.ts'
import { health } from '#core/endpoint.ts'
import type { EndpointTable } from '#datastore/endpoint-table.ts'

/** The endpoints that a decision would have picked next, best first: a few at most. */
export interface Ranking {
  readonly slots: readonly number[]
  /** Requests of this gateway that were at each of them then. */
  readonly inFlight: readonly number[]
}

/** A ranking of nobody. */
export const noRanking: Ranking = { slots: [], inFlight: [] }

/** How long a ranking is good for further tries, ms: less than the time between two reports of an engine. */
const rankingHoldsMs = 100

/** An endpoint that has got more requests than so many since it was ranked may no longer be the next best. */
const mostNewRequests = 1

/**
 * Ranks those that were not picked, three at most: first all that `tolerance` (contracts/schedule.ts `Picker`) makes as good as
 * the best of them, those with fewer requests before the others, then by their totals. Equals stand in the order in which they
 * come after the one picked, so that no position is favoured where equals are picked by chance.
 */
export function rankNext(
  { slots, count, loads }: Candidates,
  totals: Float64Array,
  picked: number,
  tolerance = 0,
): Ranking {
  if (count < 2) return noRanking
  const near = nearBest(totals, count, picked, tolerance)
  const { inFlight } = loads
  const isBefore = (one: number, other: number): boolean => {
    const total = totals[one]!
    const otherTotal = totals[other]!
    if (total !== otherTotal && !(total >= near && otherTotal >= near)) return total > otherTotal
    return inFlight[slots[one]!]! < inFlight[slots[other]!]!
  }
  let first = -1
  let second = -1
  let third = -1
  for (let step = 1; step < count; step++) {
    const i = picked + step < count ? picked + step : picked + step - count
    if (third >= 0 && !isBefore(i, third)) continue
    if (first < 0 || isBefore(i, first)) {
      third = second
      second = first
      first = i
    } else if (second < 0 || isBefore(i, second)) {
      third = second
      second = i
    } else third = i
  }
  const ranked = [slots[first]!]
  if (second >= 0) ranked.push(slots[second]!)
  if (third >= 0) ranked.push(slots[third]!)
  return { slots: ranked, inFlight: ranked.map((slot) => inFlight[slot]!) }
}

/** From which total on those that were not picked are as good as the best of them. */
function nearBest(totals: Float64Array, count: number, picked: number, tolerance: number): number {
  let greatest = Number.NEGATIVE_INFINITY
  for (let i = 0; i < count; i++) if (i !== picked && totals[i]! > greatest) greatest = totals[i]!
  return greatest > 0 ? greatest / (1 + tolerance) : greatest
}

/**
 * Position in a ranking of the first endpoint that is still what it was `ageMs` ago: one of the candidates, ready, in service,
 * and with hardly a request more. -1 when there is none, or when it has been too long.
 */
export function firstUnchanged(
  { slots: ranked, inFlight }: Ranking,
  ageMs: number,
  { slots, count }: Candidates,
  table: EndpointTable,
): number {
  if (!(ageMs <= rankingHoldsMs)) return -1
  for (let position = 0; position < ranked.length; position++) {
    const slot = ranked[position]!
    if (table.health[slot] === health.unready || table.ejected[slot] !== 0) continue
    if (table.inFlight[slot]! - inFlight[position]! > mostNewRequests) continue
    for (let i = 0; i < count; i++) if (slots[i] === slot) return position
  }
  return -1
}

/** What is left of a ranking behind a position. */
export function rankingBehind({ slots, inFlight }: Ranking, position: number): Ranking {
  return { slots: slots.slice(position + 1), inFlight: inFlight.slice(position + 1) }
}
