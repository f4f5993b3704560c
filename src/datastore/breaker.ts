import type { EjectionPlan } from '#config/snapshot.ts'
import { health } from '#core/endpoint.ts'
import type { EndpointTable } from './endpoint-table.ts'

/**
 * The breaker of one endpoint, kept in its row of the endpoint table and worked on by all threads at once:
 *
 *     closed -- failures --> ejected -- time is over --> half-open -- probe succeeds --> closed, slow start
 *                               ^                            |
 *                               +------- probe fails --------+   (twice as long as before)
 *
 * A probe is a request of a client: the next one that comes. `ejected` and `probe` change by compare-and-swap, so that
 * one thread makes each transition; the counts are added to without one, and a count lost between two threads only
 * makes a decision a request later. A breaker never keeps requests from the last endpoint: when all are ejected all
 * serve (plugins/filter/usable.ts), and a request that succeeds on one closes its breaker.
 */

/** Where a breaker stands, for people. */
export type BreakerState = 'closed' | 'slow-start' | 'ejected' | 'half-open'

/** Stands for a failure that is not one client's doing: no connection, or one that another endpoint did not repeat. */
export const anyClient = -1

/** Share of its picks that an endpoint gets when it has just returned; grows to all of them. */
const firstShare = 0.1

/** Longest ejection is `baseMs * 2^maxLevel`, whatever `maxMs` says. */
const maxLevel = 20

/**
 * A streak of so many times `failures` ejects a silent endpoint although all of it is one client's: a lone client is the
 * usual case behind an application, and each of its requests waits for the whole timeout.
 */
const loneStreaks = 3

/** Something that went wrong with a request on an endpoint. */
export interface Failure {
  readonly nowMs: number
  /** `clientHash` of who asked when the request itself may be to blame; else `anyClient`. */
  readonly client: number
  /** False for what says nothing of an endpoint's own state (a 500): it counts in the ratio only. */
  readonly inStreak: boolean
  /** True for a timeout: nothing came, and it was not tried elsewhere. */
  readonly isSilent: boolean
}

/**
 * A client's identity as a number: neither 0 nor -1 (FNV-1a). Two clients that share one are taken for one, once in
 * four billion pairs.
 */
export function clientHash(identity: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < identity.length; i++) hash = Math.imul(hash ^ identity.charCodeAt(i), 0x01000193)
  return hash === 0 || hash === anyClient ? 1 : hash
}

/** Where the breaker of an endpoint stands at a moment. */
export function breakerState(table: EndpointTable, slot: number, nowMs: number, slowStartMs: number): BreakerState {
  if (Atomics.load(table.ejected, slot) !== 0) {
    return nowMs < (table.ejectedUntilMs[slot] ?? 0) ? 'ejected' : 'half-open'
  }
  return slowStartShare(table, slot, nowMs, slowStartMs) < 1 ? 'slow-start' : 'closed'
}

/** Share of its picks that an endpoint may have: 1, but for some time after it came back. */
export function slowStartShare(table: EndpointTable, slot: number, nowMs: number, slowStartMs: number): number {
  const returnedAtMs = table.returnedAtMs[slot] ?? 0
  if (returnedAtMs === 0) return 1
  const ageMs = nowMs - returnedAtMs
  return ageMs >= slowStartMs ? 1 : firstShare + (1 - firstShare) * (Math.max(0, ageMs) / slowStartMs)
}

/** Whether an ejected endpoint waits for a probe: its time is over, nobody probes it, and it says nothing against it. */
export function awaitsProbe(table: EndpointTable, slot: number, nowMs: number): boolean {
  return (
    Atomics.load(table.ejected, slot) !== 0 &&
    nowMs >= (table.ejectedUntilMs[slot] ?? 0) &&
    Atomics.load(table.probe, slot) === 0 &&
    Atomics.load(table.health, slot) !== health.unready &&
    nowMs >= (table.restUntilMs[slot] ?? 0)
  )
}

/** Makes a request of this thread the probe of the endpoint, unless another one is. */
export function claimProbe(table: EndpointTable, slot: number): boolean {
  return Atomics.compareExchange(table.probe, slot, 0, table.held.holder) === 0
}

/** The probe of this thread is over. Without a verdict before, the next request is one. */
export function freeProbe(table: EndpointTable, slot: number): void {
  Atomics.compareExchange(table.probe, slot, table.held.holder, 0)
}

/** Frees the probes of a thread that has died, so that the endpoints it probed can be probed by others. */
export function freeProbesOf(table: EndpointTable, holder: number): void {
  for (let slot = 0; slot < table.probe.length; slot++) Atomics.compareExchange(table.probe, slot, holder, 0)
}

/** A request has gone well. */
export function countSuccess(table: EndpointTable, slot: number, policy: EjectionPlan, nowMs: number): void {
  if (Atomics.load(table.consecutiveErrors, slot) !== 0) clearStreak(table, slot)
  if (policy.successRatio === 0) return
  rollWindow(table, slot, policy.windowMs, nowMs)
  Atomics.add(table.goodNow, slot, 1)
}

/**
 * A request has gone wrong. Ejects the endpoint after `failures` in a row, or when fewer than `successRatio` of at least
 * `minRequests` in the window went well; in either case only when the failures are not all of one client, unless the
 * active probe calls the endpoint unready too: whoever sends what no engine can serve must not take it from others.
 * Timeouts of one client make a longer streak.
 */
