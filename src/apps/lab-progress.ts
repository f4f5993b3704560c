import type { Clock } from '#core/clock.ts'
import type { Progress } from '#lab/task.ts'

/** One line about how far a laboratory is: `12 of 96, about 40 s left  chat: gateway, seed 101`. */
export class LabProgress implements Progress {
  readonly #show: (line: string) => void
  readonly #clock: Clock
  readonly #startedAtMs: number
  #planned = 0
  #ended = 0

  constructor(show: (line: string) => void, clock: Clock) {
    this.#show = show
    this.#clock = clock
    this.#startedAtMs = clock.nowMs()
  }

  planned(runs: number): void {
    this.#planned += runs
  }

  ended(what: string): void {
    this.#ended++
    this.#show(`${this.#ended} of ${this.#planned}${this.#left()}  ${what}`)
  }

  /** As if the runs to come took as long as those before, on the whole. */
  #left(): string {
    const left = this.#planned - this.#ended
    if (left === 0) return ''
    const secondsLeft = ((this.#clock.nowMs() - this.#startedAtMs) / this.#ended / 1e3) * left
    return `, about ${durationText(secondsLeft)} left`
  }
}

/** Such as `40 s`, `3 min`, `1 h 20 min`. */
export function durationText(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
