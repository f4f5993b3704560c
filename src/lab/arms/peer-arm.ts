import type { Rng } from '#core/clock.ts'
import {
  type Arm,
  type ArmDefinition,
  type ArmParameter,
  type ArmPorts,
  completeValues,
  type Placed,
} from '#lab/arm.ts'
import type { Arrival, FleetView } from '#lab/virtual-fleet.ts'
import { ActiveBlocks } from './active-blocks.ts'
import { leastOf } from './blind.ts'
import { DecodeBlocks, decodesByBlocks } from './decode-blocks.ts'
import { PrefixHistory } from './prefix-history.ts'
import { ScrapedLoads } from './scraped-loads.ts'
import { TokenAccount } from './token-account.ts'

/** What a formula is computed from, at the time of one request; the arrays are per endpoint. */
export interface Situation {
  readonly arrival: Arrival
  /** Indexes of the endpoints that may serve it, ascending; at least one. */
  readonly usable: readonly number[]
  readonly promptTokens: number
  /** Tokens in a KV block. */
  readonly blockSize: number
  /** Cached prompt tokens: as the history of placements has it, or as the engines' KV events say. */
  readonly matched: Float64Array
  readonly account: TokenAccount
  readonly scraped: ScrapedLoads
  /** Prompt tokens in use by requests in flight, each block once, with this request added; only for formulas that ask. */
  readonly activeTokens: Float64Array
}

/** A peer's rule in one run. */
export interface Formula {
  /** Writes the cost of each usable endpoint into `costs`, which is all infinite; the least wins, one at random among equals. */
  cost(situation: Situation, costs: Float64Array): void
  /** The request went there; what `cost` read is still as it was. */
  placed?(situation: Situation, endpoint: number): void
  firstToken?(placed: Placed, atMs: number): void
  finished?(placed: Placed, atMs: number): void
  failed?(placed: Placed): void
}

/** Least value among some endpoints. */
export function leastAmong(values: Float64Array, endpoints: readonly number[]): number {
  let least = Number.POSITIVE_INFINITY
  for (const i of endpoints) least = Math.min(least, values[i] ?? least)
  return least
}

/** Greatest value among some endpoints. */
export function mostAmong(values: Float64Array, endpoints: readonly number[]): number {
  let most = Number.NEGATIVE_INFINITY
  for (const i of endpoints) most = Math.max(most, values[i] ?? most)
  return most
}

/** What a formula is made with besides its values. */
export interface FormulaPorts extends ArmPorts {
  readonly scraped: ScrapedLoads
}

/** A peer's rule with its constants. */
export interface PeerPlan<Name extends string> {
  readonly name: string
  readonly summary: string
  /** Where rule and constants are from. */
  readonly source: string
  readonly parameters: Readonly<Record<Name, ArmParameter>>
  /** Reads the engines' caches as they are, as if their events took no time. */
  readonly hasEvents?: boolean
  readonly countsBlocks?: boolean
  /** Remembers a prompt when it has been answered, not when it was sent. */
  readonly learnsAtEnd?: boolean
  /** Reads metrics pages so often. */
  readonly scrapeMs?: number
  /** Where requests are placed a second time: by {@link DecodeBlocks} with so many tokens for a request; by default by count. */
  decodeTokensPerRequest?(values: Readonly<Record<Name, number>>, blockSize: number): number
  formula(values: Readonly<Record<Name, number>>, ports: FormulaPorts): Formula
}

/** Makes a published rule an arm. */
export function definePeer<Name extends string>(plan: PeerPlan<Name>): ArmDefinition {
  const { name, summary, source, parameters } = plan
  return {
    name,
    kind: 'peer',
    summary,
    source,
    parameters,
    create(ports, values) {
      const complete = completeValues<Name>(parameters, values)
      const arm = new PeerArm(plan, ports, (scraped) => plan.formula(complete, { ...ports, scraped }))
      const tokens = plan.decodeTokensPerRequest?.(complete, ports.settings[0]?.blockSize ?? 1)
      return tokens === undefined ? arm : decodesByBlocks(arm, new DecodeBlocks(ports, tokens))
    },
  }
}

