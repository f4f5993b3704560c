import { seededRng } from '#core/clock.ts'
import { Fault } from '#core/fault.ts'
import type { EngineCall, EngineRequest } from '#sim/model/engine-request.ts'
import { type EngineSettings, engineSettings } from '#sim/model/engine-settings.ts'
import type { Arm, ArmDefinition, Placed } from './arm.ts'
import { ArrivalQueue } from './arrival-queue.ts'
import { FleetClock } from './fleet-clock.ts'
import { GatewayView } from './gateway-view.ts'
import { LaterSteps } from './later-steps.ts'
import { decodingArrival, leastDecoding, wholeOf } from './pair.ts'
import type { RunMetrics } from './run-metrics.ts'
import { RunRecord } from './run-record.ts'
import { type Arrival, type Placement, VirtualFleet } from './virtual-fleet.ts'
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

/** Further tries of a request, and how many of them may follow an engine that broke off: the gateway's defaults. */
const mostRetries = { all: 2, afterSent: 1 } as const

/** From a refused or broken connection to the next try. */
const retryMs = 1

/**
 * Runs a workload to its end under an arm, in virtual time. The same setup gives the same numbers; the seed alone decides the
 * requests, so that arms are compared over the same ones. A request whose connection is refused, or breaks off before its first
 * token, is placed again as the gateway does it. On an engine that only prefills, a request makes one token that nobody sees; its
 * blocks are held until an engine that decodes has fetched them, which makes the whole answer. Throws a Fault when a request or a
 * block is lost, an arm loses count, or nothing came after the warm-up.
 */
export function runArm(setup: RunSetup): RunMetrics {
  const run = new Run(setup)
  run.toEnd()
  return run.metrics()
}

/** Like {@link runArm}, for who measures by itself; gives back the fleet as it was at the end. */
export function driveArm(setup: RunSetup): VirtualFleet {
  const run = new Run(setup)
  run.toEnd()
  return run.fleet
}

/** Like {@link runArm}, request by request: those measured that ended well, in order of their arrival. */
export function serveArm(setup: RunSetup): readonly Placed[] {
  const run = new Run(setup)
  run.toEnd()
  return run.finished()
}

/** A scheduler and what it sees. */
interface Gateway {
  readonly arm: Arm
  readonly view: GatewayView
  readonly placeDecode: Placement
}

/** One try of a request. */
interface Attempt {
  readonly arrival: Arrival
  readonly gateway: Gateway
  /** Tries before this one, and those of them that an engine broke off. */
  readonly tries: number
  readonly broken: number
}

/** A request at an engine. */
interface Sent extends Attempt {
  readonly placed: Placed
  /** Where its prompt was prefilled, when this engine only goes on with it. */
  readonly prefill?: Placed
}

class Run {
  readonly #setup: RunSetup
  readonly #clock = new FleetClock()
  readonly #fleet: VirtualFleet
  readonly #workload: ReturnType<WorkloadDefinition['create']>
  readonly #gateways: readonly Gateway[]
  readonly #queue: ArrivalQueue
  /** Further tries, hand-overs, and ends of holds. */
  readonly #later = new LaterSteps()
  readonly #record: RunRecord
  /** Of each engine, what was sent there and has not ended, by the number of the call. */
  readonly #sent: readonly Map<number, Sent>[]
  #came = 0
  #finished = 0
  #failed = 0

