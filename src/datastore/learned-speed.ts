import type { EndpointTable } from './endpoint-table.ts'

/** Below so many tokens ahead the time to first token is mostly other things than prefill. */
const leastWorkTokens = 512

/** What passes before and after the prefill of any request: front end, the step under way; milliseconds. */
const overheadMs = 20

/** Gain of one observation, in the logarithm (routing-algorithms.md 5.5). */
const gain = 0.03

/** An observation counts as at most this many times the average, and at least its inverse 5. */
const mostTimes = 6
const leastTimes = 0.2

/**
 * Learns how long an endpoint takes to compute one prompt token (`prefillUs`) from the time to first token of a request that
 * had `workTokens` to wait for, its own included. Moves in the logarithm and clips what is far off, so that single requests that
 * waited for other reasons do not count for much. Observations that say nothing of prefill are ignored.
 */
export function learnPrefill(table: EndpointTable, slot: number, workTokens: number, ttftMs: number): void {
  if (workTokens < leastWorkTokens || !(ttftMs > overheadMs && ttftMs < Number.POSITIVE_INFINITY)) return
  const observedUs = ((ttftMs - overheadMs) * 1000) / workTokens
  const averageUs = table.prefillUs[slot] ?? Number.NaN
  if (Number.isNaN(averageUs)) table.prefillUs[slot] = observedUs
  else {
    const times = Math.min(mostTimes, Math.max(leastTimes, observedUs / averageUs))
    table.prefillUs[slot] = averageUs * times ** gain
  }
}
