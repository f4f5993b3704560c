import type { Rng } from '#core/clock.ts'
import type { Arm, ArmDefinition, ArmPorts, Placed } from '#lab/arm.ts'
import { cachedBlocks } from '#lab/placements.ts'
import type { Arrival, VirtualFleet } from '#lab/virtual-fleet.ts'
import { ActiveBlocks } from './active-blocks.ts'
import { leastOf } from './blind.ts'
import { PrefixHistory } from './prefix-history.ts'
import { ScrapedLoads } from './scraped-loads.ts'
import { TokenAccount } from './token-account.ts'

/** What a formula is computed from, at the time of one request; the arrays are per endpoint. */
interface Situation {
  readonly arrival: Arrival
  readonly promptTokens: number
  /** Tokens in a KV block. */
  readonly blockSize: number
  /** Cached prompt tokens: as the history of placements has it, or as the engines' KV events say. */
  readonly matched: Float64Array
  readonly account: TokenAccount
  readonly scraped: ScrapedLoads
  /** KV blocks in use by requests in flight, each counted once, with this request added; only for formulas that ask. */
  readonly activeTokens: Float64Array
}

/** Writes the cost of each endpoint; the least wins, one at random among equals. */
type Formula = (situation: Situation, costs: Float64Array) => void

interface FormulaArm {
  readonly formula: Formula
  /** Reads the engines' caches as they are, as if their events took no time. */
  readonly hasEvents?: boolean
  readonly countsBlocks?: boolean
  /** Reads metrics pages so often. */
  readonly scrapeMs?: number
}

class PeerArm implements Arm {
  readonly #arm: FormulaArm
  readonly #rng: Rng
  readonly #account: TokenAccount
  readonly #history: PrefixHistory
  readonly #scraped: ScrapedLoads
  readonly #blocks: ActiveBlocks
  readonly #costs: Float64Array
  readonly #blockSize: number

  constructor(arm: FormulaArm, { settings, clock, rng, fleet }: ArmPorts) {
    this.#arm = arm
    this.#rng = rng
    this.#account = new TokenAccount(settings.length)
    this.#history = new PrefixHistory(settings)
    this.#scraped = new ScrapedLoads(settings.length)
    this.#blocks = new ActiveBlocks(settings)
    this.#costs = new Float64Array(settings.length)
    this.#blockSize = settings[0]?.blockSize ?? 1
    if (arm.scrapeMs !== undefined) this.#scraped.start(fleet.engines, clock, arm.scrapeMs)
  }