/** What of a plan does not depend on its parameters. */
type Feeds = Pick<PeerPlan<never>, 'hasEvents' | 'countsBlocks' | 'learnsAtEnd' | 'scrapeMs'>

class PeerArm implements Arm {
  readonly #feeds: Feeds
  readonly #formula: Formula
  readonly #rng: Rng
  readonly #account: TokenAccount
  readonly #history: PrefixHistory
  readonly #scraped: ScrapedLoads
  readonly #blocks: ActiveBlocks
  readonly #costs: Float64Array
  readonly #all: readonly number[]
  readonly #blockSize: number

  constructor(feeds: Feeds, ports: ArmPorts, formula: (scraped: ScrapedLoads) => Formula) {
    const { settings, clock, rng, fleet } = ports
    this.#feeds = feeds
    this.#rng = rng
    this.#account = new TokenAccount(settings.length)
    this.#history = new PrefixHistory(settings)
    this.#scraped = new ScrapedLoads(settings.length)
    this.#blocks = new ActiveBlocks(settings)
    this.#costs = new Float64Array(settings.length)
    this.#all = Array.from(settings.keys())
    this.#blockSize = settings[0]?.blockSize ?? 1
    if (feeds.scrapeMs !== undefined) this.#scraped.start(fleet, clock, feeds.scrapeMs)
    this.#formula = formula(this.#scraped)
  }

  place(arrival: Arrival, fleet: FleetView): number {
    const isUsable = (i: number): boolean => fleet.mayPlace(i, arrival)
    const usable = this.#all.every(isUsable) ? this.#all : this.#all.filter(isUsable)
    if (usable.length === 0) return -1
    const { promptTokens, blockHashes } = arrival.request
    const { hasEvents, countsBlocks, learnsAtEnd } = this.#feeds
    const matched = this.#history.match(blockHashes, promptTokens)
    if (hasEvents === true) readEvents(arrival, fleet, matched)
    const situation = {
      arrival,
      usable,
      promptTokens,
      blockSize: this.#blockSize,
      matched,
      account: this.#account,
      scraped: this.#scraped,
      activeTokens: countsBlocks === true ? this.#blocks.withRequest(arrival) : this.#blocks.tokens,
    }
    const costs = this.#costs.fill(Number.POSITIVE_INFINITY)
    this.#formula.cost(situation, costs)
    const endpoint = leastOf(costs, this.#rng)
    this.#formula.placed?.(situation, endpoint)
    this.#account.add(arrival, endpoint, promptTokens - matched[endpoint]!)
    if (hasEvents !== true && learnsAtEnd !== true) this.#history.insert(blockHashes, promptTokens, endpoint)
    if (countsBlocks === true) this.#blocks.add(arrival, endpoint)
    return endpoint
  }

  onFirstToken(placed: Placed, atMs: number): void {
    this.#formula.firstToken?.(placed, atMs)
    this.#account.firstToken(placed.arrival)
  }

  onFinished(placed: Placed, atMs: number): void {
    const { arrival, endpoint, call } = placed
    // An engine that never takes it, because it is too large, shows nothing of its speed.
    if (Number.isNaN(call.firstTokenMs)) return this.onFailed(placed)
    this.#formula.finished?.(placed, atMs)
    this.#remove(placed)
    if (this.#feeds.learnsAtEnd === true) {
      this.#history.insert(arrival.request.blockHashes, arrival.request.promptTokens, endpoint)
    }
  }

  onFailed(placed: Placed): void {
    this.#formula.failed?.(placed)
    this.#remove(placed)
  }

  open(): number {
    return this.#account.open
  }

  #remove({ arrival, endpoint }: Placed): void {
    this.#account.remove(arrival)
    if (this.#feeds.countsBlocks === true) this.#blocks.remove(arrival, endpoint)
  }
}

function readEvents({ request }: Arrival, fleet: FleetView, matched: Float64Array): void {
  for (let i = 0; i < matched.length; i++) {
    const { blockSize } = fleet.engines[i]!.settings
    const most = Math.floor(request.promptTokens / blockSize)
    matched[i] = fleet.announcedBlocks(i, request.blockHashes, most) * blockSize
  }
}
