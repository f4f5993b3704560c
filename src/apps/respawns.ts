import type { Clock } from '#core/clock.ts'

const windowMs = 60_000
const maxDeaths = 10
const firstDelayMs = 100
const maxDelayMs = 5000

/** How soon a thread that died is replaced: at once, then ever later, and not at all when too many die. */
export class Respawns {
  readonly #clock: Clock
  readonly #diedAtMs: number[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** What has happened when `next` returns undefined. */
  readonly limitText: string = `${maxDeaths} data threads have died within ${windowMs / 1000} s: the process ends`

  /** A thread has died: the delay before its replacement in milliseconds, or undefined when there shall be none. */
  next(): number | undefined {
    const nowMs = this.#clock.nowMs()
    this.#diedAtMs.push(nowMs)
    while ((this.#diedAtMs[0] ?? nowMs) < nowMs - windowMs) this.#diedAtMs.shift()
    const deaths = this.#diedAtMs.length
    if (deaths >= maxDeaths) return undefined
    return deaths === 1 ? 0 : Math.min(maxDelayMs, firstDelayMs * 2 ** (deaths - 2))
  }
}