  place(arrival: Arrival, fleet: VirtualFleet): number {
    const { promptTokens, blockHashes } = arrival.request
    const { hasEvents, countsBlocks, formula } = this.#arm
    const matched = this.#history.match(blockHashes, promptTokens)
    if (hasEvents === true) readEvents(arrival, fleet, matched)
    const activeTokens = countsBlocks === true ? this.#blocks.withRequest(arrival) : this.#blocks.tokens
    const costs = this.#costs.fill(0)
    const situation = {
      arrival,
      promptTokens,
      blockSize: this.#blockSize,
      matched,
      account: this.#account,
      scraped: this.#scraped,
      activeTokens,
    }
    formula(situation, costs)
    const index = leastOf(costs, this.#rng)
    this.#account.add(arrival, index, promptTokens - (matched[index] ?? 0))
    this.#history.insert(blockHashes, promptTokens, index)
    if (countsBlocks === true) this.#blocks.add(arrival, index)
    return index
  }

  onFirstToken({ arrival }: Placed): void {
    this.#account.firstToken(arrival)
  }

  onFinished({ arrival, endpoint }: Placed): void {
    this.#account.remove(arrival)
    if (this.#arm.countsBlocks === true) this.#blocks.remove(arrival, endpoint)
  }

  open(): number {
    return this.#account.open
  }
}

function readEvents({ request }: Arrival, { engines }: VirtualFleet, matched: Float64Array): void {
  for (let i = 0; i < matched.length; i++) {
    const engine = engines[i]!
    const { blockSize } = engine.settings
    matched[i] = cachedBlocks(engine, request.blockHashes, Math.floor(request.promptTokens / blockSize)) * blockSize
  }
}

/** llm-d's default profile: 2 queue + 2 (1 - KV use) + 3 prefix; the queue is scaled to the spread of the candidates. */
const llmdDefault: Formula = ({ promptTokens, matched, scraped }, costs) => {
  const least = Math.min(...scraped.waiting)
  const most = Math.max(...scraped.waiting)
  for (let i = 0; i < costs.length; i++) {
    const queue = most === least ? 1 : (most - scraped.waiting[i]!) / (most - least)
    costs[i] = -(2 * queue + 2 * (1 - scraped.kvUse[i]!) + (3 * matched[i]!) / promptTokens)
  }
}

/** llm-d's guide since the middle of 2026: a prefix affinity filter, then the fewest queued and uncached tokens. */
const llmdTokens: Formula = ({ promptTokens, matched, account }, costs) => {
  const peakTokensPerMs = 15.928
  const gateMs = 18_000
  let sticky = Number.POSITIVE_INFINITY
  let others = Number.POSITIVE_INFINITY
  const isSticky = (i: number): boolean => matched[i]! / promptTokens >= 0.8
  for (let i = 0; i < costs.length; i++) {
    costs[i] = account.queuedTokens[i]! + promptTokens - matched[i]!
    if (isSticky(i)) sticky = Math.min(sticky, costs[i]!)
    else others = Math.min(others, costs[i]!)
  }
  if (sticky === Number.POSITIVE_INFINITY || (sticky - others) / peakTokensPerMs > gateMs) return
  for (let i = 0; i < costs.length; i++) if (!isSticky(i)) costs[i] = Number.POSITIVE_INFINITY
}

/** Dynamo's router: prefill blocks still to do plus distinct blocks in use, in equal units. */
const dynamo: Formula = ({ promptTokens, matched, account, activeTokens }, costs) => {
  for (let i = 0; i < costs.length; i++) {
    const prefill = Math.max(0, account.queuedTokens[i]! + promptTokens - matched[i]!)
    costs[i] = prefill + activeTokens[i]!
  }
}

/** LMetric: tokens to prefill times requests in the batch. */
const lmetric: Formula = ({ promptTokens, matched, account }, costs) => {
  for (let i = 0; i < costs.length; i++) {
    costs[i] = (account.queuedTokens[i]! + promptTokens - matched[i]!) * account.requests[i]!
  }
}

/** SMG's cache-aware policy: least loaded when out of balance or hardly matched, else the longest match. */
const smg: Formula = ({ promptTokens, matched, account }, costs) => {
  const { requests } = account
  const most = Math.max(...requests)
  const least = Math.min(...requests)
  const isUneven = most - least > 64 && most > 1.5 * least
  const isMatched = Math.max(...matched) / promptTokens > 0.3
  for (let i = 0; i < costs.length; i++) costs[i] = isUneven || !isMatched ? requests[i]! : -matched[i]!
}

/** The key of consistent hashing: the first tokens of a prompt. */
const keyTokens = 256
const loadFactor = 1.25

/** Consistent hashing with bounded loads: the first endpoint in the key's order that has room for one more request. */
const boundedHash: Formula = ({ arrival, account, blockSize }, costs) => {
  const { blockHashes, promptTokens } = arrival.request
  const key = blockHashes[Math.floor(Math.min(keyTokens, promptTokens) / blockSize) - 1] ?? 0
  const total = account.requests.reduce((sum, each) => sum + each, 0)
  const bound = Math.ceil((loadFactor * (total + 1)) / costs.length)
  for (let i = 0; i < costs.length; i++) {
    costs[i] = account.requests[i]! + 1 <= bound ? rank(key, i) : Number.POSITIVE_INFINITY
  }
}

/** A number that key and endpoint alone decide: the least is the key's first choice. */
function rank(key: number, endpoint: number): number {
  let mixed = Math.imul(
    ((key % 4294967296) ^ Math.floor(key / 4294967296)) + Math.imul(endpoint + 1, 0x9e3779b1),
    0x85ebca6b,
  )
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

function peer(name: string, summary: string, arm: FormulaArm): ArmDefinition {
  return { name, kind: 'peer', summary, create: (ports) => new PeerArm(arm, ports) }
}

/** Peers' published formulas at their published defaults (routing-algorithms.md 2). */
export const peerArms: readonly ArmDefinition[] = [
  peer('llm-d', '2 queue + 2 free KV + 3 prefix, pages every 50 ms', { formula: llmdDefault, scrapeMs: 50 }),
  peer('llm-d-tokens', 'prefix held to 0.8, then fewest queued and uncached tokens', { formula: llmdTokens }),
  peer('dynamo', 'uncached prefill + distinct blocks in use, KV events without delay', {
    formula: dynamo,
    hasEvents: true,
    countsBlocks: true,
  }),
  peer('lmetric', 'uncached tokens queued x requests in flight', { formula: lmetric }),
  peer('smg', 'longest match above 0.3, else fewest requests; 64 / 1.5 imbalance gate', { formula: smg }),
  peer('bounded-hash', 'consistent hash of the first 256 tokens, load at most 1.25 x mean', { formula: boundedHash }),
]
