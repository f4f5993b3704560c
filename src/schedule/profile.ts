import type { PluginPlan, ProfilePlan } from '#config/snapshot.ts'
import { createFacts } from '#contracts/facts.ts'
import type { ExtensionPoint, PluginDefinition } from '#contracts/plugin.ts'
import type {
  Candidates,
  Facts,
  Filter,
  Picker,
  Placement,
  PluginPorts,
  Producer,
  ScheduleRequest,
  Scorer,
} from '#contracts/schedule.ts'
import { Fault } from '#core/fault.ts'
import { maxEndpoints } from '#datastore/endpoint-table.ts'
import type { Lead } from './decision.ts'
import type { DecisionRecorder } from './explain.ts'
import { joinPlacements } from './join-placements.ts'
import { makePlugin } from './make-plugin.ts'
import { producersOf } from './producers-of.ts'
import { noRanking, type Ranking, rankNext } from './ranking.ts'

/** What profiles are compiled with. */
export interface ProfilePorts extends Omit<PluginPorts, 'facts' | 'profiles'> {
  readonly plugins: readonly PluginDefinition[]
  /** Whether some endpoint has KV events. */
  readonly hasKvEvents?: boolean
  /** Most endpoints compared in one decision. */
  readonly maxCandidates: number
}

interface NamedScorer {
  readonly type: string
  readonly weight: number
  readonly scorer: Scorer
  /** Its opinions in the decision being made; reused. */
  readonly opinions: Float64Array
}

/** Below this a gain is the rounding of a mean of equal scores. */
const leastGain = 1e-9

/** How many bytes of a prompt make a token, near what real vocabularies make of English text. */
const bytesPerToken = 4

const noLead: Lead = { scorer: undefined, score: Number.NaN }

/** What hears of placements. */
type Listener = Pick<Producer, 'placed'>

/**
 * A scheduling profile of one thread: producers, filters in order, the weighted sum of the scorers, a picker. Its buffers
 * serve one decision at a time, which is enough because a decision never waits.
 */
export class Profile {
  /** As the snapshot calls it. */
  readonly name: string
  /** What the producers found out for the decision being made. */
  readonly facts: Facts = createFacts(maxEndpoints)
  /** Those of the facts that its producers write; the number of prompt tokens is always known, roughly. */
  readonly factsKnown: readonly (keyof Facts)[]
  /** Whether its producers say how much of a prompt each endpoint has cached. */
  readonly knowsCache: boolean
  readonly #producers: readonly Producer[]
  readonly #listeners: readonly Listener[]
  readonly #filters: readonly { readonly type: string; readonly filter: Filter }[]
  readonly #scorers: readonly NamedScorer[]
  readonly #picker: Picker
  readonly #pickerType: string
  readonly #totals: Float64Array
  /** Mean opinion of each scorer in the decision being made; NaN when it had none. */
  readonly #means: Float64Array
  /** Weights of the scorers in the decision being made. */
  readonly #weights: Float64Array
  #fallback: string | undefined = undefined
  #ranking: Ranking = noRanking

