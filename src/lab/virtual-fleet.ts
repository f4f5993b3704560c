import { EngineModel } from '#sim/model/engine-model.ts'
import type { EngineObserver } from '#sim/model/engine-observer.ts'
import type { EngineCall, EngineRequest } from '#sim/model/engine-request.ts'
import type { EngineSettings } from '#sim/model/engine-settings.ts'

/** A request that comes to the fleet at a time. */
export interface Arrival {
  readonly atMs: number
  readonly request: EngineRequest
  /** Requests of one group begin with the same long prefix. */
  readonly group: number
}

/** Picks the engine of a request, by index. */
export type Placement = (arrival: Arrival, fleet: VirtualFleet) => number

/**
 * Engines in virtual time. All times are milliseconds since the fleet's start. Engines advance one event at a time in the order
 * of time (among equal times by index), so that whoever places requests or hears of their progress sees the fleet as it is then.
 */
export class VirtualFleet {
  readonly engines: readonly EngineModel[]
  /** Requests at each engine that have not ended. */
  readonly inFlight: Int32Array
  #nowMs = 0

  constructor(settings: readonly EngineSettings[]) {
    this.inFlight = new Int32Array(settings.length)
    this.engines = settings.map((each, index) => new EngineModel(each, this.#observer(index)))
  }

  get nowMs(): number {
    return this.#nowMs
  }

  /** Serves arrivals, given in order of time, until all have ended; returns their calls in the same order. */
  serve(arrivals: readonly Arrival[], place: Placement): readonly EngineCall[] {
    const calls = arrivals.map((arrival) => {
      this.advance(arrival.atMs)
      const index = place(arrival, this)
      const engine = this.engines[index]
      if (engine === undefined) throw new RangeError(`there is no engine ${index}`)
      this.inFlight[index]!++
      return engine.submit(arrival.request, arrival.atMs)
    })
    this.advance(Number.POSITIVE_INFINITY)
    return calls
  }

  /** Lets time pass; to infinity means until nothing is left to do. */
  advance(untilMs: number): void {
    for (let dueMs = this.#nextEventMs(); dueMs <= untilMs && dueMs < Number.POSITIVE_INFINITY; ) {
      this.#nowMs = Math.max(this.#nowMs, dueMs)
      for (const engine of this.engines) if (engine.nextEventMs <= dueMs) engine.advance(dueMs)
      dueMs = this.#nextEventMs()
    }
    if (untilMs < Number.POSITIVE_INFINITY) this.#nowMs = Math.max(this.#nowMs, untilMs)
  }

  #nextEventMs(): number {
    let leastMs = Number.POSITIVE_INFINITY
    for (const engine of this.engines) leastMs = Math.min(leastMs, engine.nextEventMs)
    return leastMs
  }

  #observer(index: number): EngineObserver {
    return { onFinished: () => void this.inFlight[index]!-- }
  }
}
