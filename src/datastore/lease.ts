import type { EjectionPlan } from '#config/snapshot.ts'
import {
  anyClient,
  claimProbe,
  closeBreaker,
  countFailure,
  countSuccess,
  type Failure,
  freeProbe,
  reopenBreaker,
} from './breaker.ts'
import type { EndpointTable } from './endpoint-table.ts'
import { hold, letGo, settleHeldPrompt } from './held-leases.ts'

/** A longer prompt counts as this long, so that the sum over an endpoint's requests stays within 32 bits. */
const maxPromptBytes = 4 * 1024 * 1024

/** Weight of a new observation in the moving averages: about the last twenty requests count. */
const observationWeight = 0.1

/** An average older than this says nothing of now: the next observation replaces it. */
const averageLifetimeMs = 60_000

/** A row of the endpoint table and the generation in which it belongs to an endpoint: an EndpointPlan is one. */
export interface TableRow {
  readonly slot: number
  readonly generation: number
}

/**
 * Reserves an endpoint for one request: it counts as in flight from now on, for all threads. `policy` is that of its
 * model server.
 */
export function acquire(table: EndpointTable, row: TableRow, promptBytes: number, policy: EjectionPlan): Lease {
  return new Lease(table, row, promptBytes, policy)
}

/** Requests now on endpoints, all threads together: 0 when nothing is under way and no lease has leaked. */
export function openLeases(table: EndpointTable): number {
  let open = 0
  for (let slot = 0; slot < table.inFlight.length; slot++) open += Atomics.load(table.inFlight, slot)
  return open
}

/**
 * One request's reservation of one endpoint, and the way by which what is seen of that request gets into the table.
 * Made by `acquire`, released by whoever ends the request. When the row has gone to another endpoint in the meantime,
 * everything here does nothing.
 */
export class Lease {
  readonly #table: EndpointTable
  readonly #slot: number
  readonly #generation: number
  readonly #policy: EjectionPlan
  #isOpen: boolean
  #pendingBytes: number
  #firstByteAtMs = 0
  /** The endpoint was ejected when the request went there: what comes of it decides whether it returns. */
  readonly #wasEjected: boolean
  #isProbe = false
  /** The request has left the endpoint, but it is not known yet who is to blame. */
  #isSuspended = false

