import type { Candidates } from '#contracts/schedule.ts'
import type { Rng } from '#core/clock.ts'
import { slowStartShare } from '#datastore/breaker.ts'
import type { EndpointTable } from '#datastore/endpoint-table.ts'

/** What slow start depends on. */
export interface SlowStartPorts {
  readonly table: EndpointTable
  readonly slowStartMs: number
  readonly nowMs: number
  readonly rng: Rng
}

/**
 * Takes endpoints that have just come back out of most decisions, so that an engine with empty caches is not given all
 * at once what it missed. With share s (breaker.ts `slowStartShare`) such an endpoint takes part in s of the decisions,
 * and only while it has less than s times as many requests as the others have on average: the first alone would not hold
 * where the picker prefers the idlest, the second alone not where there is little load. So it works with every picker.
 *
 * Does nothing when more than half of the candidates are new, because the few others could not carry their share.
 * Returns whether it took any out.
 */
export function thinSlowStarters(candidates: Candidates, ports: SlowStartPorts): boolean {
  const { table, slowStartMs, nowMs, rng } = ports
  const { slots, count } = candidates
  if (slowStartMs === 0 || count < 2) return false
  let starters = 0
  let inFlight = 0
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!
    if (slowStartShare(table, slot, nowMs, slowStartMs) < 1) starters++
    else inFlight += Atomics.load(table.inFlight, slot)
  }
  if (starters === 0 || starters * 2 > count) return false
  const mean = inFlight / (count - starters)
  let kept = 0
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!
    const share = slowStartShare(table, slot, nowMs, slowStartMs)
    const isIn = share >= 1 || (rng() < share && Atomics.load(table.inFlight, slot) < Math.max(1, share * mean))
    if (isIn) slots[kept++] = slot
  }
  // Another thread may have brought the others back since they were counted.
  if (kept === 0) return false
  candidates.count = kept
  return kept < count
}

/** Whether any of the candidates ever came back: until then there is nothing to thin out. */
export function anyReturned({ slots, count }: Candidates, { returnedAtMs }: EndpointTable): boolean {
  for (let i = 0; i < count; i++) if (returnedAtMs[slots[i]!] !== 0) return true
  return false
}
