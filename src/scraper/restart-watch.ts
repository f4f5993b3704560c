/** What a metrics page tells of the process that wrote it; NaN for what it does not say. */
export interface EngineLife {
  /** When the process was started; seconds since the epoch. */
  readonly startedAtS: number
  /** Something that the engine only ever counts up, from 0. */
  readonly served: number
}

/** Whether the engine is the one of the page before; `unknown` when pages do not tell. */
export type LifeVerdict = 'same' | 'new' | 'unknown'

/** Start times of one process differ by less: some are derived from a clock that is being set. */
const sameStartS = 2

/** So often counts may go down and then back up before they are taken for those of several engines behind one address. */
const maxReturns = 3

/**
 * Tells from one page to the next whether the engine behind an address has been started anew: it started later, or what it
 * counts is less than it was or gone. Behind an address that several engines share, pages come from one and then from
 * another: only the first of their start times counts as news, and counts that keep coming back are left alone.
 */
export class RestartWatch {
  #startedAtS = Number.NaN
  #served = Number.NaN
  /** What was counted before the last restart that counts told of. */
  #servedBefore = Number.POSITIVE_INFINITY
  #returns = 0

  take({ startedAtS, served }: EngineLife): LifeVerdict {
    const byStart = this.#takeStart(startedAtS)
    const byCount = this.#takeCount(served)
    if (byStart === 'new' || byCount === 'new') return 'new'
    return byStart === 'same' || byCount === 'same' ? 'same' : 'unknown'
  }

  #takeStart(startedAtS: number): LifeVerdict {
    const before = this.#startedAtS
    if (Number.isNaN(startedAtS)) return 'unknown'
    if (Number.isNaN(before) || startedAtS > before) this.#startedAtS = startedAtS
    if (Number.isNaN(before)) return 'unknown'
    return startedAtS > before + sameStartS ? 'new' : 'same'
  }

  #takeCount(served: number): LifeVerdict {
    const before = this.#served
    this.#served = served
    if (Number.isNaN(before) || this.#returns >= maxReturns) return 'unknown'
    const hasReturned = served >= this.#servedBefore
    if (hasReturned) this.#returns++
    this.#servedBefore = Number.POSITIVE_INFINITY
    if (served >= before) return 'same'
    this.#servedBefore = before
    return 'new'
  }
}
