import { seededRng } from '#core/clock.ts'
import { Fault } from '#core/fault.ts'
import type { EngineCall } from '#sim/model/engine-request.ts'
import { engineSettings } from '#sim/model/engine-settings.ts'
import type { ArmDefinition, Placed } from './arm.ts'
import { ArrivalQueue } from './arrival-queue.ts'
import { FleetClock } from './fleet-clock.ts'
import { measure, type RunMetrics, TokenGaps } from './run-metrics.ts'
import { type Arrival, VirtualFleet } from './virtual-fleet.ts'
import type { WorkloadDefinition } from './workload/workload.ts'

/** One run of one arm over one workload. */
export interface RunSetup {
  readonly arm: ArmDefinition
  readonly workload: WorkloadDefinition
  readonly seed: number
  /** In the unit of the workload. */
  readonly load: number
  /** What arrives before counts for nothing but its load. */
  readonly warmUpMs: number
  /** What arrives in this time after the warm-up is measured, to its end. */
  readonly measuredMs: number
  readonly readTrace: (file: string) => string
}

/** Keeps an arm's draws apart from a workload's of the same seed. */
const armSeedMask = 0x5eed1e55

/**
 * Runs a workload to its end under an arm, in virtual time. The same setup gives the same numbers; the seed alone decides the
 * requests, so that arms are compared over the same ones. Throws a Fault when a request is lost or an arm loses count.
 */
export function runArm(setup: RunSetup): RunMetrics {
  const run = new Run(setup)
  run.toEnd()
  return run.metrics()
}

class Run {
  readonly #setup: RunSetup
  readonly #endMs: number
  readonly #clock = new FleetClock()
  readonly #fleet: VirtualFleet
  readonly #workload: ReturnType<WorkloadDefinition['create']>
  readonly #arm: ReturnType<ArmDefinition['create']>
  readonly #queue: ArrivalQueue
  readonly #gaps = new TokenGaps()
  /** Of each engine, what was placed there, by the number of the call. */
  readonly #placed: readonly Placed[][]
  readonly #all: Placed[] = []
  #finished = 0
  #inFlightRatio = 0
  #inFlightSamples = 0

  constructor(setup: RunSetup) {
    const { arm, workload, seed, load, warmUpMs, measuredMs, readTrace } = setup
    const settings = Array.from({ length: workload.engines }, () => engineSettings(workload.preset))
    const blockSize = settings[0]?.blockSize ?? 1
    this.#setup = setup
    this.#endMs = warmUpMs + measuredMs
    this.#placed = settings.map(() => [])
    this.#fleet = new VirtualFleet(settings, {
      onFirstToken: (engine, call, atMs) => this.#onFirstToken(engine, call, atMs),
      onFinished: (engine, call, atMs) => this.#onFinished(engine, call, atMs),
      onStep: ({ startMs, endMs, decodes }) => {
        if (endMs >= warmUpMs && endMs < this.#endMs) this.#gaps.add(endMs - startMs, decodes)
      },
    })
    this.#workload = workload.create({ seed, load, endMs: this.#endMs, blockSize, readTrace })
    this.#queue = new ArrivalQueue(this.#workload.arrivals, this.#endMs)
    const rng = seededRng(seed ^ armSeedMask)
    this.#arm = arm.create({ settings, clock: this.#clock, rng, fleet: this.#fleet })
  }

  /** At equal times pages come first, then what engines do, then arrivals. */
  toEnd(): void {
    for (;;) {
      const arrivalMs = this.#queue.nextMs
      const atMs = Math.min(arrivalMs, this.#fleet.nextEventMs)
      if (atMs === Number.POSITIVE_INFINITY) break
      this.#clock.advanceTo(atMs)
      this.#fleet.advance(atMs)
      // What ended just now may have brought a request for an earlier time than the one that was next.
      if (this.#queue.nextMs <= atMs) this.#place(this.#queue.take())
    }
    this.#check()
  }

  metrics(): RunMetrics {
    const { warmUpMs, measuredMs } = this.#setup
    const measured = this.#all.filter(({ arrival }) => arrival.atMs >= warmUpMs)
    return measure(measured, {
      engines: this.#fleet.engines,
      gaps: this.#gaps,
      measuredMs,
      warmUpMs,
      inFlightMaxOverMean: this.#inFlightRatio / this.#inFlightSamples,
    })
  }

  #place(arrival: Arrival | undefined): void {
    if (arrival === undefined) return
    const endpoint = this.#arm.place(arrival, this.#fleet)
    const call = this.#fleet.submit(endpoint, arrival)
    const placed = { arrival, endpoint, call }
    this.#all.push(placed)
    this.#placed[endpoint]?.push(placed)
    if (arrival.atMs >= this.#setup.warmUpMs) this.#sample()
  }

  #sample(): void {
    const { inFlight } = this.#fleet
    let most = 0
    let total = 0
    for (let i = 0; i < inFlight.length; i++) {
      most = Math.max(most, inFlight[i]!)
      total += inFlight[i]!
    }
    this.#inFlightRatio += (most * inFlight.length) / total
    this.#inFlightSamples++
  }

  #onFirstToken(engine: number, call: EngineCall, atMs: number): void {
    const placed = this.#placed[engine]?.[call.number]
    if (placed !== undefined) this.#arm.onFirstToken?.(placed, atMs)
  }

  #onFinished(engine: number, call: EngineCall, atMs: number): void {
    const placed = this.#placed[engine]?.[call.number]
    if (placed === undefined) return
    this.#finished++
    this.#arm.onFinished?.(placed, atMs)
    for (const next of this.#workload.onFinished?.(placed.arrival, atMs) ?? []) this.#queue.add(next)
  }

  #check(): void {
    const open = this.#arm.open?.() ?? 0
    const isWhole = this.#finished === this.#all.length && open === 0
    const { arm, workload } = this.#setup
    if (!isWhole) {
      const counts = `${this.#finished} of ${this.#all.length} requests ended, ${open} held`
      throw new Fault('self', `${arm.name} over ${workload.name}: ${counts}`)
    }
  }
}
