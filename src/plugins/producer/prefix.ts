import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import type { Candidates, Facts, Placement, PluginPorts, Producer, ScheduleRequest } from '#contracts/schedule.ts'
import { Int32Pool } from '#struct/int32-pool.ts'
import {
  type BlockChain,
  PrefixIndex,
  type PrefixMatch,
  prefixIndexMemory,
  prefixIndexSlots,
} from '#struct/prefix-index.ts'
import { type BlockSalt, defaultMaxBlocks, PromptHasher } from '#struct/prompt-hasher.ts'

/** Tokens of a block: 256 bytes. */
const blockTokens = 64

/** What an endpoint is taken to hold that does not say: a small engine. */
const unknownCapacityTokens = 262_144

/** Blocks that an index without given memory remembers: 8 million tokens, 6 MB. */
const ownIndexBlocks = 131_072

/** Models whose salts are kept. */
const keptSalts = 256

/**
 * Tells how much of a prompt each endpoint has in its KV cache, by what was sent there (routing-algorithms.md 5.3): the
 * prompt's bytes are hashed in blocks, and one index for all endpoints knows which of them holds which blocks. A prompt
 * counts as held from its dispatch on, so that the second request of a burst finds the first.
 */
export class PrefixProducer implements Producer {
  readonly #facts: Facts
  readonly #index: PrefixIndex
  readonly #hasher = new PromptHasher()
  readonly #pool = new Int32Pool()
  readonly #chain: BlockChain = { hashes: new Int32Array(2 * defaultMaxBlocks), blocks: 0 }
  readonly #match: PrefixMatch = {
    matched: new Int32Array(prefixIndexSlots),
    inUse: new Int32Array(prefixIndexSlots),
  }
  /** Capacity that the index was told, by slot. */
  readonly #capacities = new Float64Array(prefixIndexSlots)
  readonly #salts = new Map<string, BlockSalt>()

  constructor({ facts, prefixMemory }: PluginPorts) {
    this.#facts = facts
    facts.promptChain = { chain: this.#chain, blockTokens }
    this.#index = new PrefixIndex(prefixMemory ?? prefixIndexMemory({ blocks: ownIndexBlocks, blockTokens }))
  }

  /** The blocks of the prompt that facts were produced for last; reused. */
  get chain(): BlockChain {
    return this.#chain
  }

  produce({ body, promptSpans, promptBytes, model, cacheSalt }: ScheduleRequest, candidates: Candidates): void {
    const chain = this.#chain
    const index = this.#index
    this.#settle(candidates)
    const salt = cacheSalt === undefined ? this.#saltOf(model) : this.#hasher.saltOf([model, cacheSalt])
    chain.blocks = promptBytes === 0 ? 0 : this.#hasher.hash(body.slices, promptSpans, salt, chain.hashes)
    const longest = index.match(chain, candidates, this.#match)
    this.#facts.missHash = chain.blocks === 0 ? 0 : chain.hashes[2 * Math.min(longest, chain.blocks - 1)]!
    this.#tell(candidates)
  }

  placed(_request: ScheduleRequest, slot: number): Placement | undefined {
    const { hashes, blocks } = this.#chain
    if (blocks === 0) return undefined
    const held = this.#match.matched[slot]!
    // What requests in flight use may be there only for them, and go when none of them is answered.
    const isSure = held === blocks && this.#match.inUse[slot] === 0
    this.#index.dispatch(this.#chain, slot, held)
    const own = this.#pool.take(4 * blocks)
    own.set(hashes.subarray(0, 2 * blocks))
    this.#index.keepCells(own, 2 * blocks)
    return new PrefixPlacement({
      index: this.#index,
      pool: this.#pool,
      chain: { hashes: own, blocks, cellsAt: 2 * blocks },
      slot,
      isSure,
    })
  }

  #tell({ slots, count }: Candidates): void {
    const facts = this.#facts
    const { matched, inUse } = this.#match
    const { blocks } = this.#chain
    // Most candidates miss the same block: what is known of it is asked for once.
    let missed = -1
    let holders = 0
    let uses = 0
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      const held = matched[slot]!
      facts.cachedTokens[slot] = Math.min(facts.promptTokens, held * blockTokens)
      facts.inUseTokens[slot] = Math.min(facts.promptTokens, inUse[slot]! * blockTokens)
      if (held !== missed) {
        missed = held
        holders = held < blocks ? this.#index.holders(held) : 0
        uses = holders > 0 ? this.#index.uses(held) : 0
      }
      facts.missHolders[slot] = holders
      facts.missUses[slot] = uses
    }
  }

  /** Tells the index how much each candidate can hold. */
  #settle({ slots, count, loads }: Candidates): void {
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      const reported = loads.blockSize[slot]! * loads.blockCount[slot]!
      const tokens = reported > 0 ? reported : unknownCapacityTokens
      if (this.#capacities[slot] === tokens) continue
      this.#capacities[slot] = tokens
      this.#index.setCapacity(slot, tokens)
    }
  }

  /** What keeps models, and adapters, which are models by name, apart. */
  #saltOf(model: string): BlockSalt {
    const known = this.#salts.get(model)
    if (known !== undefined) return known
    const salt = this.#hasher.saltOf([model])
    if (this.#salts.size >= keptSalts) this.#salts.clear()
    this.#salts.set(model, salt)
    return salt
  }
}

interface PlacementPorts {
  readonly index: PrefixIndex
  readonly pool: Int32Pool
  /** Of `pool`. */
  readonly chain: BlockChain
  readonly slot: number
  /** Whether all of it was there before for requests that have been answered. */
  readonly isSure: boolean
}

/** A prompt at its endpoint: what it holds there counts as used until it ends, and as never sent when nothing came of it. */
class PrefixPlacement implements Placement {
  readonly #ports: PlacementPorts

  constructor(ports: PlacementPorts) {
    this.#ports = ports
  }

  firstToken(): void {
    const { index, chain, slot, isSure } = this.#ports
    if (!isSure) index.confirm(chain, slot)
  }

  ended({ isAnswered }: { readonly isAnswered: boolean }): void {
    const { index, pool, chain, slot } = this.#ports
    if (isAnswered) index.release(chain, slot)
    else index.withdraw(chain, slot)
    pool.giveBack(chain.hashes)
  }
}

/** Tells how much of the prompt each endpoint has cached, by what was sent there. */
export const prefix = definePlugin({
  point: 'producer',
  type: 'prefix',
  stability: 'beta',
  summary: 'Tells how much of the prompt each endpoint has in its KV cache, by the prompts that were sent there.',
  reads: ['blockSize', 'blockCount'],
  writes: ['cachedTokens', 'inUseTokens', 'missHolders', 'missUses', 'missHash'],
  parameters: z.strictObject({}),
  create: (_parameters, ports) => new PrefixProducer(ports),
})
