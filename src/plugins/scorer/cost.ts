import { z } from 'zod'
import type { LoadColumns } from '#contracts/load.ts'
import { definePlugin } from '#contracts/plugin.ts'
import type {
  Candidates,
  Facts,
  Placement,
  PlacementEnd,
  PluginPorts,
  ScheduleRequest,
  Scorer,
} from '#contracts/schedule.ts'
import { AdapterLoading } from '#plugins/house/adapter-loading.ts'
import { ArrivalRates } from '#plugins/house/arrival-rates.ts'
import { type HouseConstants, houseConstants, housePriors, outputGain } from '#plugins/house/constants.ts'
import { FleetSpeeds } from '#plugins/house/fleet-speeds.ts'
import { SequenceLimits } from '#plugins/house/sequence-limits.ts'
import { requestsOn } from '#plugins/requests-on.ts'

interface Preferences {
  readonly waiting: number
  readonly decoding: number
}

/** What is the same for all candidates of a decision. */
interface Frame {
  promptTokens: number
  outputTokens: number
  /** Requests in flight, mean over the candidates. */
  meanInFlight: number
  /** Arrivals per endpoint and second, and the part of the time that prefill takes of an endpoint. */
  arrivalsPerS: number
  utilization: number
  /** Clock.nowMs. */
  nowMs: number
}

/**
 * The cost of placing a request at each endpoint, in seconds: its own delay and the delay it causes to others
 * (routing-algorithms.md 5.2, where each term is explained). Score = least cost / own cost, so that 1 is the best and half as
 * good is half.
 */
