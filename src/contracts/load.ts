/**
 * What is known of every endpoint's load, one row per slot. Columns are typed arrays over shared memory: plug-ins read
 * them by slot and never write. `NaN` means unknown, never zero: an engine that says nothing is not idle.
 */
export interface LoadColumns {
  /** Requests in the engine's batch, as last scraped; NaN when unknown or stale. */
  readonly running: Float64Array
  /** Requests waiting in the engine, as last scraped; NaN when unknown or stale. */
  readonly waiting: Float64Array
  /** KV cache in use, 0..1, as last scraped; NaN when unknown or stale. */
  readonly kvUse: Float64Array
  /** When the values above were received (Clock.nowMs); 0 = never. */
  readonly reportedAtMs: Float64Array
  /**
   * Requests of this gateway that were on the endpoint when the engine counted `running` and `waiting`; NaN when
   * unknown. What the engine counted beyond them came from elsewhere.
   */
  readonly inFlightAtReport: Float64Array
  /** 0 unknown, 1 ready, 2 unready (core/endpoint.ts `health`). */
  readonly health: Int32Array
  /** Requests of this gateway (all threads) that are now on the endpoint. Known without delay. */
  readonly inFlight: Int32Array
  /** Requests of this gateway whose first byte has not come yet. */
  readonly prefilling: Int32Array
  /** Prompt tokens of those requests that their engine has to compute, as far as was known when they were placed. */
  readonly uncachedTokens: Int32Array
  /** Prompt tokens of all requests of this gateway that are now on the endpoint. */
  readonly contextTokens: Int32Array
  /** Observed time to first byte, exponentially weighted, ms; NaN before the first. */
  readonly ttftMs: Float64Array
  /** Observed time per output token, exponentially weighted, ms; NaN before the first. */
  readonly tpotMs: Float64Array
  /** Observed time to compute one prompt token, long prompts only, exponentially weighted, µs; NaN before the first. */
  readonly prefillUs: Float64Array
  /** When an observation last went into `ttftMs` or `tpotMs` (Clock.nowMs); 0 = never. */
  readonly observedAtMs: Float64Array
  /** Failures since the last success. */
  readonly consecutiveErrors: Int32Array
  /** The endpoint asked for no new request before this moment (Clock.nowMs); 0 = it never did. */
  readonly restUntilMs: Float64Array
  /** 1 while the endpoint is ejected after failures, until a probe has succeeded; else 0. */
  readonly ejected: Int32Array
  /** Adapter slots of the engine (vLLM max_lora); NaN when unknown. */
  readonly maxAdapters: Float64Array
  /** Number of adapters in use or loaded, as last scraped; NaN when unknown. */
  readonly adapterCount: Float64Array
  /** Size of one KV block in tokens; NaN when unknown. */
  readonly blockSize: Float64Array
  /** Number of KV blocks; NaN when unknown. */
  readonly blockCount: Float64Array
  /** Whether the adapter with this id (InternedNames) is loaded on the endpoint, as far as known. */
  hasAdapter(slot: number, adapter: number): boolean
}
