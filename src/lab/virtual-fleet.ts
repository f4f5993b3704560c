import type { Segment } from '#sim/model/block-hash.ts'
import { EngineModel } from '#sim/model/engine-model.ts'
import type { EngineObserver, EngineStep } from '#sim/model/engine-observer.ts'
import type { EngineCall, EngineRequest } from '#sim/model/engine-request.ts'
import type { EngineSettings } from '#sim/model/engine-settings.ts'
import { KvCache } from '#sim/model/kv-cache.ts'
import { AnnouncedBlocks } from './announced-blocks.ts'
import { defaultListingDelays, type Incident, type ListingDelays } from './incident.ts'
import { cachedBlocks } from './placements.ts'

/** A request that comes to the fleet at a time. */
export interface Arrival {
  readonly atMs: number
  readonly request: EngineRequest
  /** Requests of one group begin with the same long prefix. */
  readonly group: number
  /** Requests of one conversation, agent or other session; undefined when it belongs to none. */
  readonly session?: number
  /** The text of the prompt, for what reads it; equal segments are equal text. Undefined where nobody has said what it is. */
  readonly prompt?: readonly Segment[]
  /** What the answer is called; later prompts of the session may repeat it. */
  readonly answer?: Segment
  /** Who asks, counted from 0; undefined where all requests are of one. */
  readonly tenant?: number
  /** Endpoints on which this request has failed: it is placed again. */
  readonly excluded?: readonly number[]
}

/** What of an engine a metrics page says. */
export interface EnginePage {
  readonly running: number
  readonly waiting: number
  readonly kvUse: number
  /** Adapters with a running request. */
  readonly adapters: readonly number[]
}

/** A fleet as whoever places requests sees it. */
export interface FleetView {
  readonly engines: readonly EngineModel[]
  /** Requests at each engine that have not ended, of those placed through this view. */
  readonly inFlight: Int32Array
  readonly nowMs: number
  /** Whether an engine is listed as an endpoint, takes prompts, and this request has not failed there. */
  mayPlace(index: number, arrival: Arrival): boolean
  /** Whether an engine is listed as an endpoint, goes on with prefilled requests, and this one has not failed there. */
  mayDecode(index: number, arrival: Arrival): boolean
  /** Whether an engine is listed as an endpoint. */
  isListed(index: number): boolean
  /** Its page at a time, as it answers one then; undefined when it does not. */
  pageOf(index: number, nowMs: number): EnginePage | undefined
  /** How many of the leading blocks, at most `most`, are cached as far as KV events told. */
  announcedBlocks(index: number, hashes: Float64Array, most: number): number
}

/** What hears of requests as they get on, in order of time; `engine` is an index. It may not submit for an earlier time. */
export interface FleetObserver {
  /** It runs from now on; again after each preemption. */
  onAdmitted?(engine: number, call: EngineCall, atMs: number): void
  onFirstToken?(engine: number, call: EngineCall, atMs: number): void
  onFinished?(engine: number, call: EngineCall, atMs: number): void
  /** Its engine died. */
  onBroken?(engine: number, call: EngineCall, atMs: number): void
  onStep?(engine: number, step: EngineStep): void
}

/** Picks the engine of a request, by index. */
export type Placement = (arrival: Arrival, fleet: FleetView) => number

/** What a fleet is other than engines that stay. */
export interface FleetSetup {
  readonly incidents?: readonly Incident[]
  /** Engines that are not there until they start. */
  readonly absent?: readonly number[]
  readonly delays?: ListingDelays
  /** All engines take their blocks from one pool that is as large as all of theirs. */
  readonly poolsCaches?: boolean
}

interface Action {
  readonly atMs: number
  readonly apply: () => void
}

/**
 * Engines in virtual time. All times are milliseconds since the fleet's start. Engines advance one event at a time in the order
 * of time (among equal times by index, incidents last), so that whoever places requests or hears of their progress sees the
 * fleet as it is then.
 */
export class VirtualFleet implements FleetView {
  readonly engines: readonly EngineModel[]
  readonly inFlight: Int32Array
  readonly #fleetObserver: FleetObserver
  readonly #delays: ListingDelays
  /** What is still to happen, in order of time. */
  readonly #actions: Action[] = []
  readonly #isUp: Uint8Array
  readonly #isListed: Uint8Array
  readonly #hungUntilMs: Float64Array
  /** One per engine where events may get lost; else the caches themselves say it. */
  readonly #announced: readonly AnnouncedBlocks[]
  #frozenPages: readonly (EnginePage | undefined)[] | undefined
  #nowMs = 0