class CostScorer implements Scorer {
  readonly #preferences: Preferences
  readonly #constants: HouseConstants
  readonly #facts: Facts
  readonly #rates = new ArrivalRates()
  readonly #speeds: FleetSpeeds
  readonly #frame: Frame = {
    promptTokens: 1,
    outputTokens: 1,
    meanInFlight: 0,
    arrivalsPerS: 0,
    utilization: 0,
    nowMs: 0,
  }
  #meanOutput: number = housePriors.outputTokens
  /** Answers that the mean is of; the prior counts as so many. */
  #outputs = 4
  readonly #limits: SequenceLimits
  readonly #loading = new AdapterLoading()
  /** Of the endpoint that is looked at: requests that have to end before this one fits, and the price of memory. */
  #blocked = 0
  #price = 0

  constructor(preferences: Preferences, { facts, capacities }: PluginPorts, constants: HouseConstants) {
    this.#preferences = preferences
    this.#speeds = new FleetSpeeds(capacities)
    this.#constants = constants
    this.#facts = facts
    this.#limits = new SequenceLimits(facts.cachedTokens.length)
  }

  score(request: ScheduleRequest, candidates: Candidates, out: Float64Array): void {
    this.#take(request, candidates)
    const { slots, count, loads } = candidates
    this.#loading.seen(loads)
    let least = Number.POSITIVE_INFINITY
    for (let i = 0; i < count; i++) {
      const cost = this.#cost(slots[i]!, loads) + this.#adapterCost(request, slots[i]!, loads)
      out[i] = cost
      if (cost < least) least = cost
    }
    for (let i = 0; i < count; i++) out[i] = least / out[i]!
  }

  placed({ nowMs, adapter }: ScheduleRequest, slot: number): Placement {
    const { promptTokens, cachedTokens } = this.#facts
    const uncached = Math.max(1, promptTokens - cachedTokens[slot]!)
    this.#rates.add(nowMs, this.#prefillS(uncached, promptTokens))
    const loaded = this.#loading.placed(adapter, slot)
    if (loaded === undefined) return { ended: (end) => this.#learn(end) }
    return {
      firstToken: loaded,
      ended: (end) => {
        loaded()
        this.#learn(end)
      },
    }
  }

  #learn({ outputTokens }: PlacementEnd): void {
    if (!(outputTokens > 0)) return
    const gain = Math.max(outputGain, 1 / ++this.#outputs)
    this.#meanOutput += gain * (outputTokens - this.#meanOutput)
  }

  /** What the decision is about. */
  #take({ maxTokens, nowMs }: ScheduleRequest, candidates: Candidates): void {
    const { slots, count, loads } = candidates
    this.#speeds.measure(candidates)
    let inFlight = 0
    for (let i = 0; i < count; i++) inFlight += requestsOn(loads, slots[i]!)
    const frame = this.#frame
    frame.nowMs = nowMs
    frame.promptTokens = this.#facts.promptTokens
    frame.outputTokens = Math.min(maxTokens ?? Number.POSITIVE_INFINITY, this.#meanOutput)
    frame.meanInFlight = inFlight / Math.max(1, count)
    frame.arrivalsPerS = this.#rates.perSecond(nowMs) / Math.max(1, count)
    frame.utilization = Math.min(0.9, this.#rates.utilization(nowMs) / Math.max(1, count))
  }

  /** Seconds to compute `uncached` tokens at the end of so long a prompt, at a mean endpoint. */
  #prefillS(uncached: number, promptTokens: number): number {
    const before = promptTokens - uncached
    return uncached * (this.#speeds.prefillS + housePriors.pairS * (before + uncached / 2))
  }

  #cost(slot: number, loads: LoadColumns): number {
    const c = this.#constants
    const { promptTokens, outputTokens } = this.#frame
    const uncached = Math.max(1, promptTokens - this.#facts.cachedTokens[slot]!)
    const inFlight = requestsOn(loads, slot)
    const sequences = this.#limits.of(slot, loads, this.#frame.nowMs)
    const decoding = Math.max(0, Math.min(sequences, inFlight - loads.prefilling[slot]!))
    const contextTokens = loads.contextTokens[slot]!
    const slowness = this.#speeds.prefillFactor(slot, loads.prefillUs[slot]!)
    const prefillS = slowness * this.#prefillS(uncached, promptTokens)
    const queueS = slowness * this.#speeds.prefillS * loads.uncachedTokens[slot]!
    const stepS = this.#speeds.stepS(slot, loads.tpotMs[slot]!, contextTokens)
    const { waiting, decoding: decodingWeight } = this.#preferences
    const answerS = outputTokens * stepS
    this.#blocked = 0
    this.#measureRoom(slot, loads, inFlight)
    // Whoever waits for a sequence slot waits before the first token, as in the queue; the time for memory is a guess on the safe side.
    const forSlots = waiting * Math.max(0, inFlight + 1 - c.fullSlots * sequences)
    const blockedS = (Math.max(this.#blocked, forSlots) * answerS) / Math.max(1, decoding)
    const share = this.#copyShare(slot)
    return (
      Math.max(waiting * queueS, blockedS) +
      prefillS +
      decodingWeight * answerS +
      prefillS * inFlight * share +
      c.busyPeriod * this.#laterDelayS(queueS, prefillS) * share +
      decodingWeight * decoding * (outputTokens / 2) * housePriors.stepPerTokenS * (promptTokens + outputTokens / 2) +
      c.memoryPrice * this.#price * inFlight * answerS
    )
  }

  /**
   * Seconds by which this prompt delays those that arrive later, together: those of the time in which prompts are computed there
   * (`queueS + prefillS`), and those that arrive while theirs are (1 - utilization: the busy period of a queue). They can go
   * elsewhere: of the queue counts what they would wait for, and of this prompt what going elsewhere may cost them, both in mean
   * prefills (utilization / arrivalsPerS). Otherwise prompts of many seconds, which keep others away anyhow, keep away from one
   * another too, and stand at every endpoint at once.
   */
  #laterDelayS(queueS: number, prefillS: number): number {
    const { arrivalsPerS, utilization } = this.#frame
    if (arrivalsPerS === 0) return 0
    const c = this.#constants
    const meanS = utilization / arrivalsPerS
    const exposedS = Math.min(queueS, c.patience * meanS) + prefillS
    return (Math.min(prefillS, c.mostHarm * meanS) * arrivalsPerS * exposedS) / (1 - utilization)
  }

  #measureRoom(slot: number, loads: LoadColumns, inFlight: number): void {
    const c = this.#constants
    const outputTokens = this.#frame.outputTokens
    this.#price = 0
    const reported = loads.blockSize[slot]! * loads.blockCount[slot]!
    const kvUse = loads.kvUse[slot]!
    if (!(reported > 0 || kvUse >= 0)) return
    const capacity = reported > 0 ? reported : housePriors.kvTokens
    const resident = kvUse >= 0 ? kvUse * capacity : loads.contextTokens[slot]!
    const toCome = Math.max(queuedShare(slot, loads, inFlight) * resident, loads.uncachedTokens[slot]!)
    const used = resident + toCome + c.residentOutput * inFlight * outputTokens
    const foot = this.#frame.promptTokens - this.#facts.inUseTokens[slot]! + outputTokens
    // When others end, no more comes free than they have: nobody keeps a prompt of nearly all the memory out of an idle engine.
    const over = Math.min(used, used + foot - c.fullShare * capacity)
    if (over > 0) this.#blocked = Math.max(this.#blocked, (c.blockedTimes * over * Math.max(1, inFlight)) / used)
    const pressure = Math.max(0, ((used + foot) / capacity - c.priceFrom) / (c.priceWholeAt - c.priceFrom))
    this.#price = pressure * pressure * (foot / capacity)
  }

  /**
   * How much of the delay caused to others counts (`inv` of the formula): less when the part of the prompt that is missing here
   * is so much in demand that another copy of it pays.
   */
  #copyShare(slot: number): number {
    const holders = this.#facts.missHolders[slot]!
    if (holders === 0) return 1
    const carried = this.#constants.demandPerCopy * (this.#frame.meanInFlight + 1) * holders
    return 1 / Math.max(1, this.#facts.missUses[slot]! / carried) ** 2
  }

  /**
   * Seconds for loading the adapter where it is not loaded, for this request and for those that the engine decodes; as many times
   * as it is being loaded elsewhere already, so that a burst for a cold adapter does not load it everywhere.
   */
  #adapterCost({ adapter }: ScheduleRequest, slot: number, loads: LoadColumns): number {
    if (adapter < 0 || loads.hasAdapter(slot, adapter)) return 0
    const displaces = loads.adapterCount[slot]! >= loads.maxAdapters[slot]! ? 2 : 1
    const others = this.#preferences.decoding * requestsOn(loads, slot)
    const copies = 1 + this.#loading.count(adapter)
    return housePriors.adapterLoadS * displaces * copies * (this.#preferences.waiting + others)
  }
}

/**
 * Memory that the requests need which wait in the engine, over that of those that run: as much each. Without them an engine whose
 * memory is full looks the same however many stand in line for it, and goes on drawing whoever shares a prefix with it. A page may
 * be old: no more than `inFlight` wait.
 */
function queuedShare(slot: number, loads: LoadColumns, inFlight: number): number {
  const running = loads.running[slot]!
  const waiting = Math.min(loads.waiting[slot]!, inFlight)
  return running > 0 && waiting > 0 ? waiting / running : 0
}

const preference = z.number().positive().max(100)

/** The plug-in `cost` with other constants, for experiments: with `houseConstants` it is {@link cost}. */
export function costWith(constants: HouseConstants): typeof cost {
  return { ...cost, create: (preferences, ports) => new CostScorer(preferences, ports, constants) }
}

/** Prefers the endpoint where the request does the least harm: to itself and to all others, in seconds. */
export const cost = definePlugin({
  point: 'scorer',
  type: 'cost',
  stability: 'beta',
  summary:
    'Prefers the endpoint where a request costs least time, its own and that of the others there; needs no tuning.',
  reads: [
    'promptTokens',
    'cachedTokens',
    'inUseTokens',
    'missHolders',
    'missUses',
    'inFlight',
    'prefilling',
    'uncachedTokens',
    'contextTokens',
    'running',
    'waiting',
    'reportedAtMs',
    'inFlightAtReport',
    'kvUse',
    'blockSize',
    'blockCount',
    'prefillUs',
    'tpotMs',
    'hasAdapter',
    'adapterCount',
    'maxAdapters',
  ],
  parameters: z.strictObject({
    waiting: preference
      .default(houseConstants.waiting)
      .describe('How much a second before the first token counts against one of prefill.'),
    decoding: preference
      .default(houseConstants.decoding)
      .describe('How much a second spread over the tokens after the first counts.'),
  }),
  create: (preferences, ports) => new CostScorer(preferences, ports, houseConstants),
})
