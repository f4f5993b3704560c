/** One generation, as the scheduler of an engine sees it: tokens are numbers, text is elsewhere. */
export interface EngineRequest {
  /** At least 1. */
  readonly promptTokens: number
  /** Tokens it will make; the model knows it from the start, the simulated scheduler does not use it. 0 only reads the prompt. */
  readonly outputTokens: number
  /**
   * Chained hashes (block-hash.ts) of the full blocks of prompt and output at the engine's block size. Blocks beyond the end of
   * the array are not shared and not announced, so an empty one is a request without prefix caching.
   */
  readonly blockHashes: Float64Array
  /** Lower goes first; read only by engines that schedule by priority. */
  readonly priority?: number
  /** A number the caller chose for the adapter, or -1 for the base model. */
  readonly adapter?: number
  /** Leading prompt tokens whose KV a prefill engine holds: they are fetched instead of computed. */
  readonly remoteTokens?: number
  /** Keeps its blocks after its end until {@link EngineModel.releaseHeld}, as a prefill engine does for every request. */
  readonly holdsBlocks?: boolean
}

/**
 * Where a request is: `arriving` in the front end, `waiting` for the scheduler (also while its KV is fetched), `running`, `held`
 * (done, its blocks kept for a decoding engine), `finished`, or `cancelled`.
 */
export type CallPhase = 'arriving' | 'waiting' | 'running' | 'held' | 'finished' | 'cancelled'

/** One request's place in an engine; belongs to the engine, read by the caller. Times are NaN until reached. */
export interface EngineCall {
  readonly request: EngineRequest
  /** Counts the requests of this engine, from 0. */
  readonly number: number
  readonly phase: CallPhase
  /** Output tokens made so far. */
  readonly producedTokens: number
  /** Prompt tokens found in the cache when it was first admitted. */
  readonly cachedTokens: number
  readonly preemptions: number
  readonly arrivedMs: number
  readonly admittedMs: number
  readonly firstTokenMs: number
  readonly lastTokenMs: number
}

/** An {@link EngineCall} with what the scheduler keeps about it. */
export interface Seat extends EngineCall {
  phase: CallPhase
  producedTokens: number
  cachedTokens: number
  preemptions: number
  admittedMs: number
  firstTokenMs: number
  lastTokenMs: number
  readonly priority: number
  readonly adapter: number
  /** Output tokens after which it ends; 1 on a prefill engine. */
  readonly outputTokens: number
  readonly holdsBlocks: boolean
  /** Prompt and output tokens that exist. */
  known: number
  /** Leading known tokens whose KV is computed. */
  computed: number
  /** Tokens the step under way computes for it. */
  scheduled: number
  /** Steps that begin before this time compute nothing for it; infinite when it is frozen. */
  idleUntilMs: number
  /** Its blocks are `blocks[0]` to `blocks[blockCount - 1]`. */
  blocks: Int32Array
  blockCount: number
  /** Leading tokens still to be fetched from a prefill engine; 0 after they have come or were lost. */
  remoteTokens: number
  /** When the fetch under way ends; NaN when there is none. */
  fetchedMs: number
  /** When it reaches the scheduler; while held, when the hold ends. */
  dueMs: number
}

/** What a seat is made from besides the request. */
export interface SeatStart {
  readonly number: number
  readonly arrivedMs: number
  readonly dueMs: number
  readonly isPrefillOnly: boolean
}

const noBlocks = new Int32Array(0)

/** A seat for a request that has just come. */
export function seatOf(request: EngineRequest, start: SeatStart): Seat {
  const { isPrefillOnly } = start
  return {
    request,
    number: start.number,
    phase: 'arriving',
    producedTokens: 0,
    cachedTokens: 0,
    preemptions: 0,
    arrivedMs: start.arrivedMs,
    admittedMs: Number.NaN,
    firstTokenMs: Number.NaN,
    lastTokenMs: Number.NaN,
    priority: request.priority ?? 0,
    adapter: request.adapter ?? -1,
    outputTokens: isPrefillOnly ? Math.min(1, request.outputTokens) : request.outputTokens,
    holdsBlocks: isPrefillOnly || request.holdsBlocks === true,
    known: request.promptTokens,
    computed: 0,
    scheduled: 0,
    idleUntilMs: Number.NEGATIVE_INFINITY,
    blocks: noBlocks,
    blockCount: 0,
    remoteTokens: isPrefillOnly ? 0 : (request.remoteTokens ?? 0),
    fetchedMs: Number.NaN,
    dueMs: start.dueMs,
  }
}
