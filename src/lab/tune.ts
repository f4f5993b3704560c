import type { ProfilePlan } from '#config/snapshot.ts'
import { type Rng, seededRng } from '#core/clock.ts'
import { meanOf } from './comparison.ts'
import { pairedRatio, type Ratio } from './ratio.ts'
import type { RunMetrics } from './run-metrics.ts'
import { type Progress, type Runner, type RunTask, runAll } from './task.ts'
import {
  basePoint,
  type Change,
  changesOf,
  drawPoint,
  movedPoint,
  type Point,
  profileAt,
  type TuneSpace,
} from './tune-space.ts'

/** What is made better. */
export const tuneMetrics = ['e2e', 'ttft', 'goodput'] as const
export type TuneMetric = (typeof tuneMetrics)[number]

/** A search for a better profile. */
export interface TuneSetup {
  readonly space: TuneSpace
  /** Everything of a run but arm and seed. */
  readonly frame: Omit<RunTask, 'arm' | 'seed'>
  /** Workload, load and fleet in words, for reports. */
  readonly where: string
  /** Whether all seeds replay the same recording: nothing is then held out but how requests are spread. */
  readonly isSameRecording: boolean
  readonly metric: TuneMetric
  /** Runs at most, those on held-out seeds included. */
  readonly budget: number
  /** Seeds the search may look at, the first for all candidates. */
  readonly tuningSeeds: readonly number[]
  /** Seeds that only the last comparison uses. */
  readonly heldOutSeeds: readonly number[]
  /** Of the draws of the search. */
  readonly seed: number
}

/** A profile that was tried. */
export interface Candidate {
  /** Cost over that of today's profile, paired: geometric mean over the seeds it got; less is better. */
  readonly ratio: number
  readonly seeds: number
  readonly changes: readonly Change[]
}

/** What became of a search. The same setup gives the same. */
export interface Tuning {
  readonly metric: TuneMetric
  readonly where: string
  readonly isSameRecording: boolean
  readonly budget: number
  readonly runs: number
  readonly tuningSeeds: readonly number[]
  readonly heldOutSeeds: readonly number[]
  readonly base: ProfilePlan
  readonly best: ProfilePlan
  /** Of the best against today's; empty when nothing better was found. */
  readonly changes: readonly Change[]
  /** Settings that change nothing on this workload. */
  readonly inert: readonly string[]
  /** Of the metric, best over today's, on held-out seeds; for goodput more is better, else less. */
  readonly heldOut: Ratio
  /** Whether the interval of the gain leaves out 0. */
  readonly isSure: boolean
  readonly baseMetrics: RunMetrics
  readonly bestMetrics: RunMetrics
  /** In the order they were drawn. */
  readonly candidates: readonly Candidate[]
}

/** Part of the search's runs for its first, wide round; the second looks around what the first found. */
const wideShare = 0.6
/** Standard deviations of the draws of both rounds, in octaves. */
const spreads = [1.5, 0.6] as const
/** Of profiles that cost nearly the same on all seeds of the search, the one that changes least: so much more may it cost. */
const nearlyEqual = 1.01
/** Runs that a round of successive halving takes for each candidate it begins with: 1 + 1/2 + 1/4 + 1/8. */
const runsPerCandidate = 1.9

/** Fewest runs that leave something to search with. */
export function leastBudget({ heldOutSeeds, space }: Pick<TuneSetup, 'heldOutSeeds' | 'space'>): number {
  return 2 * heldOutSeeds.length + 2 * space.settings.length + 8
}

/** Cost of a run: less is better. */
function costOf({ e2eMs, ttftMs, goodputPerSecond }: RunMetrics, metric: TuneMetric): number {
  if (metric === 'e2e') return e2eMs.mean
  // A run without a single good request must not divide by nothing.
  return metric === 'ttft' ? ttftMs.mean : 1 / Math.max(goodputPerSecond, 1e-6)
}

/**
 * Searches in two rounds, each by successive halving with paired seeds: every candidate gets the first seed, the better half the
 * next one, and so on, always against today's profile on the same seed. First every setting is moved alone, which also shows the
 * ones that change nothing and are left alone from then on. Of what is nearly as good as the best, the one that changes least of
 * today's profile wins, and is measured against today's profile on seeds that the
 * search has not seen. Deterministic by seed, whatever runs at the same time.
 */
export async function tune(setup: TuneSetup, runner: Runner, progress: Progress): Promise<Tuning> {
  const search = new Search(setup, runner, progress)
  const best = await search.best()
  return search.judged(best)
}

class Search {
  readonly #setup: TuneSetup
  readonly #runner: Runner
  readonly #progress: Progress
  readonly #rng: Rng
  readonly #base: Point
  /** By point and seed. */
  readonly #runs = new Map<string, Promise<RunMetrics>>()
  readonly #tried = new Map<string, Candidate & { readonly point: Point }>()
  #inert: readonly number[] = []

  constructor(setup: TuneSetup, runner: Runner, progress: Progress) {
    this.#setup = setup
    this.#runner = runner
    this.#progress = progress
    this.#rng = seededRng(setup.seed)
    this.#base = basePoint(setup.space)
  }

