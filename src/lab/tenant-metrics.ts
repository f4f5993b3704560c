import type { Placed } from './arm.ts'
import type { Spread } from './run-metrics.ts'
import type { Arrival } from './virtual-fleet.ts'

/** What the requests of one tenant came to. */
export interface TenantMetrics {
  readonly tenant: number
  readonly requests: number
  readonly failures: number
  readonly ttftMs: Spread
  /** Mean over requests of the time each took, against the time it would take alone with nothing cached. */
  readonly slowdown: number
}

/** How evenly a run treated its tenants. */
export interface Fairness {
  /**
   * Jain's index over tenants of the output tokens served while requests arrived, per output token asked for: 1 when all got
   * the same part of what they wanted, 1 / n when one of n got all.
   */
  readonly fairness: number
  /** Slowdown of the worst treated tenant over that of the best. */
  readonly slowdownMaxOverMin: number
  /** By number; a run without tenants has one, 0. */
  readonly tenants: readonly TenantMetrics[]
}

/** What of a run the fairness is computed from. */
export interface TenantRecord {
  readonly placed: readonly Placed[]
  readonly failed: readonly Arrival[]
  /** When the last request had come. */
  readonly endMs: number
  /** Time a request takes alone on an empty engine, in milliseconds. */
  readonly aloneMs: (arrival: Arrival) => number
  readonly spreadOf: (values: readonly number[]) => Spread
}

interface Sums {
  readonly ttftMs: number[]
  slowdowns: number
  failures: number
  servedTokens: number
  askedTokens: number
}

/** Computes how the tenants of a run fared. */
export function fairnessOf({ placed, failed, endMs, aloneMs, spreadOf }: TenantRecord): Fairness {
  const byTenant = new Map<number, Sums>()
  const sumsOf = ({ tenant = 0 }: Arrival): Sums => {
    const sums = byTenant.get(tenant) ?? { ttftMs: [], slowdowns: 0, failures: 0, servedTokens: 0, askedTokens: 0 }
    byTenant.set(tenant, sums)
    return sums
  }
  for (const { arrival, call } of placed) {
    const sums = sumsOf(arrival)
    sums.ttftMs.push(call.firstTokenMs - arrival.atMs)
    sums.slowdowns += (call.lastTokenMs - arrival.atMs) / aloneMs(arrival)
    sums.askedTokens += arrival.request.outputTokens
    sums.servedTokens += arrival.request.outputTokens * partBefore(endMs, call.firstTokenMs, call.lastTokenMs)
  }
  for (const arrival of failed) {
    const sums = sumsOf(arrival)
    sums.failures++
    sums.askedTokens += arrival.request.outputTokens
  }
  const tenants = [...byTenant]
    .toSorted(([a], [b]) => a - b)
    .map(([tenant, { ttftMs, slowdowns, failures }]) => ({
      tenant,
      requests: ttftMs.length,
      failures,
      ttftMs: spreadOf(ttftMs),
      slowdown: slowdowns / ttftMs.length,
    }))
  const slowdowns = tenants.map(({ slowdown }) => slowdown)
  return {
    fairness: jain([...byTenant.values()].map(({ servedTokens, askedTokens }) => servedTokens / askedTokens)),
    slowdownMaxOverMin: Math.max(...slowdowns) / Math.min(...slowdowns),
    tenants,
  }
}

/** Part of the tokens that came before a time, taken to come evenly from the first to the last. */
function partBefore(atMs: number, firstMs: number, lastMs: number): number {
  if (lastMs <= atMs) return 1
  return firstMs >= atMs ? 0 : (atMs - firstMs) / (lastMs - firstMs)
}

/** Jain's fairness index of shares; 1 of none, or of all 0. */
export function jain(shares: readonly number[]): number {
  const sum = shares.reduce((total, share) => total + share, 0)
  const squares = shares.reduce((total, share) => total + share * share, 0)
  return squares === 0 ? 1 : (sum * sum) / (shares.length * squares)
}
