import { EngineModel } from '#sim/model/engine-model.ts'
import type { EngineObserver, EngineStep } from '#sim/model/engine-observer.ts'
import type { EngineCall, EngineRequest } from '#sim/model/engine-request.ts'
import type { EngineSettings } from '#sim/model/engine-settings.ts'

/** A request that comes to the fleet at a time. */
export interface Arrival {
  readonly atMs: number
  readonly request: EngineRequest
  /** Requests of one group begin with the same long prefix. */
  readonly group: number
  /** Requests of one conversation, agent or other session; undefined when it belongs to none. */
  readonly session?: number
}

/** What hears of requests as they get on, in order of time; `engine` is an index. It may not submit for an earlier time. */
export interface FleetObserver {
  onFirstToken?(engine: number, call: EngineCall, atMs: number): void
  onFinished?(engine: number, call: EngineCall, atMs: number): void
  onStep?(step: EngineStep): void
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
  readonly #fleetObserver: FleetObserver
  #nowMs = 0

  constructor(settings: readonly EngineSettings[], observer: FleetObserver = {}) {
    this.#fleetObserver = observer
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
      return this.submit(place(arrival, this), arrival)
    })
    this.advance(Number.POSITIVE_INFINITY)
    return calls
  }

  /** Hands an arrival to an engine at the time of the arrival, to which the fleet has been advanced. */
  submit(index: number, arrival: Arrival): EngineCall {
    const engine = this.engines[index]
    if (engine === undefined) throw new RangeError(`there is no engine ${index}`)
    this.inFlight[index] = (this.inFlight[index] ?? 0) + 1
    return engine.submit(arrival.request, arrival.atMs)
  }

  /** Lets time pass; to infinity means until nothing is left to do. */
  advance(untilMs: number): void {
    for (let dueMs = this.nextEventMs; dueMs <= untilMs && dueMs < Number.POSITIVE_INFINITY; ) {
      this.#nowMs = Math.max(this.#nowMs, dueMs)
      for (const engine of this.engines) if (engine.nextEventMs <= dueMs) engine.advance(dueMs)
      dueMs = this.nextEventMs
    }
    if (untilMs < Number.POSITIVE_INFINITY) this.#nowMs = Math.max(this.#nowMs, untilMs)
  }

  /** Nothing happens before this time, unless a request is submitted; as {@link EngineModel.nextEventMs}, over all engines. */
  get nextEventMs(): number {
    let leastMs = Number.POSITIVE_INFINITY
    for (const engine of this.engines) leastMs = Math.min(leastMs, engine.nextEventMs)
    return leastMs
  }

  #observer(index: number): EngineObserver {
    const { inFlight } = this
    const observer = this.#fleetObserver
    return {
      onFirstToken: (call, atMs) => observer.onFirstToken?.(index, call, atMs),
      onFinished(call, atMs) {
        inFlight[index] = (inFlight[index] ?? 0) - 1
        observer.onFinished?.(index, call, atMs)
      },
      ...(observer.onStep === undefined ? {} : { onStep: (step: EngineStep) => observer.onStep?.(step) }),
    }
  }
}
