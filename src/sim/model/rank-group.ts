import { EngineModel } from './engine-model.ts'
import type { EngineObserver } from './engine-observer.ts'
import type { EngineCall, EngineRequest } from './engine-request.ts'
import type { EngineSettings } from './engine-settings.ts'

/** How old the balancer's view of the ranks may get, as in vLLM. */
const viewMs = 100

/** Most steps a rank that steps one by one is brought forward for the balancer's view; after a pause its driver has the rest to do. */
const viewSteps = 1_024

/** A waiting request weighs as much as four running ones, as in vLLM. */
const waitingWeight = 4

/**
 * Data-parallel ranks behind one address. Each rank has its own queue, sequences and KV blocks. A request that names no rank
 * goes to the one with the least running + 4 * waiting, as it was up to 100 ms ago, plus what was sent there since; among equals
 * to the next in turn.
 */
export class RankGroup {
  readonly ranks: readonly EngineModel[]
  readonly #loads: Float64Array
  #viewedMs = Number.NEGATIVE_INFINITY
  #next = 0

  /** `observerOf` gives each rank's observer. */
  constructor(settings: EngineSettings, count: number, observerOf: (rank: number) => EngineObserver = () => ({})) {
    this.ranks = Array.from({ length: count }, (_, rank) => new EngineModel(settings, observerOf(rank)))
    this.#loads = new Float64Array(count)
  }

  /** As {@link EngineModel.nextEventMs}, over all ranks. */
  get nextEventMs(): number {
    return this.ranks.reduce((least, rank) => Math.min(least, rank.nextEventMs), Number.POSITIVE_INFINITY)
  }

  advance(untilMs: number): void {
    for (const rank of this.ranks) rank.advance(untilMs)
  }

  /** Hands a request to a rank, or to the one that the balancer picks. Throws a RangeError for a rank that is not there. */
  submit(request: EngineRequest, nowMs: number, rank?: number): { readonly call: EngineCall; readonly rank: number } {
    const chosen = rank ?? this.#pick(nowMs)
    const engine = this.ranks[chosen]
    if (engine === undefined) throw new RangeError(`there is no rank ${chosen}; there are ${this.ranks.length}`)
    const call = engine.submit(request, nowMs)
    this.#loads[chosen]! += waitingWeight
    return { call, rank: chosen }
  }

  #pick(nowMs: number): number {
    if (this.ranks.length === 1) return 0
    if (nowMs - this.#viewedMs >= viewMs) this.#view(nowMs)
    let best = this.#next
    for (let i = 1; i < this.ranks.length; i++) {
      const rank = (this.#next + i) % this.ranks.length
      if (this.#loads[rank]! < this.#loads[best]!) best = rank
    }
    this.#next = (best + 1) % this.ranks.length
    return best
  }

  #view(nowMs: number): void {
    this.#viewedMs = nowMs
    for (let i = 0; i < this.ranks.length; i++) {
      const rank = this.ranks[i]!
      rank.advance(nowMs, viewSteps)
      this.#loads[i] = rank.runningCount + waitingWeight * rank.waitingCount
    }
  }
}
