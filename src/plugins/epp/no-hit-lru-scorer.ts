import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import type { Candidates, Facts, ScheduleRequest, Scorer } from '#contracts/schedule.ts'

const noPreference = 0.5

/**
 * Cold requests take turns: endpoints that never had one first, in their order, then those that had one longest ago;
 * 1 for the first down to 0 for the last. A request that some candidate has cached is left to other scorers
 * (endpoint-picker.md 4.3). Each thread keeps its own turn.
 */
class NoHitLruScorer implements Scorer {
  readonly #facts: Facts
  readonly #lruSize: number
  /** Slots of endpoints that had a cold request, the one longest ago first. */
  readonly #served = new Set<number>()
  /** Index among the candidates, by slot: of candidates of this decision, or of an earlier one. */
  readonly #indexes: Int32Array
  #scored: ScheduleRequest | undefined = undefined
  #isCold = false

  constructor(lruSize: number, facts: Facts) {
    this.#lruSize = lruSize
    this.#facts = facts
    this.#indexes = new Int32Array(facts.matchedBlocks.length)
  }

  score(request: ScheduleRequest, candidates: Candidates, out: Float64Array): void {
    this.#scored = request
    this.#isCold = this.#isColdFor(candidates)
    const { count } = candidates
    if (this.#isCold && count > 1) this.#scoreByTurn(candidates, out)
    else out.fill(this.#isCold ? 1 : noPreference, 0, count)
  }

  placed(request: ScheduleRequest, slot: number): undefined {
    // An only candidate is not scored.
    const isCold = this.#scored === request ? this.#isCold : this.#facts.matchedBlocks[slot] === 0
    this.#scored = undefined
    if (!isCold) return
    this.#served.delete(slot)
    this.#served.add(slot)
    const [oldest] = this.#served
    if (this.#served.size > this.#lruSize && oldest !== undefined) this.#served.delete(oldest)
  }

  #isColdFor({ slots, count }: Candidates): boolean {
    for (let i = 0; i < count; i++) if (this.#facts.matchedBlocks[slots[i]!]! > 0) return false
    return true
  }

  #scoreByTurn({ slots, count }: Candidates, out: Float64Array): void {
    let unused = 0
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      this.#indexes[slot] = i
      if (!this.#served.has(slot)) out[i] = 1 - unused++ / (count - 1)
    }
    let position = unused
    for (const slot of this.#served) {
      const i = this.#indexes[slot]!
      if (i < count && slots[i] === slot) out[i] = 1 - position++ / (count - 1)
    }
  }
}

/** Lets requests that no endpoint has cached take turns. */
export const noHitLruScorer = definePlugin({
  point: 'scorer',
  type: 'no-hit-lru-scorer',
  origin: 'epp',
  stability: 'stable',
  summary: 'Lets requests that no endpoint has cached take turns; 0.5 for all others.',
  reads: ['matchedBlocks'],
  parameters: z.strictObject({
    lruSize: z.int().positive().max(65_536).default(1024).describe('Endpoints whose turn is remembered.'),
  }),
  create: ({ lruSize }, { facts }) => new NoHitLruScorer(lruSize, facts),
})
