import type { ModelServerPlan } from '#config/snapshot.ts'
import type { LeftOut } from '#contracts/decision-record.ts'
import type { Candidates, Facts } from '#contracts/schedule.ts'
import { leftOutOf } from './decision-capture.ts'

/** What a scorer said. */
export interface ScoredStage {
  readonly type: string
  readonly weight: number
  readonly candidates: Candidates
  /** By index; NaN for no opinion. Reused: copy what is to be kept. */
  readonly opinions: Float64Array
}

/** What the picker did. */
export interface PickedStage {
  readonly type: string
  readonly candidates: Candidates
  /** Weighted sums by index. Reused: copy what is to be kept. */
  readonly totals: Float64Array
  readonly index: number
  /** Slots of those that would have been picked next, best first. */
  readonly fallbacks: readonly number[]
}

/** Watches a decision while it is made. Handed to `Scheduler.pick`; without one nothing is recorded. */
export interface DecisionRecorder {
  /**
   * A profile begins: the only one, or one of those that a handler lets run. `candidates` are the model server's endpoints less
   * those tried before; `profile` is the name of the one in use when it is not the model server's.
   */
  began(modelServer: ModelServerPlan, candidates: Candidates, profile?: string): void
  /** What was found out about the request. `known` are the facts that some producer has written. */
  produced?(facts: Facts, known: readonly (keyof Facts)[]): void
  filtered(type: string, candidates: Candidates): void
  scored(stage: ScoredStage): void
  picked(stage: PickedStage): void
  /** The endpoint in `slot` was taken without scoring: the next best of the decision before. `fallbacks` are those behind it. */
  tookNext?(slot: number, fallbacks: readonly number[]): void
  /** Of several profiles that ran this one serves the request; undefined: none does. The runs of the others are over. */
  settled?(profile: string | undefined): void
}

/** A decision with all its reasons, as plain data: endpoints by id, in the order of the configuration. */
export interface Explanation {
  readonly modelServer: string
  readonly profile: string
  /** Left out because this request had failed on them. */
  readonly excluded: readonly string[]
  readonly filters: readonly { readonly type: string; readonly removed: readonly string[] }[]
  /** Why endpoints were left out that did nothing wrong to this request: their state, by endpoint. */
  readonly leftOut: Readonly<Record<string, LeftOut>>
  readonly scorers: readonly {
    readonly type: string
    readonly weight: number
    /** Score 0..1 by endpoint; null for no opinion. */
    readonly scores: Readonly<Record<string, number | null>>
  }[]
  readonly picker: string | undefined
  /** Weighted sum by endpoint. */
  readonly totals: Readonly<Record<string, number>>
  /** Undefined when the request was refused. */
  readonly chosen: string | undefined
}

/** Records one decision. Use a new one for each. */
export class Explainer implements DecisionRecorder {
  #modelServer: ModelServerPlan | undefined = undefined
  #profile = ''
  readonly #ids = new Map<number, string>()
  #left: readonly string[] = []
  #excluded: readonly string[] = []
  readonly #leftOut: Record<string, LeftOut> = {}
  readonly #filters: { type: string; removed: readonly string[] }[] = []
  readonly #scorers: { type: string; weight: number; scores: Record<string, number | null> }[] = []
  #picker: string | undefined = undefined
  #totals: Record<string, number> = {}
  #chosen: string | undefined = undefined

  /** What was recorded so far: the whole decision once `pick` has returned. */
  explanation(): Explanation {
    return {
      modelServer: this.#modelServer?.key ?? '',
      profile: this.#profile,
      excluded: this.#excluded,
      filters: this.#filters,
      leftOut: this.#leftOut,
      scorers: this.#scorers,
      picker: this.#picker,
      totals: this.#totals,
      chosen: this.#chosen,
    }
  }

  began(modelServer: ModelServerPlan, candidates: Candidates, profile = modelServer.profile): void {
    this.#modelServer = modelServer
    this.#profile = profile
    this.#filters.length = 0
    this.#scorers.length = 0
    for (const { slot, id } of modelServer.endpoints) this.#ids.set(slot, id)
    this.#left = modelServer.endpoints.map(({ id }) => id)
    this.#excluded = this.#removed(candidates)
  }

  filtered(type: string, candidates: Candidates): void {
    const removed = this.#removed(candidates)
    this.#filters.push({ type, removed })
    const { health, ejected } = candidates.loads
    for (const [slot, id] of this.#ids) {
      if (removed.includes(id)) this.#leftOut[id] = leftOutOf(type, health[slot], ejected[slot])
    }
  }

  scored({ type, weight, candidates, opinions }: ScoredStage): void {
    const scores = this.#byId(candidates, opinions, (score) => (score >= 0 && score <= 1 ? score : null))
    this.#scorers.push({ type, weight, scores })
  }

  picked({ type, candidates, totals, index }: PickedStage): void {
    this.#picker = type
    this.#totals = this.#byId(candidates, totals, (total) => total)
    this.#chosen = this.#idAt(candidates, index)
  }

  tookNext(slot: number): void {
    this.#chosen = this.#ids.get(slot)
  }

  #idAt({ slots }: Candidates, index: number): string {
    return this.#ids.get(slots[index] ?? -1) ?? ''
  }

  /** Who was left before and no longer is. */
  #removed(candidates: Candidates): readonly string[] {
    const left = Array.from({ length: candidates.count }, (_, index) => this.#idAt(candidates, index))
    const removed = this.#left.filter((id) => !left.includes(id))
    this.#left = left
    return removed
  }

  #byId<T>(candidates: Candidates, values: Float64Array, convert: (value: number) => T): Record<string, T> {
    return Object.fromEntries(
      Array.from({ length: candidates.count }, (_, i) => [this.#idAt(candidates, i), convert(values[i] ?? Number.NaN)]),
    )
  }
}
