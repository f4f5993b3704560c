import type { EjectionPlan } from '#config/snapshot.ts'
import type { Placement } from '#contracts/schedule.ts'
import type { HeaderList } from '#core/header-list.ts'
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
import { type HeldPrompt, hold, letGo, settleHeldPrompt } from './held-leases.ts'
import { learnPrefill } from './learned-speed.ts'

/** A longer prompt counts as this long, so that the sum over an endpoint's requests stays within 32 bits. */
const maxPromptTokens = 1024 * 1024

/** Weight of a new observation in the moving averages: about the last twenty requests count. */
const observationWeight = 0.1

/** No engine makes 10,000 tokens a second for one request: in less time each they were kept back and came together. */
const leastTpotMs = 0.1

/** An average older than this says nothing of now: the next observation replaces it. */
const averageLifetimeMs = 60_000

/** A row of the endpoint table and the generation in which it belongs to an endpoint: an EndpointPlan is one. */
export interface TableRow {
  readonly slot: number
  readonly generation: number
}

/** What a request brings to its endpoint. */
export interface LeaseAsk {
  readonly promptTokens: number
  /** Those of the prompt that the endpoint has to compute, as far as known. */
  readonly uncachedTokens: number
  /** Hears how the request fares there. */
  readonly placement?: Placement | undefined
}

/**
 * Reserves an endpoint for one request: it counts as in flight from now on, for all threads. `policy` is that of its
 * model server.
 */
export function acquire(table: EndpointTable, row: TableRow, ask: LeaseAsk, policy: EjectionPlan): Lease {
  return new Lease(table, row, ask, policy)
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
  #isPrefilling: boolean
  readonly #prompt: HeldPrompt
  /** Tokens to compute before the first one of this request: those ahead of it and its own. */
  readonly #workTokens: number
  readonly #placement: Placement | undefined
  #hasEnded = false
  #outputTokens = Number.NaN
  #firstByteAtMs = 0
  /** The endpoint was ejected when the request went there: what comes of it decides whether it returns. */
  readonly #wasEjected: boolean
  #isProbe = false
  /** The request has left the endpoint, but it is not known yet who is to blame. */
  #isSuspended = false

  constructor(table: EndpointTable, { slot, generation }: TableRow, ask: LeaseAsk, policy: EjectionPlan) {
    this.#table = table
    this.#slot = slot
    this.#generation = generation
    this.#policy = policy
    const uncachedTokens = Math.min(ask.uncachedTokens, maxPromptTokens)
    this.#prompt = { uncachedTokens, contextTokens: Math.min(ask.promptTokens, maxPromptTokens) }
    this.#placement = ask.placement
    this.#isOpen = this.#isCurrent()
    this.#isPrefilling = this.#isOpen
    this.#wasEjected = this.#isOpen && Atomics.load(table.ejected, slot) !== 0
    this.#workTokens = uncachedTokens + (table.uncachedTokens[slot] ?? 0)
    if (!this.#isOpen) return
    Atomics.add(table.inFlight, slot, 1)
    Atomics.add(table.prefilling, slot, 1)
    Atomics.add(table.uncachedTokens, slot, uncachedTokens)
    Atomics.add(table.contextTokens, slot, this.#prompt.contextTokens)
    hold(table.held, slot, generation, this.#prompt)
  }

  /** Headers that plug-ins give to the client with the answer. */
  get replyHeaders(): HeaderList | undefined {
    return this.#placement?.replyHeaders
  }

  /** The engine has begun to answer: its prompt is no longer ahead of others. Counts once. */
  firstByte(nowMs: number): void {
    if (this.#firstByteAtMs === 0) {
      this.#firstByteAtMs = nowMs
      if (!this.#hasEnded) this.#placement?.firstToken?.(nowMs)
    }
    if (this.#isOpen && this.#isCurrent()) this.#settlePrompt()
  }

  /** The request is no longer on the endpoint, however it ended. Counts once. A probe without a verdict is over. */
  release(): void {
    if (!this.#isSuspended) this.#endProbe()
    this.#endPlacement()
    if (!this.#isOpen) return
    this.#isOpen = false
    if (!this.#isCurrent()) return
    this.#settlePrompt()
    Atomics.sub(this.#table.inFlight, this.#slot, 1)
    Atomics.sub(this.#table.contextTokens, this.#slot, this.#prompt.contextTokens)
    letGo(this.#table.held, this.#slot, this.#prompt)
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
    if (this.#isCurrent()) learnPrefill(this.#table, this.#slot, this.#workTokens, ttftMs)
  }

  /** Takes a time per output token into the endpoint's average. Not finite or below 0.1: ignored. */
  observeTpot(tpotMs: number): void {
    if (tpotMs >= leastTpotMs) this.#observe(this.#table.tpotMs, tpotMs)
  }

  /** How many output tokens came; for those who hear of the placement. */
  observeOutput(tokens: number): void {
    this.#outputTokens = tokens
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
    if (!this.#isPrefilling) return
    this.#isPrefilling = false
    Atomics.sub(this.#table.prefilling, this.#slot, 1)
    Atomics.sub(this.#table.uncachedTokens, this.#slot, this.#prompt.uncachedTokens)
    settleHeldPrompt(this.#table.held, this.#slot, this.#prompt)
  }

  #endPlacement(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#placement?.ended({ isAnswered: this.#firstByteAtMs > 0, outputTokens: this.#outputTokens })
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
