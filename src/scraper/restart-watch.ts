/** What a metrics page tells of the process that wrote it; NaN for what it does not say. */
export interface EngineLife {
  /** When the process was started; seconds since the epoch. */
  readonly startedAtS: number
  /** Something that the engine only ever counts up, from 0; of all its ranks or models together. */
  readonly served: number
  /** Ranks or models that it is counted for, and what of each of them; of the reader, which reuses them. Empty: not told apart. */
  readonly ranks: readonly string[]
  readonly counts: readonly number[]
}

/** Whether the engine is the one of the page before; `unknown` when pages do not tell. */
export type LifeVerdict = 'same' | 'new' | 'unknown'

/** Start times of one process differ by less: some are derived from a clock that is being set. */
const sameStartS = 2

/** So often counts may go down and then back up before they are taken for those of several engines behind one address. */
const maxReturns = 3

/**
 * Tells from one page to the next whether the engine behind an address has been started anew: it started later, or what it
 * counts is less than it was or gone. A model that is unloaded takes its count along: only what both pages count is compared, as
 * long as there is some. Behind an address that several engines share, pages come from one and then from
 * another: only the first of their start times counts as news, and counts that keep coming back are left alone.
 */
export class RestartWatch {
  #startedAtS = Number.NaN
  #served = Number.NaN
  /** What was counted last, by rank or model. */
  readonly #counts = new Map<string, number>()
  /** What was counted before the last restart that counts told of. */
  #servedBefore = Number.POSITIVE_INFINITY
  #returns = 0

  take(life: EngineLife): LifeVerdict {
    const byStart = this.#takeStart(life.startedAtS)
    const byCount = this.#takeCount(life)
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

  #takeCount(life: EngineLife): LifeVerdict {
    const { served } = life
    const before = this.#served
    const hasFallen = this.#hasFallen(life)
    this.#note(life)
    if (Number.isNaN(before) || this.#returns >= maxReturns) return 'unknown'
    const hasReturned = served >= this.#servedBefore
    if (hasReturned) this.#returns++
    this.#servedBefore = Number.POSITIVE_INFINITY
    if (!hasFallen) return 'same'
    this.#servedBefore = before
    return 'new'
  }

  #hasFallen({ served, ranks, counts }: EngineLife): boolean {
    let difference = 0
    let common = 0
    for (const [i, rank] of ranks.entries()) {
      const before = this.#counts.get(rank)
      if (before === undefined) continue
      difference += (counts[i] ?? 0) - before
      common++
    }
    return common === 0 ? !(served >= this.#served) : difference < 0
  }

  #note({ served, ranks, counts }: EngineLife): void {
    this.#served = served
    this.#counts.clear()
    for (const [i, rank] of ranks.entries()) this.#counts.set(rank, counts[i] ?? 0)
  }
}