  constructor(settings: readonly EngineSettings[], observer: FleetObserver = {}, setup: FleetSetup = {}) {
    const { incidents = [], absent = [], delays = defaultListingDelays, poolsCaches = false } = setup
    this.#fleetObserver = observer
    this.#delays = delays
    this.inFlight = new Int32Array(settings.length)
    this.#isUp = new Uint8Array(settings.length).fill(1)
    for (const index of absent) this.#isUp[index] = 0
    this.#isListed = this.#isUp.slice()
    this.#hungUntilMs = new Float64Array(settings.length).fill(Number.NEGATIVE_INFINITY)
    const losesEvents = incidents.some(({ kind }) => kind === 'drop-events')
    this.#announced = losesEvents ? settings.map(() => new AnnouncedBlocks()) : []
    const pool = poolsCaches ? poolOf(settings) : undefined
    this.engines = settings.map((each, index) => new EngineModel(each, this.#observer(index), pool))
    for (const incident of incidents) this.#plan(incident)
  }

  get nowMs(): number {
    return this.#nowMs
  }

  /**
   * Serves arrivals, given in order of time, until all have ended; returns their calls in the same order. Throws a RangeError when
   * engines only prefill or decode: nobody hands requests over here.
   */
  serve(arrivals: readonly Arrival[], place: Placement): readonly EngineCall[] {
    if (this.engines.some(({ settings }) => settings.role !== 'both'))
      throw new RangeError('an engine only prefills or only decodes')
    const calls = arrivals.map((arrival) => {
      this.advance(arrival.atMs)
      return this.submit(place(arrival, this), arrival)
    })
    this.advance(Number.POSITIVE_INFINITY)
    return calls
  }

  /** Hands an arrival to an engine that is up, now or at the time of the arrival, to which the fleet has been advanced. */
  submit(index: number, arrival: Arrival): EngineCall {
    const engine = this.engines[index]
    if (engine === undefined) throw new RangeError(`there is no engine ${index}`)
    this.inFlight[index] = (this.inFlight[index] ?? 0) + 1
    return engine.submit(arrival.request, Math.max(arrival.atMs, this.#nowMs))
  }

  /** Takes a request out of its engine now, before it has ended. */
  cancel(index: number, call: EngineCall): void {
    this.inFlight[index] = (this.inFlight[index] ?? 0) - 1
    this.engines[index]?.cancel(call, this.#nowMs)
  }

  /** Ends the hold of a prefilled request's blocks; does nothing when they are not held. */
  releaseHeld(index: number, call: EngineCall): void {
    this.engines[index]?.releaseHeld(call, this.#nowMs)
  }

  /** Whether an engine takes connections; one that hangs does. */
  isUp(index: number): boolean {
    return this.#isUp[index] === 1
  }

  isListed(index: number): boolean {
    return this.#isListed[index] === 1
  }

  mayPlace(index: number, arrival: Arrival): boolean {
    return this.#isOpen(index, arrival) && this.engines[index]?.settings.role !== 'decode'
  }

  mayDecode(index: number, arrival: Arrival): boolean {
    return this.#isOpen(index, arrival) && this.engines[index]?.settings.role !== 'prefill'
  }

  #isOpen(index: number, { excluded }: Arrival): boolean {
    return this.#isListed[index] === 1 && excluded?.includes(index) !== true
  }

  pageOf(index: number, nowMs: number): EnginePage | undefined {
    const engine = this.engines[index]
    if (engine === undefined || !this.isUp(index) || this.#isHung(index, nowMs)) return undefined
    if (this.#frozenPages !== undefined) return this.#frozenPages[index]
    engine.advance(nowMs)
    const { runningCount: running, waitingCount: waiting, kvUse, runningAdapters: adapters } = engine
    return { running, waiting, kvUse, adapters }
  }

  announcedBlocks(index: number, hashes: Float64Array, most: number): number {
    const announced = this.#announced[index]
    if (announced !== undefined) return announced.leading(hashes, most)
    const engine = this.engines[index]
    return engine === undefined ? 0 : cachedBlocks(engine, hashes, most)
  }

  /** Lets time pass; to infinity means until nothing is left to do. */
  advance(untilMs: number): void {
    for (let dueMs = this.nextEventMs; dueMs <= untilMs && dueMs < Number.POSITIVE_INFINITY; ) {
      this.#nowMs = Math.max(this.#nowMs, dueMs)
      for (const engine of this.engines) if (engine.nextEventMs <= dueMs) engine.advance(dueMs)
      this.#actUntil(dueMs)
      dueMs = this.nextEventMs
    }
    if (untilMs < Number.POSITIVE_INFINITY) this.#nowMs = Math.max(this.#nowMs, untilMs)
  }

  /** Nothing happens before this time, unless a request is submitted; as {@link EngineModel.nextEventMs}, over all engines. */
  get nextEventMs(): number {
    let leastMs = this.#actions[0]?.atMs ?? Number.POSITIVE_INFINITY
    for (const engine of this.engines) leastMs = Math.min(leastMs, engine.nextEventMs)
    return leastMs
  }

  #actUntil(dueMs: number): void {
    for (let next = this.#actions[0]; next !== undefined && next.atMs <= dueMs; next = this.#actions[0]) {
      this.#actions.shift()
      next.apply()
    }
  }

  /** Actions of equal times happen as they were planned. */
  #at(atMs: number, apply: () => void): void {
    const index = this.#actions.findIndex((action) => action.atMs > atMs)
    this.#actions.splice(index < 0 ? this.#actions.length : index, 0, { atMs, apply })
  }

  #plan(incident: Incident): void {
    const { atMs } = incident
    switch (incident.kind) {
      case 'kill':
        return this.#at(atMs, () => this.#kill(incident.engine, atMs))
      case 'start':
        return this.#at(atMs, () => this.#start(incident.engine, atMs))
      case 'hang':
        return this.#at(atMs, () => this.#hang(incident.engine, atMs, incident.untilMs))
      case 'pace':
        return this.#at(atMs, () => this.engines[incident.engine]?.setPace(incident.factor, atMs))
      case 'freeze-pages':
        this.#at(atMs, () => this.#freezePages(atMs))
        return this.#at(incident.untilMs, () => void (this.#frozenPages = undefined))
      case 'drop-events':
        this.#at(atMs, () => this.#listen(false))
        return this.#at(incident.untilMs, () => this.#listen(true))
    }
  }

  #kill(index: number, atMs: number): void {
    const engine = this.engines[index]
    if (engine === undefined || !this.isUp(index)) return
    engine.advance(atMs)
    const broken = engine.calls().filter(({ phase }) => phase !== 'held')
    engine.crash(atMs)
    this.#isUp[index] = 0
    this.#hungUntilMs[index] = Number.NEGATIVE_INFINITY
    this.inFlight[index] = 0
    this.#at(atMs + this.#delays.killedMs, () => this.#list(index, this.isUp(index)))
    for (const call of broken) this.#fleetObserver.onBroken?.(index, call, atMs)
  }

  #start(index: number, atMs: number): void {
    this.#isUp[index] = 1
    this.#at(atMs + this.#delays.readyMs, () => this.#list(index, this.isUp(index)))
  }

  #hang(index: number, atMs: number, untilMs: number): void {
    if (!this.isUp(index)) return
    this.engines[index]?.stall(untilMs, atMs)
    this.#hungUntilMs[index] = untilMs
    const { hungMs, readyMs } = this.#delays
    if (atMs + hungMs < untilMs) this.#at(atMs + hungMs, () => this.#list(index, false))
    this.#at(untilMs + readyMs, () => this.#list(index, this.isUp(index)))
  }

  #list(index: number, isListed: boolean): void {
    this.#isListed[index] = isListed ? 1 : 0
  }

