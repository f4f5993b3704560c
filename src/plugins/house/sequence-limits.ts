import type { LoadColumns } from '#contracts/load.ts'
import { houseConstants, housePriors } from './constants.ts'

/** Reports in a row that must agree: about a second. One alone may be the middle of a burst. */
const agreeingReports = 5

/**
 * How many requests each engine runs at a time. It shows when requests wait although there is memory and the number of those that
 * run stays the same. Until then it is the usual number, and less for an engine that does not say what it does.
 */
export class SequenceLimits {
  readonly #limits: Float64Array
  readonly #reportedAtMs: Float64Array
  readonly #running: Float64Array
  readonly #agreeing: Int32Array

  /** `rows` is how many slots there are. */
  constructor(rows: number) {
    this.#limits = new Float64Array(rows)
    this.#reportedAtMs = new Float64Array(rows)
    this.#running = new Float64Array(rows)
    this.#agreeing = new Int32Array(rows)
  }

  /** The limit of a slot by what is known now. */
  of(slot: number, loads: LoadColumns): number {
    const running = loads.running[slot]!
    if (Number.isNaN(running)) return housePriors.maxSequencesUnreported
    const reportedAtMs = loads.reportedAtMs[slot]!
    if (reportedAtMs !== this.#reportedAtMs[slot]) {
      this.#reportedAtMs[slot] = reportedAtMs
      this.#learn(slot, running, loads.waiting[slot]! > 0 && !(loads.kvUse[slot]! >= houseConstants.fullShare))
    }
    const limit = this.#limits[slot]!
    return limit === 0 ? Math.max(housePriors.maxSequences, running) : limit
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
