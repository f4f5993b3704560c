/** A connection of a client in any of its states: before its first request, or speaking a version of HTTP. */
export interface OpenConnection {
  /** Whether a request is being read or answered. */
  readonly isBusy: boolean
  /** Since when nothing has been asked (Clock.nowMs): the accept or the last answer; Infinity while busy. */
  readonly idleSinceMs: number
  /** Called about twice a second: acts on deadlines that have passed. */
  sweep(nowMs: number): void
  /** Drops the connection at once; requests under way are aborted. */
  destroy(): void
}
