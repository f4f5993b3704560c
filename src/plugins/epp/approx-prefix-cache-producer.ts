import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import type { Candidates, Facts, Placement, PluginPorts, Producer, ScheduleRequest } from '#contracts/schedule.ts'
import { EppBlockHasher } from '#struct/epp-block-hash.ts'
import { Int32Pool } from '#struct/int32-pool.ts'
import {
  type BlockChain,
  PrefixIndex,
  type PrefixMatch,
  prefixIndexMemory,
  prefixIndexSlots,
} from '#struct/prefix-index.ts'
import type { BlockSalt } from '#struct/prompt-hasher.ts'

/** Blocks are no smaller than this, as in the Endpoint Picker. */
const leastBlockTokens = 64

/** What the block hasher takes. */
const mostBlockTokens = 16_384

/** Blocks of a prompt that the index can follow: 262,144 tokens in blocks of 64. */
const mostBlocks = 4096

/** Blocks that an index without given memory remembers: 8 million tokens. */
const ownIndexBlocks = 131_072

/** Block sizes of one fleet that are told apart. */
const maxBlockSizes = 4

const bytesPerToken = 4

interface Settings {
  readonly autoTune: boolean
  readonly blockSizeTokens: number
  readonly blockSize?: number | undefined
  readonly maxPrefixTokensToMatch: number
  readonly maxPrefixBlocksToMatch: number
  readonly lruCapacityPerServer: number
}

/** Hashes and index for one size of blocks. */
interface View {
  readonly blockTokens: number
  readonly hasher: EppBlockHasher
  readonly index: PrefixIndex
  readonly chain: BlockChain
  /** Capacity in tokens that the index was told, by slot; 0 for none. */
  readonly capacities: Float64Array
}

/**
 * Which blocks of a prompt each endpoint holds, by what was sent there. Hashes are those of the Endpoint Picker
 * (endpoint-picker.md 5.1); what it does with them is the house's: only blocks without a gap count, a chain loses its
 * tail first, an endpoint is taken to hold as many tokens as its engine says (or as the configured number of entries
 * stands for), and a request that fails before its first token leaves nothing behind.
 */