  constructor(setup: RunSetup) {
    const { arm, workload, seed, load, warmUpMs, readTrace } = setup
    const measuredMs = measuredMsOf(setup)
    const endMs = warmUpMs + measuredMs
    const settings = settingsOf(workload, arm.poolsCaches === true)
    const blockSize = settings[0]?.blockSize ?? 1
    this.#setup = setup
    this.#sent = settings.map(() => new Map())
    this.#record = new RunRecord({ settings, warmUpMs, measuredMs })
    this.#fleet = new VirtualFleet(
      settings,
      {
        ...(settings.every(({ role }) => role === 'both')
          ? {}
          : { onAdmitted: (engine, call, atMs) => this.#onAdmitted(engine, call, atMs) }),
        onFirstToken: (engine, call, atMs) => this.#onFirstToken(engine, call, atMs),
        onFinished: (engine, call, atMs) => this.#onFinished(engine, call, atMs),
        onBroken: (engine, call, atMs) => this.#onBroken(engine, call, atMs),
        onStep: (engine, step) => this.#record.addStep(engine, step),
      },
      {
        incidents: workload.incidents?.({ warmUpMs, endMs }) ?? [],
        absent: workload.absent ?? [],
        poolsCaches: arm.poolsCaches === true,
      },
    )
    this.#workload = workload.create({ seed, load, endMs, blockSize, readTrace })
    this.#queue = new ArrivalQueue(this.#workload.arrivals, endMs)
    const rng = seededRng(seed ^ armSeedMask)
    this.#gateways = Array.from({ length: workload.gateways ?? 1 }, () => {
      const view = new GatewayView(this.#fleet)
      const made = arm.create({ settings, clock: this.#clock, rng, fleet: view })
      return { view, arm: made, placeDecode: made.placeDecode?.bind(made) ?? leastDecoding() }
    })
  }

  /** At equal times pages come first, then what engines do and what befalls them, then arrivals. */
  toEnd(): void {
    for (;;) {
      const atMs = Math.min(this.#queue.nextMs, this.#later.nextMs, this.#fleet.nextEventMs)
      if (atMs === Number.POSITIVE_INFINITY) break
      this.#clock.advanceTo(atMs)
      this.#fleet.advance(atMs)
      if (this.#later.act(atMs)) continue
      // What ended just now may have brought a request for an earlier time than the one that was next.
      if (this.#queue.nextMs <= atMs) this.#receive(this.#queue.take())
    }
    this.#check()
  }

  get fleet(): VirtualFleet {
    return this.#fleet
  }

  finished(): readonly Placed[] {
    return this.#record.finished()
  }

  metrics(): RunMetrics {
    return this.#record.metrics(this.#fleet.engines)
  }

  #receive(arrival: Arrival | undefined): void {
    const gateway = this.#gateways[this.#came % this.#gateways.length]
    if (arrival === undefined || gateway === undefined) return
    this.#came++
    this.#record.addArrival(arrival)
    this.#place({ arrival, gateway, tries: 0, broken: 0 })
  }

  #place(attempt: Attempt): void {
    const { arrival, gateway } = attempt
    const fleet = this.#fleet
    const hasAny = fleet.engines.some((_, index) => fleet.mayPlace(index, arrival))
    const endpoint = hasAny ? gateway.arm.place(arrival, gateway.view) : -1
    if (endpoint < 0) return this.#fail(arrival)
    if (!fleet.isUp(endpoint) || !fleet.mayPlace(endpoint, arrival)) return this.#refuse(attempt, endpoint)
    if (!fitsEngine(fleet.engines[endpoint]?.settings, arrival.request)) return this.#reject(attempt, endpoint)
    this.#record.addPlacement(arrival, fleet, endpoint)
    const call = fleet.submit(endpoint, arrival)
    gateway.view.count(endpoint, 1)
    this.#sent[endpoint]?.set(call.number, { ...attempt, placed: { arrival, endpoint, call } })
    if (attempt.tries === 0) this.#record.sample(arrival, fleet)
  }

  /** Nobody listens there. */
  #refuse(attempt: Attempt, endpoint: number): void {
    const nowMs = this.#fleet.nowMs
    const { arrival, gateway } = attempt
    tellFailed(gateway.arm, { arrival, endpoint, call: refusedCall(arrival.request, nowMs) }, nowMs)
    this.#tryAgain(attempt, endpoint, nowMs)
  }

  /** The engine answers that it can never hold so much: no fault of the endpoint, and no other one is asked. */
  #reject({ arrival, gateway }: Attempt, endpoint: number): void {
    const nowMs = this.#fleet.nowMs
    gateway.arm.onFinished?.({ arrival, endpoint, call: refusedCall(arrival.request, nowMs) }, nowMs)
    this.#fail(arrival)
  }

  /** The engine that has prefilled a request has its first token: another one goes on. */
  #handOver(sent: Sent): void {
    const { arrival, gateway, placed: prefill } = sent
    const fleet = this.#fleet
    const hasAny = fleet.engines.some((_, index) => fleet.mayDecode(index, arrival))
    const endpoint = hasAny ? gateway.placeDecode(arrival, gateway.view) : -1
    if (endpoint < 0) {
      this.#release(prefill)
      return this.#fail(arrival)
    }
    const isUp = fleet.isUp(endpoint) && fleet.mayDecode(endpoint, arrival)
    if (!isUp || !fitsEngine(fleet.engines[endpoint]?.settings, arrival.request)) {
      const nowMs = fleet.nowMs
      const refused = { arrival, endpoint, call: refusedCall(arrival.request, nowMs) }
      this.#endDecode({ ...sent, placed: refused, prefill }, nowMs)
      return isUp ? this.#fail(arrival) : this.#tryAgain(sent, endpoint, nowMs)
    }
    const call = fleet.submit(endpoint, decodingArrival(arrival))
    gateway.view.count(endpoint, 1)
    this.#sent[endpoint]?.set(call.number, { ...sent, placed: { arrival, endpoint, call }, prefill })
  }