  async best(): Promise<Point> {
    const { budget, heldOutSeeds, space } = this.#setup
    const total = budget - 2 * heldOutSeeds.length
    const moved = space.settings.map((_, i) => movedPoint(space, this.#base, i))
    this.#inert = await this.#inertOf(moved)
    const free = space.settings.flatMap((_, i) => (this.#inert.includes(i) ? [] : [i]))
    if (free.length === 0) return this.#base
    let best = this.#base
    let extra = moved.filter((_, i) => free.includes(i))
    for (const [round, spread] of spreads.entries()) {
      const isWide = round === 0
      const runs = isWide ? total * wideShare : total - this.#runs.size
      const count = Math.floor(runs / runsPerCandidate)
      const around = best
      const draws = Array.from({ length: Math.max(0, count - extra.length - 1) }, () =>
        drawPoint(space, around, { rng: this.#rng, spread, free }),
      )
      best = await this.#halve([best, ...extra, ...draws], total)
      extra = []
    }
    return this.#simplest(best)
  }

  /** What is as good as the best on as many seeds, and closest to today's profile. */
  #simplest(best: Point): Point {
    const known = this.#tried.get(this.#keyOf(best))
    if (known === undefined) return best
    const equals = [...this.#tried.values()].filter(
      ({ ratio, seeds }) => seeds >= known.seeds && ratio <= Math.min(known.ratio * nearlyEqual, 1),
    )
    const fewest = equals.toSorted((a, b) => a.changes.length - b.changes.length || a.ratio - b.ratio)[0]
    return fewest?.point ?? best
  }

  async judged(best: Point): Promise<Tuning> {
    const { space, where, isSameRecording, metric, budget, tuningSeeds, heldOutSeeds } = this.#setup
    const [base, found] = await Promise.all([this.#runsOf(this.#base, heldOutSeeds), this.#runsOf(best, heldOutSeeds)])
    const costs = (runs: readonly RunMetrics[]): readonly number[] => runs.map((run) => costOf(run, metric))
    const isMore = metric === 'goodput'
    const heldOut = isMore ? pairedRatio(costs(base), costs(found)) : pairedRatio(costs(found), costs(base))
    const isSure = isMore ? (heldOut.low ?? 0) > 1 : (heldOut.high ?? 1) < 1
    return {
      metric,
      where,
      isSameRecording,
      budget,
      runs: this.#runs.size,
      tuningSeeds,
      heldOutSeeds,
      base: profileAt(space, this.#base),
      best: profileAt(space, best),
      changes: changesOf(space, best),
      inert: this.#inert.map((i) => space.settings[i]?.label ?? ''),
      heldOut,
      isSure,
      baseMetrics: meanOf(base),
      bestMetrics: meanOf(found),
      candidates: [...this.#tried.values()].map(({ ratio, seeds, changes }) => ({ ratio, seeds, changes })),
    }
  }

  /** Settings that give the very same run when moved alone. */
  async #inertOf(moved: readonly Point[]): Promise<readonly number[]> {
    const first = this.#setup.tuningSeeds.slice(0, 1)
    const [base] = await this.#runsOf(this.#base, first)
    const runs = await Promise.all(moved.map((point) => this.#runsOf(point, first)))
    return runs.flatMap(([run], i) => (JSON.stringify(run) === JSON.stringify(base) ? [i] : []))
  }

  /** The best of some points; none gets a seed for which the budget has no run left. */
  async #halve(points: readonly Point[], total: number): Promise<Point> {
    const { tuningSeeds } = this.#setup
    let left = [...new Map(points.map((point) => [this.#keyOf(point), point])).values()]
    for (let round = 1; round <= tuningSeeds.length; round++) {
      const seeds = tuningSeeds.slice(0, round)
      const missing = [this.#base, ...left].filter((point) => !this.#isKnown(point, seeds.at(-1) ?? 0)).length
      if (this.#runs.size + missing > total) break
      const base = await this.#costsOf(this.#base, seeds)
      const scored = await Promise.all(
        left.map(async (point) => ({ point, ratio: pairedRatio(await this.#costsOf(point, seeds), base).ratio })),
      )
      for (const { point, ratio } of scored) {
        const changes = changesOf(this.#setup.space, point)
        this.#tried.set(this.#keyOf(point), { ratio, seeds: seeds.length, changes, point })
      }
      const order = scored.toSorted((a, b) => a.ratio - b.ratio).map(({ point }) => point)
      left = order.slice(0, Math.ceil(order.length / 2))
      if (left.length === 1) break
    }
    return left[0] ?? this.#base
  }

  async #costsOf(point: Point, seeds: readonly number[]): Promise<readonly number[]> {
    const runs = await this.#runsOf(point, seeds)
    return runs.map((run) => costOf(run, this.#setup.metric))
  }

  #runsOf(point: Point, seeds: readonly number[]): Promise<readonly RunMetrics[]> {
    const { space, frame } = this.#setup
    return Promise.all(
      seeds.map((seed) => {
        const key = `${this.#keyOf(point)} ${seed}`
        let run = this.#runs.get(key)
        if (run === undefined) {
          const task = { ...frame, seed, arm: { name: 'profile', profile: profileAt(space, point) } }
          run = runAll([task], this.#runner, this.#progress).then(([metrics]) => {
            if (metrics === undefined) throw new RangeError('a run gave nothing')
            return metrics
          })
          this.#runs.set(key, run)
        }
        return run
      }),
    )
  }

  #isKnown(point: Point, seed: number): boolean {
    return this.#runs.has(`${this.#keyOf(point)} ${seed}`)
  }

  #keyOf(point: Point): string {
    return JSON.stringify(profileAt(this.#setup.space, point))
  }
}
