import type { Rng } from '#core/clock.ts'
import type { HeaderList } from '#core/header-list.ts'
import type { Body, Span } from '#core/request.ts'
import type { LoadColumns } from './load.ts'

/** What a plug-in may know of a request. */
export interface ScheduleRequest {
  /** The model name the engine will see. */
  readonly model: string
  /** Interned id of the adapter asked for, or -1 for the base model (or when too many names are known). */
  readonly adapter: number
  readonly headers: HeaderList
  /** The body as the client sent it, and where in it the prompt is: for prefix scorers. */
  readonly body: Body
  readonly promptSpans: readonly Span[]
  readonly promptBytes: number
  readonly maxTokens: number | undefined
  readonly session: string | undefined
  readonly stream: boolean
  /** Clock.nowMs at the decision. */
  readonly nowMs: number
}

/** The endpoints still in question. Filters shrink it in place; scorers and pickers only read. */
export interface Candidates {
  /** Slots in the endpoint table; only the first `count` are valid. Owned by the scheduler, reused per decision. */
  readonly slots: Int32Array
  count: number
  readonly loads: LoadColumns
}

/** Removes endpoints that must not serve the request. */
export interface Filter {
  /**
   * Compacts `candidates.slots` in place and sets `count`. May leave none: the scheduler then refuses, or asks the
   * profile's next filter, as the profile says. Must keep the order.
   */
  filter(request: ScheduleRequest, candidates: Candidates): void
}

/** Says how good each endpoint is. */
export interface Scorer {
  /**
   * Writes a score in [0, 1] (1 is best), or NaN for "no opinion", to `out[i]` for each i < candidates.count.
   * No opinion counts as the mean of the opinions given for that request; if nobody has one the scorer is left out.
   */
  score(request: ScheduleRequest, candidates: Candidates, out: Float64Array): void
}

/** Chooses one of the scored endpoints. */
export interface Picker {
  /** Returns an index < candidates.count; count is at least 1. `scores` are weighted sums, all finite. */
  pick(request: ScheduleRequest, candidates: Candidates, scores: Float64Array): number
}

/** What a plug-in's factory is handed. */
export interface PluginPorts {
  readonly rng: Rng
}
