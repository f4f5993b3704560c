import type { LoadColumns } from '#contracts/load.ts'
import { houseConstants, housePriors } from './constants.ts'

/** Reports in a row that must agree: about a second. One alone may be the middle of a burst. */
const agreeingReports = 5

/** An engine that has reported nothing for so long since it was first seen does not report. */
const silentAfterMs = 5_000

/**
 * How many requests each engine runs at a time. It shows when requests wait although there is memory and the number of those that
 * run stays the same. Until then it is the usual number, and less for an engine that does not say what it does.
 */
export class SequenceLimits {
  readonly #limits: Float64Array
  readonly #reportedAtMs: Float64Array
  readonly #running: Float64Array
  readonly #agreeing: Int32Array
  readonly #seenAtMs: Float64Array

  /** `rows` is how many slots there are. */
  constructor(rows: number) {
    this.#limits = new Float64Array(rows)
    this.#reportedAtMs = new Float64Array(rows)
    this.#running = new Float64Array(rows)
    this.#agreeing = new Int32Array(rows)
    this.#seenAtMs = new Float64Array(rows)
  }

  /** The limit of a slot by what is known now (Clock.nowMs). A report that is late changes nothing. */
  of(slot: number, loads: LoadColumns, nowMs: number): number {
    const running = loads.running[slot]!
    if (Number.isNaN(running)) return this.#ofSilent(slot, nowMs)
    const reportedAtMs = loads.reportedAtMs[slot]!
    if (reportedAtMs !== this.#reportedAtMs[slot]) {
      this.#reportedAtMs[slot] = reportedAtMs
      this.#learn(slot, running, loads.waiting[slot]! > 0 && !(loads.kvUse[slot]! >= houseConstants.fullShare))
    }
    const limit = this.#limits[slot]!
    return limit === 0 ? Math.max(housePriors.maxSequences, running) : limit
  }

  #ofSilent(slot: number, nowMs: number): number {
    if (this.#reportedAtMs[slot] === 0) {
      if (this.#seenAtMs[slot] === 0) this.#seenAtMs[slot] = nowMs
      if (nowMs - this.#seenAtMs[slot]! >= silentAfterMs) return housePriors.maxSequencesUnreported
    }
    return this.#limits[slot]! || housePriors.maxSequences
  }

  #learn(slot: number, running: number, someWait: boolean): void {
    const isSame = someWait && running > 0 && running === this.#running[slot]
    this.#running[slot] = running
    const agreeing = isSame ? this.#agreeing[slot]! + 1 : 0
    this.#agreeing[slot] = agreeing
    if (agreeing >= agreeingReports) this.#limits[slot] = running
    else if (running > this.#limits[slot]!) this.#limits[slot] = 0
  }
}