class ApproxPrefixCacheProducer implements Producer {
  readonly #settings: Settings
  readonly #facts: Facts
  readonly #memory: { readonly buffer: SharedArrayBuffer } | undefined
  readonly #pool = new Int32Pool()
  readonly #views: View[] = []
  readonly #match: PrefixMatch = {
    matched: new Int32Array(prefixIndexSlots),
    inUse: new Int32Array(prefixIndexSlots),
  }
  /** Where the chains of models start, by name; the one used longest ago first. */
  readonly #seeds = new Map<string, BlockSalt>()
  #view: View | undefined = undefined

  constructor(settings: Settings, { facts, prefixMemory }: PluginPorts) {
    this.#settings = settings
    this.#facts = facts
    this.#memory = prefixMemory
  }

  produce(request: ScheduleRequest, candidates: Candidates): void {
    const { promptBytes, promptSpans, body, model, cacheSalt } = request
    const facts = this.#facts
    const view = this.#viewOf(this.#blockTokens(candidates))
    this.#view = view
    const { chain, hasher, index, blockTokens } = view
    this.#settle(view, candidates)
    const seed = cacheSalt === undefined ? this.#seedOf(hasher, model) : hasher.seedOf(model, cacheSalt)
    chain.blocks = promptBytes === 0 ? 0 : hasher.hashBytes(body.slices, promptSpans, seed, chain.hashes)
    index.match(chain, candidates, this.#match)
    facts.promptTokens = Math.max(1, Math.ceil(promptBytes / bytesPerToken))
    facts.totalBlocks = chain.blocks
    facts.blockTokens = blockTokens
    for (let i = 0; i < candidates.count; i++) {
      const slot = candidates.slots[i]!
      const matched = this.#match.matched[slot]!
      facts.matchedBlocks[slot] = matched
      facts.cachedTokens[slot] = Math.min(facts.promptTokens, matched * blockTokens)
    }
  }

  placed(_request: ScheduleRequest, slot: number): Placement | undefined {
    const view = this.#view
    if (view === undefined || view.chain.blocks === 0) return undefined
    const { index, chain } = view
    index.dispatch(chain, slot, this.#match.matched[slot]!)
    const pool = this.#pool
    const hashes = pool.take(2 * chain.blocks)
    hashes.set(chain.hashes.subarray(0, 2 * chain.blocks))
    const sent: BlockChain = { hashes, blocks: chain.blocks }
    return {
      firstToken: () => index.confirm(sent, slot),
      ended({ isAnswered }) {
        if (isAnswered) index.release(sent, slot)
        else index.withdraw(sent, slot)
        pool.giveBack(hashes)
      },
    }
  }

  /**
   * The greatest block of the candidates' engines, or the configured one: not the first candidate's, which would make
   * the hashes of a prompt depend on the order of the candidates.
   */
  #blockTokens({ slots, count, loads }: Candidates): number {
    const { autoTune, blockSizeTokens, blockSize } = this.#settings
    const reported = autoTune ? greatest(loads.blockSize, slots, count) : 0
    const tokens = reported > 0 ? reported : (blockSize ?? blockSizeTokens)
    return Math.min(mostBlockTokens, Math.max(leastBlockTokens, Math.floor(tokens)))
  }

  #viewOf(blockTokens: number): View {
    for (const view of this.#views) if (view.blockTokens === blockTokens) return view
    const maxBlocks = this.#maxBlocks(blockTokens)
    const shared = blockTokens === leastBlockTokens ? this.#memory : undefined
    const memory = shared ?? prefixIndexMemory({ blocks: ownIndexBlocks, blockTokens })
    const view: View = {
      blockTokens,
      hasher: new EppBlockHasher({ blockSizeTokens: blockTokens, maxBlocks }),
      index: new PrefixIndex(memory),
      chain: { hashes: new Int32Array(2 * maxBlocks), blocks: 0 },
      capacities: new Float64Array(prefixIndexSlots),
    }
    if (this.#views.length >= maxBlockSizes) this.#views.shift()
    this.#views.push(view)
    return view
  }

  #maxBlocks(blockTokens: number): number {
    const { maxPrefixTokensToMatch, maxPrefixBlocksToMatch } = this.#settings
    if (maxPrefixTokensToMatch > 0) return Math.min(mostBlocks, Math.floor(maxPrefixTokensToMatch / blockTokens))
    return maxPrefixBlocksToMatch > 0 ? Math.min(mostBlocks, maxPrefixBlocksToMatch) : mostBlocks
  }

  /** Tells the index how much each candidate can hold. */
  #settle({ index, capacities }: View, { slots, count, loads }: Candidates): void {
    const { autoTune, blockSizeTokens, blockSize, lruCapacityPerServer } = this.#settings
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      const reported = autoTune ? loads.blockSize[slot]! * loads.blockCount[slot]! : Number.NaN
      const tokens = reported > 0 ? reported : lruCapacityPerServer * (blockSize ?? blockSizeTokens)
      if (capacities[slot] === tokens) continue
      capacities[slot] = tokens
      index.setCapacity(slot, tokens)
    }
  }

  #seedOf(hasher: EppBlockHasher, model: string): BlockSalt {
    const known = this.#seeds.get(model)
    if (known !== undefined) return known
    const seed = hasher.seedOf(model, '')
    for (const [oldest] of this.#seeds) {
      if (this.#seeds.size < 256) break
      this.#seeds.delete(oldest)
    }
    this.#seeds.set(model, seed)
    return seed
  }
}

/** The greatest known value of the candidates; 0 when none is known. */
function greatest(column: Float64Array, slots: Int32Array, count: number): number {
  let most = 0
  for (let i = 0; i < count; i++) if (column[slots[i]!]! > most) most = column[slots[i]!]!
  return most
}

/** Remembers which prompts went where. */
export const approxPrefixCacheProducer = definePlugin({
  point: 'producer',
  type: 'approx-prefix-cache-producer',
  origin: 'epp',
  stability: 'stable',
  summary: 'Tells which blocks of a prompt each endpoint holds, by the prompts that were sent there.',
  reads: ['blockSize', 'blockCount'],
  writes: ['promptTokens', 'cachedTokens', 'matchedBlocks', 'totalBlocks', 'blockTokens'],
  parameters: z.strictObject({
    autoTune: z
      .boolean()
      .default(true)
      .describe('Whether the size of blocks and what an endpoint can hold are taken from its metrics.'),
    blockSizeTokens: z
      .int()
      .positive()
      .max(mostBlockTokens)
      .default(16)
      .describe('Tokens of a block, at least 64 whatever is given.'),
    blockSize: z.int().positive().max(mostBlockTokens).optional().describe('Former name of `blockSizeTokens`.'),
    maxPrefixTokensToMatch: z
      .int()
      .min(0)
      .max(100_000_000)
      .default(131_072)
      .describe('Tokens of a prompt that are looked at, up to 4096 blocks; 0 leaves it to `maxPrefixBlocksToMatch`.'),
    maxPrefixBlocksToMatch: z
      .int()
      .min(0)
      .max(10_000_000)
      .default(2048)
      .describe(
        'Blocks of a prompt that are looked at, when its tokens are not bounded; 0 for as many as possible, 4096.',
      ),
    lruCapacityPerServer: z
      .int()
      .positive()
      .max(100_000_000)
      .default(31_250)
      .describe('What an endpoint that does not report it can hold, in blocks of `blockSizeTokens`.'),
  }),
  create: (settings, ports) => new ApproxPrefixCacheProducer(settings, ports),
})
