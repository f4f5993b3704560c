import type { EngineCall } from './engine-request.ts'

/** One step that has ended. `decodes` requests computed one token each, `chunkTokens` are those of prefill chunks. */
export interface EngineStep {
  readonly startMs: number
  readonly endMs: number
  readonly decodes: number
  readonly chunkTokens: number
}

/**
 * What hears about an engine's work, in the order it happens, while the engine advances. On a first token, a token and an end it
 * may submit requests to the engine, for the time it is told or a later one. It must do nothing else to the engine.
 */
export interface EngineObserver {
  /** It runs from the step that begins now; again after each preemption. */
  onAdmitted?(call: EngineCall, atMs: number): void
  onFirstToken?(call: EngineCall, atMs: number): void
  /** After each token, the first included. An engine with this method steps one by one, which costs time. */
  onToken?(call: EngineCall, atMs: number): void
  /** After its last token; it is then `finished` or `held`. */
  onFinished?(call: EngineCall, atMs: number): void
  onPreempted?(call: EngineCall, atMs: number): void
  /** After each step, and after what it ended has been told. */
  onStep?(step: EngineStep): void
  /**
   * Full blocks `firstBlock` to `firstBlock + count - 1` of its sequence can be found from now on; their hashes are those of the
   * request. A hash may be announced again while it is known.
   */
  onBlocksStored?(call: EngineCall, firstBlock: number, count: number, atMs: number): void
  /** A block with this hash gave way; another block may still have the same hash. */
  onBlockRemoved?(hash: number, atMs: number): void
  /** All blocks that nobody uses were forgotten. With this method their single removals are not told. */
  onCacheCleared?(atMs: number): void
}

/** What has happened in an engine since its start. */
export interface EngineCounters {
  submitted: number
  finished: number
  cancelled: number
  preemptions: number
  steps: number
  /** Time spent in steps. */
  busyMs: number
  /** Prompt tokens of requests at their first admission, and how many of those were cached. */
  queriedTokens: number
  cachedTokens: number
  /** Tokens fetched from prefill engines. */
  fetchedTokens: number
  /** Tokens computed in prefill chunks, recomputed ones included. */
  chunkTokens: number
  /** Tokens computed one by one. */
  decodedTokens: number
  /** Output tokens made. */
  generatedTokens: number
  adapterLoads: number
}

export function newCounters(): EngineCounters {
  return {
    submitted: 0,
    finished: 0,
    cancelled: 0,
    preemptions: 0,
    steps: 0,
    busyMs: 0,
    queriedTokens: 0,
    cachedTokens: 0,
    fetchedTokens: 0,
    chunkTokens: 0,
    decodedTokens: 0,
    generatedTokens: 0,
    adapterLoads: 0,
  }
}
