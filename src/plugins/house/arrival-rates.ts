import { rateWindowMs } from './constants.ts'

/** Sums that fade: what was counted counts 1/e after {@link rateWindowMs}. */
export class ArrivalRates {
  #atMs = Number.NEGATIVE_INFINITY
  #arrivals = 0
  #workS = 0

  /** Counts an arrival that will keep an engine busy with its prompt for `workS` seconds. */
  add(nowMs: number, workS: number): void {
    this.#fade(nowMs)
    this.#arrivals++
    this.#workS += workS
  }

  /** Arrivals per second. */
  perSecond(nowMs: number): number {
    this.#fade(nowMs)
    return (this.#arrivals * 1000) / rateWindowMs
  }

  /** Seconds of prefill that arrive per second. */
  utilization(nowMs: number): number {
    this.#fade(nowMs)
    return (this.#workS * 1000) / rateWindowMs
  }

  #fade(nowMs: number): void {
    const passedMs = nowMs - this.#atMs
    if (passedMs <= 0) return
    const left = Math.exp(-passedMs / rateWindowMs)
    this.#arrivals *= left
    this.#workS *= left
    this.#atMs = nowMs
  }
}