  constructor(table: EndpointTable, { slot, generation }: TableRow, promptBytes: number, policy: EjectionPlan) {
    this.#table = table
    this.#slot = slot
    this.#generation = generation
    this.#policy = policy
    this.#pendingBytes = Math.min(promptBytes, maxPromptBytes)
    this.#isOpen = this.#isCurrent()
    this.#wasEjected = this.#isOpen && Atomics.load(table.ejected, slot) !== 0
    if (!this.#isOpen) return
    Atomics.add(table.inFlight, slot, 1)
    Atomics.add(table.pendingPromptBytes, slot, this.#pendingBytes)
    hold(table.held, slot, generation, this.#pendingBytes)
  }

  /** The engine has begun to answer: its prompt is no longer ahead of others. Counts once. */
  firstByte(nowMs: number): void {
    if (this.#firstByteAtMs === 0) this.#firstByteAtMs = nowMs
    if (this.#isOpen && this.#isCurrent()) this.#settlePrompt()
  }

  /** The request is no longer on the endpoint, however it ended. Counts once. A probe without a verdict is over. */
  release(): void {
    if (!this.#isSuspended) this.#endProbe()
    if (!this.#isOpen) return
    this.#isOpen = false
    if (!this.#isCurrent()) return
    this.#settlePrompt()
    Atomics.sub(this.#table.inFlight, this.#slot, 1)
    letGo(this.#table.held, this.#slot)
  }

  /** Makes this request the probe of an ejected endpoint; false when another one is, on whatever thread. */
  claimProbe(): boolean {
    this.#isProbe = this.#isCurrent() && claimProbe(this.#table, this.#slot)
    return this.#isProbe
  }

  /** The endpoint has begun an answer as it should: enough to end an ejection, not to forgive failures. */
  answered(nowMs: number): void {
    if (this.#wasEjected && this.#isCurrent()) closeBreaker(this.#table, this.#slot, nowMs)
    this.#endProbe()
  }

  /** The endpoint has answered as it should, to the end: failures before this one are forgiven. */
  succeeded(nowMs: number): void {
    this.answered(nowMs)
    if (this.#isCurrent()) countSuccess(this.#table, this.#slot, this.#policy, nowMs)
  }

  /**
   * The endpoint failed: no connection, a reset, a timeout, or a 5xx that says it is not able to serve. `client` is the
   * hash of who asked (breaker.ts `clientHash`) when the request itself may be to blame; `isSilent`: it was a timeout.
   * May be said after the release.
   */
  failed(nowMs: number, client: number = anyClient, isSilent = false): void {
    this.#fail({ nowMs, client, inStreak: true, isSilent })
  }

  /** The endpoint answered 500: mostly the request's own doing, so it never makes a streak. */
  answeredBadly(nowMs: number, client: number): void {
    this.#fail({ nowMs, client, inStreak: false, isSilent: false })
  }

  /**
   * Something went wrong, and the next try of the same request will show whether it was the endpoint: `failed` or
   * `acquitted` follows. Until then a probe stays the only one, released or not.
   */
  suspended(): void {
    this.#isSuspended = true
  }

  /** It was not the endpoint. */
  acquitted(): void {
    this.#endProbe()
  }

  /** The endpoint asked to be left alone until then (Clock.nowMs). A longer rest stays. */
  rest(untilMs: number): void {
    const { restUntilMs } = this.#table
    if (this.#isCurrent() && untilMs > (restUntilMs[this.#slot] ?? 0)) restUntilMs[this.#slot] = untilMs
  }

  /** Takes a time to first byte into the endpoint's average. Not finite or negative: ignored. */
  observeTtft(ttftMs: number): void {
    this.#observe(this.#table.ttftMs, ttftMs)
  }

  /** Takes a time per output token into the endpoint's average. Not finite or negative: ignored. */
  observeTpot(tpotMs: number): void {
    this.#observe(this.#table.tpotMs, tpotMs)
  }

  /**
   * Failures of requests that were under way when an ejection began do not lengthen it, and of those that went to an
   * ejected endpoint for want of another only the probe's does.
   */
  #fail(failure: Failure): void {
    const table = this.#table
    const slot = this.#slot
    if (this.#isCurrent()) {
      if (this.#isProbe) reopenBreaker(table, slot, this.#policy, failure.nowMs)
      else if (Atomics.load(table.ejected, slot) === 0) {
        countFailure(table, slot, this.#policy, failure)
      }
    }
    this.#endProbe()
  }

  #endProbe(): void {
    this.#isSuspended = false
    if (!this.#isProbe) return
    this.#isProbe = false
    if (this.#isCurrent()) freeProbe(this.#table, this.#slot)
  }

  #isCurrent(): boolean {
    return Atomics.load(this.#table.generation, this.#slot) === this.#generation
  }

  #settlePrompt(): void {
    if (this.#pendingBytes === 0) return
    Atomics.sub(this.#table.pendingPromptBytes, this.#slot, this.#pendingBytes)
    settleHeldPrompt(this.#table.held, this.#slot, this.#pendingBytes)
    this.#pendingBytes = 0
  }

  /** Two threads may overwrite each other's observation: an average bears that. */
  #observe(column: Float64Array, observedMs: number): void {
    if (!(observedMs >= 0 && observedMs < Number.POSITIVE_INFINITY) || !this.#isCurrent()) return
    const { ttftMs, tpotMs, observedAtMs } = this.#table
    const slot = this.#slot
    const ageMs = this.#firstByteAtMs - (observedAtMs[slot] ?? 0)
    if (ageMs >= averageLifetimeMs) ttftMs[slot] = tpotMs[slot] = Number.NaN
    if (ageMs > 0) observedAtMs[slot] = this.#firstByteAtMs
    const average = column[slot] ?? Number.NaN
    column[slot] = Number.isNaN(average) ? observedMs : average + observationWeight * (observedMs - average)
  }
}