  #onAdmitted(engine: number, call: EngineCall, atMs: number): void {
    const sent = this.#sent[engine]?.get(call.number)
    if (sent?.prefill === undefined || call.preemptions > 0) return
    this.#later.add(Math.max(atMs, this.#fleet.nowMs), () => this.#onFetched(engine, sent))
  }

  /** What it had to fetch is there, unless its prefill engine has died or has held it for too long: then it starts over. */
  #onFetched(engine: number, { prefill, placed: { call } }: Sent): void {
    if (prefill === undefined || prefill.call.phase === 'held') return this.#release(prefill)
    const sent = this.#take(engine, call)
    if (sent === undefined) return
    this.#fleet.cancel(engine, call)
    this.#breakOff(sent, prefill.endpoint, this.#fleet.nowMs)
  }

  /** Its blocks need not be held any longer. */
  #release(prefill: Placed | undefined): void {
    if (prefill !== undefined) this.#fleet.releaseHeld(prefill.endpoint, prefill.call)
  }

  /** It goes on no longer where it decoded, or was to. */
  #endDecode({ gateway, placed, prefill }: Sent, atMs: number): void {
    gateway.arm.onDecodeEnded?.(placed, atMs)
    // Not while engines are on their way to this time.
    this.#later.add(Math.max(atMs, this.#fleet.nowMs), () => this.#release(prefill))
  }

  #onFirstToken(engine: number, call: EngineCall, atMs: number): void {
    const sent = this.#sent[engine]?.get(call.number)
    if (sent?.prefill === undefined) sent?.gateway.arm.onFirstToken?.(sent.placed, atMs)
  }

  #onFinished(engine: number, call: EngineCall, atMs: number): void {
    const sent = this.#take(engine, call)
    if (sent === undefined) return
    const { arrival, gateway, placed, prefill } = sent
    gateway.view.count(engine, -1)
    if (prefill === undefined) gateway.arm.onFinished?.(placed, atMs)
    else gateway.arm.onDecodeEnded?.(placed, atMs)
    if (this.#fleet.engines[engine]?.settings.role === 'prefill') {
      return this.#later.add(Math.max(atMs, this.#fleet.nowMs), () => this.#handOver(sent))
    }
    this.#finished++
    this.#record.addFinished(prefill === undefined ? placed : wholeOf(prefill, placed))
    this.#goOn(arrival, atMs)
  }

  #onBroken(engine: number, call: EngineCall, atMs: number): void {
    const sent = this.#take(engine, call)
    if (sent !== undefined) this.#breakOff(sent, engine, atMs)
  }

  /** An answer that has begun is lost to the client; a request without one goes elsewhere than to `blamed`. */
  #breakOff(sent: Sent, blamed: number, atMs: number): void {
    const { arrival, gateway, placed, prefill, broken } = sent
    gateway.view.count(placed.endpoint, -1)
    if (prefill === undefined) tellFailed(gateway.arm, placed, atMs)
    else this.#endDecode(sent, atMs)
    const isRetried = placed.call.producedTokens === 0 && broken < mostRetries.afterSent
    if (isRetried) this.#tryAgain({ ...sent, broken: broken + 1 }, blamed, atMs)
    else this.#fail(arrival)
  }

  /** It has ended there. */
  #take(engine: number, { number }: EngineCall): Sent | undefined {
    const sent = this.#sent[engine]?.get(number)
    this.#sent[engine]?.delete(number)
    return sent
  }

  #tryAgain({ arrival, gateway, tries, broken }: Attempt, endpoint: number, nowMs: number): void {
    if (tries >= mostRetries.all) return this.#fail(arrival)
    this.#record.addRetry(arrival)
    const again = { ...arrival, excluded: [...(arrival.excluded ?? []), endpoint] }
    this.#later.add(nowMs + retryMs, () => this.#place({ arrival: again, gateway, tries: tries + 1, broken }))
  }

  #fail(arrival: Arrival): void {
    this.#failed++
    this.#record.addFailed(arrival)
    this.#goOn(arrival, this.#fleet.nowMs)
  }

  #goOn(arrival: Arrival, atMs: number): void {
    for (const next of this.#workload.onFinished?.(arrival, atMs) ?? []) this.#queue.add(next)
  }

  #check(): void {
    const open = this.#gateways.reduce((sum, { arm }) => sum + (arm.open?.() ?? 0), 0)
    const ended = this.#finished + this.#failed
    const { arm, workload } = this.#setup
    const blocks = this.#fleet.engines.reduce((sum, { cache }) => sum + cache.usedBlocks, 0)
    if (ended === this.#came && open === 0 && blocks === 0) return
    const what = `${ended} of ${this.#came} requests ended, ${open} held, ${blocks} blocks in use`
    throw new Fault('self', `${arm.name} over ${workload.name}: ${what}`)
  }
}

