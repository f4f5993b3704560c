/**
 * Something that happens to a fleet at a time of a run:
 *
 * - `kill`: the engine's process dies; its requests break off and connections to it are refused.
 * - `start`: an engine that was killed, or was absent from the start, is there with an empty cache.
 * - `hang`: it computes nothing and answers no page until a time; requests on it wait.
 * - `pace`: its steps take so many times as long from now on.
 * - `freeze-pages`: until a time, pages of all engines say what they said when it began.
 * - `drop-events`: until a time, KV events of all engines get lost, for good.
 */
export type Incident =
  | { readonly kind: 'kill' | 'start'; readonly atMs: number; readonly engine: number }
  | { readonly kind: 'hang'; readonly atMs: number; readonly untilMs: number; readonly engine: number }
  | { readonly kind: 'pace'; readonly atMs: number; readonly engine: number; readonly factor: number }
  | { readonly kind: 'freeze-pages' | 'drop-events'; readonly atMs: number; readonly untilMs: number }

/** How late whoever lists the endpoints of a fleet (Kubernetes, say) says what has become of them. */
export interface ListingDelays {
  /** After a process has died. */
  readonly killedMs: number
  /** After an engine stopped to answer: three probes in a row, ten seconds apart. */
  readonly hungMs: number
  /** After an engine is able to serve. */
  readonly readyMs: number
}

/** Chosen, but for the probes, which are Kubernetes' defaults (periodSeconds 10, failureThreshold 3). */
export const defaultListingDelays: ListingDelays = { killedMs: 1_000, hungMs: 30_000, readyMs: 1_000 }
