import type { EndpointTable } from './endpoint-table.ts'

/** A longer prompt counts as this long, so that the sum over an endpoint's requests stays within 32 bits. */
const maxPromptBytes = 4 * 1024 * 1024

/** Failures in a row after which an endpoint rests. */
const failuresBeforeRest = 3
const firstRestMs = 1000
const maxRestMs = 30_000

/** Weight of a new observation in the moving averages: about the last twenty requests count. */
const observationWeight = 0.1

/** An average older than this says nothing of now: the next observation replaces it. */
const averageLifetimeMs = 60_000

/** Reserves an endpoint for one request: it counts as in flight from now on, for all threads. */
export function acquire(table: EndpointTable, slot: number, generation: number, promptBytes: number): Lease {
  return new Lease(table, slot, generation, promptBytes)
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
  #isOpen: boolean
  #pendingBytes: number
  #firstByteAtMs = 0

  constructor(table: EndpointTable, slot: number, generation: number, promptBytes: number) {
    this.#table = table
    this.#slot = slot
    this.#generation = generation
    this.#pendingBytes = Math.min(promptBytes, maxPromptBytes)
    this.#isOpen = this.#isCurrent()
    if (!this.#isOpen) return
    Atomics.add(table.inFlight, slot, 1)
    Atomics.add(table.pendingPromptBytes, slot, this.#pendingBytes)
  }

  /** The engine has begun to answer: its prompt is no longer ahead of others. Counts once. */
  firstByte(nowMs: number): void {
    if (this.#firstByteAtMs === 0) this.#firstByteAtMs = nowMs
    if (this.#isOpen && this.#isCurrent()) this.#settlePrompt()
  }

  /** The request is no longer on the endpoint, however it ended. Counts once. */
  release(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    if (!this.#isCurrent()) return
    this.#settlePrompt()
    Atomics.sub(this.#table.inFlight, this.#slot, 1)
  }

  /** The endpoint answered as it should: failures before this one are forgiven. */
  succeeded(): void {
    if (!this.#isCurrent() || this.#table.consecutiveErrors[this.#slot] === 0) return
    Atomics.store(this.#table.consecutiveErrors, this.#slot, 0)
  }

  /**
   * The endpoint failed: no connection, a reset, a timeout, or a 5xx that says it is not able to serve. After three in
   * a row it rests for 1 s, and for twice as long with each failure that follows a rest, 30 s at most. Failures of
   * requests that were under way when the rest began do not lengthen it.
   */
  failed(nowMs: number): void {
    const { consecutiveErrors, restUntilMs } = this.#table
    if (!this.#isCurrent() || nowMs < (restUntilMs[this.#slot] ?? 0)) return
    const beyond = Atomics.add(consecutiveErrors, this.#slot, 1) + 1 - failuresBeforeRest
    if (beyond >= 0) this.rest(nowMs + Math.min(maxRestMs, firstRestMs * 2 ** beyond))
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

  #isCurrent(): boolean {
    return Atomics.load(this.#table.generation, this.#slot) === this.#generation
  }

  #settlePrompt(): void {
    if (this.#pendingBytes === 0) return
    Atomics.sub(this.#table.pendingPromptBytes, this.#slot, this.#pendingBytes)
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