export function countFailure(table: EndpointTable, slot: number, policy: EjectionPlan, failure: Failure): void {
  const { nowMs, inStreak } = failure
  const client = Atomics.load(table.health, slot) === health.unready ? anyClient : failure.client
  if (inStreak) {
    noteClient(table.streakClient, slot, client)
    const inARow = Atomics.add(table.consecutiveErrors, slot, 1) + 1
    const isProved =
      isOfSeveral(table.streakClient, slot) || (failure.isSilent && inARow >= loneStreaks * policy.failures)
    if (policy.failures > 0 && inARow >= policy.failures && isProved) {
      return eject(table, slot, policy, { nowMs, count: table.ejectionsByStreak })
    }
  }
  if (policy.successRatio === 0) return
  rollWindow(table, slot, policy.windowMs, nowMs)
  noteClient(table.windowClient, slot, client)
  Atomics.add(table.badNow, slot, 1)
  if (isBelowRatio(table, slot, policy) && isOfSeveral(table.windowClient, slot)) {
    eject(table, slot, policy, { nowMs, count: table.ejectionsByRatio })
  }
}

/** A request on an ejected endpoint has gone well: it is back. */
export function closeBreaker(table: EndpointTable, slot: number, nowMs: number): void {
  if (Atomics.load(table.ejected, slot) === 0) return
  clearStreak(table, slot)
  clearWindow(table, slot)
  table.ejectedUntilMs[slot] = 0
  table.returnedAtMs[slot] = nowMs
  Atomics.compareExchange(table.ejected, slot, 1, 0)
}

/** The probe has gone wrong: another ejection, twice as long. The caller frees the probe behind it. */
export function reopenBreaker(table: EndpointTable, slot: number, policy: EjectionPlan, nowMs: number): void {
  if (Atomics.load(table.ejected, slot) === 0) return
  Atomics.add(table.ejectionsByProbe, slot, 1)
  lengthen(table, slot, policy, nowMs)
}

/** The active probe calls an endpoint ready that it called unready before: it starts slowly, and may be tried at once. */
export function endpointReturned(table: EndpointTable, slot: number, nowMs: number): void {
  if (Atomics.load(table.ejected, slot) === 0) table.returnedAtMs[slot] = nowMs
  else table.ejectedUntilMs[slot] = nowMs
}

function eject(
  table: EndpointTable,
  slot: number,
  policy: EjectionPlan,
  { nowMs, count }: { readonly nowMs: number; readonly count: Int32Array },
): void {
  if (Atomics.compareExchange(table.ejected, slot, 0, 1) !== 0) return
  // Each `maxMs` that went by in peace halves the next ejection.
  const peaceMs = nowMs - (table.returnedAtMs[slot] ?? 0)
  const level = Atomics.load(table.ejectionLevel, slot) - Math.floor(peaceMs / policy.maxMs)
  Atomics.store(table.ejectionLevel, slot, Math.max(0, level))
  Atomics.add(count, slot, 1)
  lengthen(table, slot, policy, nowMs)
}

function lengthen(table: EndpointTable, slot: number, { baseMs, maxMs }: EjectionPlan, nowMs: number): void {
  const level = Math.min(maxLevel, Atomics.add(table.ejectionLevel, slot, 1))
  table.ejectedUntilMs[slot] = nowMs + Math.min(maxMs, baseMs * 2 ** level)
  Atomics.store(table.ejectionLevel, slot, Math.min(maxLevel, level + 1))
}

function clearStreak(table: EndpointTable, slot: number): void {
  Atomics.store(table.consecutiveErrors, slot, 0)
  Atomics.store(table.streakClient, slot, 0)
}

function clearWindow(table: EndpointTable, slot: number): void {
  const { goodNow, badNow, goodBefore, badBefore, windowClient } = table
  for (const column of [goodNow, badNow, goodBefore, badBefore, windowClient]) Atomics.store(column, slot, 0)
}

/** Two half windows, so that the window slides without a timer. Their number wraps, which only costs one window. */
function rollWindow(table: EndpointTable, slot: number, windowMs: number, nowMs: number): void {
  const half = Math.floor(nowMs / (windowMs / 2)) | 0
  const seen = Atomics.load(table.windowHalf, slot)
  if (seen === half || Atomics.compareExchange(table.windowHalf, slot, seen, half) !== seen) return
  const isNext = half === ((seen + 1) | 0)
  const good = Atomics.exchange(table.goodNow, slot, 0)
  const bad = Atomics.exchange(table.badNow, slot, 0)
  Atomics.store(table.goodBefore, slot, isNext ? good : 0)
  Atomics.store(table.badBefore, slot, isNext ? bad : 0)
  if (!isNext || bad === 0) Atomics.store(table.windowClient, slot, 0)
}

function isBelowRatio(table: EndpointTable, slot: number, { minRequests, successRatio }: EjectionPlan): boolean {
  const good = Atomics.load(table.goodNow, slot) + Atomics.load(table.goodBefore, slot)
  const all = good + Atomics.load(table.badNow, slot) + Atomics.load(table.badBefore, slot)
  return all >= minRequests && good < successRatio * all
}

function noteClient(column: Int32Array, slot: number, client: number): void {
  const known = Atomics.load(column, slot)
  if (known === client || known === anyClient) return
  Atomics.store(column, slot, known === 0 ? client : anyClient)
}

function isOfSeveral(column: Int32Array, slot: number): boolean {
  return Atomics.load(column, slot) === anyClient
}