  #isHung(index: number, nowMs: number): boolean {
    return nowMs < (this.#hungUntilMs[index] ?? 0)
  }

  #freezePages(atMs: number): void {
    this.#frozenPages = this.engines.map((_, index) => this.pageOf(index, atMs))
  }

  #listen(isListening: boolean): void {
    for (const each of this.#announced) each.isListening = isListening
  }

  #observer(index: number): EngineObserver {
    const { inFlight } = this
    const observer = this.#fleetObserver
    return {
      ...(observer.onAdmitted === undefined
        ? {}
        : { onAdmitted: (call: EngineCall, atMs: number) => observer.onAdmitted?.(index, call, atMs) }),
      onFirstToken: (call, atMs) => observer.onFirstToken?.(index, call, atMs),
      onFinished(call, atMs) {
        inFlight[index] = (inFlight[index] ?? 0) - 1
        observer.onFinished?.(index, call, atMs)
      },
      ...this.#announced[index]?.observer(),
      ...(observer.onStep === undefined ? {} : { onStep: (step: EngineStep) => observer.onStep?.(index, step) }),
    }
  }
}

/** As many blocks as all engines have together. */
function poolOf(settings: readonly EngineSettings[]): KvCache {
  return new KvCache(
    settings.reduce((sum, { kvBlocks }) => sum + kvBlocks, 0),
    () => undefined,
  )
}
