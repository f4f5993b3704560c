import { Fault } from '#core/fault.ts'
import type { EngineModel } from '#sim/model/engine-model.ts'
import type { EngineStep } from '#sim/model/engine-observer.ts'
import type { EngineSettings } from '#sim/model/engine-settings.ts'
import type { Placed } from './arm.ts'
import { InfiniteCache } from './infinite-cache.ts'
import { Locality } from './locality.ts'
import { maxOverMean, sidesOf } from './pair.ts'
import { measure, promptStepMs, type RunMetrics, TokenGaps } from './run-metrics.ts'
import type { Arrival, FleetView } from './virtual-fleet.ts'

/** What of a run is measured. */
export interface RecordSetup {
  readonly settings: readonly EngineSettings[]
  readonly warmUpMs: number
  readonly measuredMs: number
}

const noBlocks = new Float64Array(0)

/** Without what says which tokens it has: that is most of a request, and a long run has many. */
function withoutPrompt({ atMs, group, tenant, answer, request: { promptTokens, outputTokens } }: Arrival): Arrival {
  const request = { promptTokens, outputTokens, blockHashes: noBlocks }
  const named = { ...(tenant === undefined ? {} : { tenant }), ...(answer === undefined ? {} : { answer }) }
  return { atMs, group, ...named, request }
}

/** What figures are computed from, and nothing else of a request that has ended. */
function figuresOf({ arrival, endpoint, decodeEndpoint, call }: Placed): Placed {
  const slim = withoutPrompt(arrival)
  const { number, phase, producedTokens, cachedTokens, preemptions, arrivedMs, admittedMs, firstTokenMs, lastTokenMs } =
    call
  const counts = { number, phase, producedTokens, cachedTokens, preemptions }
  return {
    arrival: slim,
    endpoint,
    ...(decodeEndpoint === undefined ? {} : { decodeEndpoint }),
    call: { request: slim.request, ...counts, arrivedMs, admittedMs, firstTokenMs, lastTokenMs },
  }
}

/** Writes down what a run does, of the requests that arrive after its warm-up. */
export class RunRecord {
  readonly #setup: RecordSetup
  readonly #sides: readonly (readonly number[])[]
  readonly #cache: InfiniteCache
  readonly #locality = new Locality()
  readonly #gaps = new TokenGaps()
  readonly #finished: Placed[] = []
  readonly #failed: Arrival[] = []
  #retries = 0
  #compulsoryTokens = 0
  #leastTtftMs = 0
  #samples = 0
  #inFlightRatio = 0
  #kvUse = 0
  #waiting = 0

  constructor(setup: RecordSetup) {
    this.#setup = setup
    this.#sides = sidesOf(setup.settings)
    this.#cache = new InfiniteCache(setup.settings[0]?.blockSize ?? 1)
  }

  /** A request has come, before it is placed. */
  addArrival(arrival: Arrival): void {
    const misses = this.#cache.missesOf(arrival.request)
    if (!this.#isMeasured(arrival)) return
    const { promptTokens } = arrival.request
    this.#compulsoryTokens += misses
    this.#leastTtftMs += this.#setup.settings.reduce(
      (least, { cost, frontEndMs }) =>
        Math.min(least, frontEndMs + promptStepMs(cost, promptTokens, promptTokens - misses)),
      Number.POSITIVE_INFINITY,
    )
  }

  /** It goes to an engine, which does not have it yet. */
  addPlacement(arrival: Arrival, fleet: FleetView, endpoint: number): void {
    if (this.#isMeasured(arrival)) this.#locality.add(arrival, fleet, endpoint)
  }

  addRetry(arrival: Arrival): void {
    if (this.#isMeasured(arrival)) this.#retries++
  }

  addFinished(placed: Placed): void {
    if (this.#isMeasured(placed.arrival)) this.#finished.push(figuresOf(placed))
  }

  addFailed(arrival: Arrival): void {
    if (this.#isMeasured(arrival)) this.#failed.push(withoutPrompt(arrival))
  }

  /** Counts the gaps before the tokens of a step; nobody sees those of an engine that only prefills. */
  addStep(engine: number, { startMs, endMs, decodes }: EngineStep): void {
    if (this.#setup.settings[engine]?.role === 'prefill') return
    const { warmUpMs, measuredMs } = this.#setup
    if (endMs >= warmUpMs && endMs < warmUpMs + measuredMs) this.#gaps.add(endMs - startMs, decodes)
  }

  /** Looks at all engines at an arrival. */
  sample(arrival: Arrival, { inFlight, engines }: FleetView): void {
    if (!this.#isMeasured(arrival)) return
    for (let i = 0; i < inFlight.length; i++) {
      this.#kvUse += engines[i]!.kvUse / engines.length
      this.#waiting += engines[i]!.waitingCount / engines.length
    }
    this.#inFlightRatio += maxOverMean(inFlight, this.#sides)
    this.#samples++
  }

  /** Measured requests that ended well, in order of their arrival. */
  finished(): readonly Placed[] {
    return this.#finished.toSorted((a, b) => a.arrival.atMs - b.arrival.atMs)
  }

  metrics(engines: readonly EngineModel[]): RunMetrics {
    if (this.#finished.length === 0) throw new Fault('client', 'no request arrived after the warm-up and was answered')
    const { warmUpMs, measuredMs } = this.#setup
    return measure(this.finished(), {
      engines,
      gaps: this.#gaps,
      warmUpMs,
      measuredMs,
      failed: this.#failed,
      retries: this.#retries,
      localityGivenAway: this.#locality.givenAway,
      compulsoryTokens: this.#compulsoryTokens,
      leastTtftMs: this.#leastTtftMs,
      inFlightMaxOverMean: this.#inFlightRatio / this.#samples,
      kvUse: this.#kvUse / this.#samples,
      waiting: this.#waiting / this.#samples,
    })
  }

  #isMeasured({ atMs }: Arrival): boolean {
    return atMs >= this.#setup.warmUpMs
  }
}
