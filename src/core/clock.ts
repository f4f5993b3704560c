/** A cancellable timer. Cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void
}

/** Time as a port: everything that waits or measures takes one of these, so that tests need no real waiting. */
export interface Clock {
  /** Monotonic milliseconds, comparable between the threads of one process. */
  nowMs(): number
  /** Milliseconds since the Unix epoch, for logs and `created` fields only. */
  wallMs(): number
  /** Calls `fire` once after `delayMs`. The timer does not keep the process alive. */
  after(delayMs: number, fire: () => void): Timer
}

/** Randomness as a port: uniform in [0, 1). */
export type Rng = () => number

/** The real clock of this thread. */
export function systemClock(): Clock {
  const [seconds, nanoseconds] = process.hrtime()
  const offsetMs = seconds * 1e3 + nanoseconds / 1e6 - performance.now()
  return {
    nowMs: () => performance.now() + offsetMs,
    wallMs: () => Date.now(),
    after(delayMs, fire) {
      const handle = setTimeout(fire, delayMs).unref()
      return { cancel: () => clearTimeout(handle) }
    },
  }
}

/** A reproducible random source (mulberry32): the same seed gives the same sequence on every machine. */
export function seededRng(seed: number): Rng {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}
