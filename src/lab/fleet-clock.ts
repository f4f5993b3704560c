import type { Clock, Timer } from '#core/clock.ts'

interface FleetTimer extends Timer {
  readonly dueMs: number
  readonly fire: () => void
}

/** The time of a virtual fleet as a clock. It stands still until told where to go; timers fire in order of their time. */
export class FleetClock implements Clock {
  #nowMs = 0
  /** In the order they fire: by time, equal ones as they were set. */
  readonly #timers: FleetTimer[] = []

  nowMs(): number {
    return this.#nowMs
  }

  wallMs(): number {
    return this.#nowMs
  }

  after(delayMs: number, fire: () => void): Timer {
    const timer: FleetTimer = {
      dueMs: this.#nowMs + delayMs,
      fire,
      cancel: () => {
        const index = this.#timers.indexOf(timer)
        if (index >= 0) this.#timers.splice(index, 1)
      },
    }
    const index = this.#timers.findIndex(({ dueMs }) => dueMs > timer.dueMs)
    this.#timers.splice(index < 0 ? this.#timers.length : index, 0, timer)
    return timer
  }

  /** Lets time go to exactly this moment; what falls due on the way sees its own time. */
  advanceTo(untilMs: number): void {
    for (let next = this.#timers[0]; next !== undefined && next.dueMs <= untilMs; next = this.#timers[0]) {
      this.#timers.shift()
      this.#nowMs = Math.max(this.#nowMs, next.dueMs)
      next.fire()
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs)
  }
}
