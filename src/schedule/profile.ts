import type { PluginPlan, ProfilePlan } from '#config/snapshot.ts'
import type { ExtensionPoint, PluginDefinition } from '#contracts/plugin.ts'
import type { Candidates, Filter, Picker, PluginPorts, ScheduleRequest, Scorer } from '#contracts/schedule.ts'
import { Fault } from '#core/fault.ts'
import type { Lead } from './decision.ts'
import type { DecisionRecorder } from './explain.ts'

/** What profiles are compiled with. */
export interface ProfilePorts extends PluginPorts {
  readonly plugins: readonly PluginDefinition[]
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

const noLead: Lead = { scorer: undefined, score: Number.NaN }

/**
 * A scheduling profile of one thread: filters in order, the weighted sum of the scorers, a picker. Its buffers serve
 * one decision at a time, which is enough because a decision never waits.
 */
export class Profile {
  readonly #filters: readonly { readonly type: string; readonly filter: Filter }[]
  readonly #scorers: readonly NamedScorer[]
  readonly #picker: Picker
  readonly #pickerType: string
  readonly #totals: Float64Array
  /** Mean opinion of each scorer in the decision being made; NaN when it had none. */
  readonly #means: Float64Array

  /** Throws a Fault when the plan names an unknown plug-in; parameters are checked and completed. */
  constructor(plan: ProfilePlan, ports: ProfilePorts) {
    const { maxCandidates } = ports
    this.#filters = plan.filters.map((use) => ({ type: use.type, filter: instantiate('filter', use, ports) as Filter }))
    this.#scorers = plan.scorers.map((use) => ({
      type: use.type,
      weight: use.weight,
      scorer: instantiate('scorer', use, ports) as Scorer,
      opinions: new Float64Array(maxCandidates),
    }))
    this.#picker = instantiate('picker', plan.picker, ports) as Picker
    this.#pickerType = plan.picker.type
    this.#totals = new Float64Array(maxCandidates)
    this.#means = new Float64Array(plan.scorers.length)
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
    for (let i = 0; i < count; i++) totals[i] = 0
    for (let s = 0; s < this.#scorers.length; s++) {
      const { type, weight, scorer, opinions } = this.#scorers[s]!
      scorer.score(request, candidates, opinions)
      this.#means[s] = addOpinions(opinions, totals, count, weight)
      recorder?.scored({ type, weight, candidates, opinions })
    }
    const index = this.#picker.pick(request, candidates, totals)
    recorder?.picked({ type: this.#pickerType, candidates, totals, index })
    return index
  }

  /** The scorer that raised the candidate most above the mean, in the decision just made. */
  lead(index: number): Lead {
    let best = leastGain
    let lead = noLead
    for (let s = 0; s < this.#scorers.length; s++) {
      const { type, weight, opinions } = this.#scorers[s]!
      const score = opinions[index] ?? Number.NaN
      const gain = weight * (score - this.#means[s]!)
      if (gain > best && isOpinion(score)) {
        best = gain
        lead = { scorer: type, score }
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

function instantiate(point: ExtensionPoint, use: PluginPlan, { plugins, rng }: ProfilePorts): Filter | Scorer | Picker {
  const definition = plugins.find(({ type }) => type === use.type)
  if (definition === undefined) throw new Fault('self', `no plug-in has the type '${use.type}'`)
  if (definition.point !== point) throw new Fault('self', `'${use.type}' is a ${definition.point}, not a ${point}`)
  return definition.create(definition.parameters.parse(use.parameters), { rng })
}
