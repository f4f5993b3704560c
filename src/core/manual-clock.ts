import type { Clock } from './clock.ts'

/** A clock that moves only when told to; timers fire in order of their due time. For tests and simulation. */
export interface ManualClock extends Clock {
  /** Moves time forward by `byMs`, firing every timer that comes due on the way. */
  advance(byMs: number): void
  /** Timers set and neither fired nor cancelled. */
  pending(): number
}

/** Creates a manual clock that stands at `startMs`. */
export function manualClock(startMs = 0): ManualClock {
  let now = startMs
  let order = 0
  const timers = new Map<number, { dueMs: number; fire: () => void }>()
  const nextDue = (untilMs: number): number | undefined => {
    let best: number | undefined
    let bestDueMs = Number.POSITIVE_INFINITY
    for (const [id, timer] of timers) {
      if (timer.dueMs <= untilMs && timer.dueMs < bestDueMs) {
        best = id
        bestDueMs = timer.dueMs
      }
    }
    return best
  }
  return {
    nowMs: () => now,
    wallMs: () => now,
    after(delayMs, fire) {
      const id = order++
      timers.set(id, { dueMs: now + delayMs, fire })
      return { cancel: () => void timers.delete(id) }
    },
    advance(byMs) {
      const untilMs = now + byMs
      for (let id = nextDue(untilMs); id !== undefined; id = nextDue(untilMs)) {
        const timer = timers.get(id)
        timers.delete(id)
        if (timer === undefined) continue
        now = Math.max(now, timer.dueMs)
        timer.fire()
      }
      now = untilMs
    },
    pending: () => timers.size,
  }
}