/** What is measured ends with a recording. */
function measuredMsOf({ workload: { recording }, load, warmUpMs, measuredMs }: RunSetup): number {
  if (recording === undefined) return measuredMs
  const leftMs = recording.lengthMs / load - warmUpMs
  if (leftMs <= 0) throw new Fault('client', 'the recording is over before the warm-up is')
  return Math.min(measuredMs, leftMs)
}

/** Whoever has one pool of blocks has all adapters everywhere too, and nothing to hand over. */
const pooled = { maxAdapters: Number.MAX_SAFE_INTEGER, adapterLoadMs: 0, role: 'both' } as const

/** What the engines of a workload are. */
export function settingsOf(
  { preset, engines, engineOf }: WorkloadDefinition,
  isPooled = false,
): readonly EngineSettings[] {
  const settings = engineSettings(preset)
  return Array.from({ length: engines }, (_, index) => {
    const each = engineOf?.(settings, index) ?? settings
    return isPooled ? { ...each, ...pooled } : each
  })
}

function fitsEngine(settings: EngineSettings | undefined, { promptTokens, outputTokens }: EngineRequest): boolean {
  return settings === undefined || promptTokens + outputTokens <= settings.kvBlocks * settings.blockSize
}

function tellFailed(arm: Arm, placed: Placed, atMs: number): void {
  if (arm.onFailed === undefined) arm.onFinished?.(placed, atMs)
  else arm.onFailed(placed, atMs)
}

/** Stands for a request that no engine has taken. */
function refusedCall(request: EngineRequest, nowMs: number): EngineCall {
  return {
    request,
    number: -1,
    phase: 'cancelled',
    producedTokens: 0,
    cachedTokens: 0,
    preemptions: 0,
    arrivedMs: nowMs,
    admittedMs: Number.NaN,
    firstTokenMs: Number.NaN,
    lastTokenMs: Number.NaN,
  }
}