  /** Throws a Fault when the plan names an unknown plug-in; parameters are checked and completed. */
  constructor(name: string, plan: ProfilePlan, ports: ProfilePorts) {
    const { maxCandidates } = ports
    this.name = name
    const own = { ...ports, facts: this.facts }
    const make = <Point extends ExtensionPoint>(point: Point, use: PluginPlan) => makePlugin(point, use, own)
    const producers = producersOf(plan, ports.plugins, ports.hasKvEvents)
    this.#producers = producers.map((use) => make('producer', use))
    const writers = ports.plugins.filter((one) => producers.some(({ type }) => type === one.type))
    this.factsKnown = [...new Set<keyof Facts>(['promptTokens', ...writers.flatMap(({ writes = [] }) => writes)])]
    this.knowsCache = this.factsKnown.includes('cachedTokens')
    this.#filters = plan.filters.map((use) => ({ type: use.type, filter: make('filter', use) }))
    this.#scorers = plan.scorers.map((use) => ({
      type: use.type,
      weight: use.weight,
      scorer: make('scorer', use),
      opinions: new Float64Array(maxCandidates),
    }))
    this.#picker = make('picker', plan.picker)
    this.#pickerType = plan.picker.type
    this.#totals = new Float64Array(maxCandidates)
    this.#means = new Float64Array(plan.scorers.length)
    this.#weights = new Float64Array(plan.scorers.length)
    const all: readonly Listener[] = [
      ...this.#producers,
      ...this.#filters.map(({ filter }) => filter),
      ...this.#scorers.map(({ scorer }) => scorer),
      this.#picker,
    ]
    this.#listeners = all.filter(({ placed }) => placed !== undefined)
  }

  /** Who would have been picked next, in the decision just made. */
  get ranking(): Ranking {
    return this.#ranking
  }

  /** Fills the facts for the candidates: before `filter` and `pick`. */
  produce(request: ScheduleRequest, candidates: Candidates): void {
    this.facts.promptTokens = Math.max(1, Math.ceil(request.promptBytes / bytesPerToken))
    this.facts.missHash = 0
    this.facts.totalBlocks = 0
    const { cachedTokens, inUseTokens } = this.facts
    for (let i = 0; i < candidates.count; i++)
      cachedTokens[candidates.slots[i]!] = inUseTokens[candidates.slots[i]!] = 0
    for (let i = 0; i < this.#producers.length; i++) this.#producers[i]!.produce(request, candidates)
  }

  /** Tells the plug-ins where the request goes; returns who hears how it fares there. */
  placed(request: ScheduleRequest, slot: number): Placement | undefined {
    let joined: Placement | undefined
    for (let i = 0; i < this.#listeners.length; i++) {
      const placement = this.#listeners[i]!.placed?.(request, slot)
      if (placement !== undefined) joined = joined === undefined ? placement : joinPlacements(joined, placement)
    }
    return joined
  }

  /** Leaves those candidates that may serve the request; possibly none. */
  filter(request: ScheduleRequest, candidates: Candidates, recorder: DecisionRecorder | undefined): void {
    for (let i = 0; i < this.#filters.length && candidates.count > 0; i++) {
      const { type, filter } = this.#filters[i]!
      filter.filter(request, candidates)
      recorder?.filtered(type, candidates)
    }
  }

  /** Scores the candidates, at least one, and returns the index of the one picked. */
  pick(request: ScheduleRequest, candidates: Candidates, recorder: DecisionRecorder | undefined): number {
    const totals = this.#totals
    const { count } = candidates
    const chosen = request.profile?.weights
    for (let i = 0; i < count; i++) totals[i] = 0
    this.#fallback = undefined
    for (let s = 0; s < this.#scorers.length; s++) {
      const { type, weight: usual, scorer, opinions } = this.#scorers[s]!
      const weight = chosen === undefined ? usual : (chosen[s] ?? 0)
      this.#weights[s] = weight
      this.#means[s] = Number.NaN
      if (weight === 0 && chosen !== undefined) continue
      scorer.score(request, candidates, opinions)
      if (this.#fallback === undefined && scorer.fellBack?.() === true) this.#fallback = type
      this.#means[s] = addOpinions(opinions, totals, count, weight)
      recorder?.scored({ type, weight, candidates, opinions })
    }
    const index = this.#picker.pick(request, candidates, totals)
    if (!(index >= 0 && index < count)) throw new Fault('self', 'the picker chose what was not offered')
    this.#ranking = rankNext(candidates, totals, index, this.#picker.tolerance)
    recorder?.picked({ type: this.#pickerType, candidates, totals, index, fallbacks: this.#ranking.slots })
    return index
  }

  /** The scorer that raised the candidate most above the mean, in the decision just made. */
  lead(index: number): Lead {
    let best = leastGain
    let lead = this.#fallback === undefined ? noLead : { ...noLead, fallback: this.#fallback }
    for (let s = 0; s < this.#scorers.length; s++) {
      const { type, opinions } = this.#scorers[s]!
      const score = opinions[index] ?? Number.NaN
      const gain = this.#weights[s]! * (score - this.#means[s]!)
      if (gain > best && isOpinion(score)) {
        best = gain
        lead = { scorer: type, score, fallback: this.#fallback }
      }
    }
    return lead
  }
}

function isOpinion(score: number): boolean {
  return score >= 0 && score <= 1
}

/**
 * Adds weighted opinions to the totals. What is not in [0, 1] is no opinion and counts as the mean of the opinions; when
 * there are none nothing is added. Returns that mean, or NaN.
 */
function addOpinions(opinions: Float64Array, totals: Float64Array, count: number, weight: number): number {
  let sum = 0
  let given = 0
  for (let i = 0; i < count; i++) {
    const opinion = opinions[i]!
    if (isOpinion(opinion)) {
      sum += opinion
      given++
    }
  }
  if (given === 0) return Number.NaN
  const mean = sum / given
  for (let i = 0; i < count; i++) {
    const opinion = opinions[i]!
    totals[i]! += weight * (isOpinion(opinion) ? opinion : mean)
  }
  return mean
}
