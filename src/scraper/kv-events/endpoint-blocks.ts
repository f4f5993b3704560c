import type { PrefixIndex } from '#struct/prefix-index.ts'
import { type ChainState, chainUnitTokens, TokenChain, unitsOf } from '#struct/token-chain.ts'
import type { KvBatch, KvTier, RemovedBlocks, StoredRun } from './read-batch.ts'

/** Blocks of one endpoint that are told apart: 8 million tokens in blocks of 16. What comes after them is not known. */
export const maxEndpointBlocks = 524_288

/** Cache groups that are known to be of another kind. */
const maxOtherGroups = 64

/** The capacity of every slot: what is told exactly does not expire by volume. */
const slotCapacity = 2 ** 28

/** One block in the engine's cache. */
interface Block extends ChainState {
  /** Tokens from the start of the prompt to the end of the block. */
  readonly tokens: number
  /** Words of the key, where one stands at the block's end. */
  readonly key: readonly [low: number, high: number] | undefined
  /** Copies in each tier: engines announce and remove each copy by itself. */
  gpu: number
  cpu: number
}

/**
 * The blocks of one endpoint by the names that its engine gives them, and what follows from them in the index: which keys
 * the endpoint holds. A block counts as held while a copy is in any tier: loading one from the host's memory costs far
 * less than computing it.
 */
export class EndpointBlocks {
  readonly #index: PrefixIndex
  readonly #slot: number
  readonly #chain = new TokenChain()
  readonly #words = new Int32Array(2)
  readonly #otherGroups = new Set<number>()
  #blocks = new Map<bigint, Block>()
  /** What was there before the last clear: a request that runs through it still builds on it. */
  #before: ReadonlyMap<bigint, Block> = new Map()
  #blockTokens = 0
  #unplaced = 0

  constructor(index: PrefixIndex, slot: number) {
    this.#index = index
    this.#slot = slot
    index.setCapacity(slot, slotCapacity)
    index.forget(slot)
  }

  /** Blocks known now. */
  get size(): number {
    return this.#blocks.size
  }

  /** Tokens of the engine's blocks; 0 before the first. */
  get blockTokens(): number {
    return this.#blockTokens
  }

  /** Blocks that could not be placed so far: the one before them was unknown, or there was no room. */
  get unplaced(): number {
    return this.#unplaced
  }

  apply({ events }: KvBatch): void {
    for (const event of events) {
      if (event.type === 'cleared') this.#clear()
      else if (event.type === 'removed') this.#remove(event)
      else this.#store(event)
    }
  }

  /** Nothing is known any longer: neither of blocks nor of what built on them. */
  forget(): void {
    this.#blocks = new Map()
    this.#before = new Map()
    this.#index.forget(this.#slot)
  }

  #clear(): void {
    this.#before = this.#blocks
    this.#blocks = new Map()
    this.#index.forget(this.#slot)
  }

  #store(run: StoredRun): void {
    const { names, parent, tokenIds, blockTokens, tier } = run
    if (!run.isWhole) {
      if (this.#otherGroups.size < maxOtherGroups) this.#otherGroups.add(run.group)
      return
    }
    this.#blockTokens = blockTokens
    const keyTokens = unitsOf(blockTokens) * chainUnitTokens
    const chain = this.#chain
    let tokens = 0
    if (parent === undefined) chain.start(run.adapter, run.extras[0] ?? '')
    else {
      const before = this.#blocks.get(parent) ?? this.#before.get(parent)
      if (before === undefined) return void (this.#unplaced += names.length)
      chain.resume(before)
      tokens = before.tokens
    }
    for (let i = 0; i < names.length; i++) {
      const extras = run.extras[i] ?? ''
      if (tokens > 0 && extras !== '') chain.mixText(extras)
      for (let t = 0; t < blockTokens; t++) chain.push(tokenIds[i * blockTokens + t]!)
      tokens += blockTokens
      this.#hold(names[i]!, tokens, tokens % keyTokens === 0, tier)
    }
  }

  /** The block that ends where `#chain` is has one copy more. */
  #hold(name: bigint, tokens: number, hasKey: boolean, tier: KvTier): void {
    const known = this.#blocks.get(name)
    if (known !== undefined) return void known[tier]++
    if (this.#blocks.size >= maxEndpointBlocks) return void this.#unplaced++
    const { low, high } = this.#chain
    this.#chain.write(this.#words, 0)
    const key = hasKey ? ([this.#words[0]!, this.#words[1]!] as const) : undefined
    const block: Block = { low, high, tokens, key, gpu: 0, cpu: 0 }
    block[tier] = 1
    this.#blocks.set(name, block)
    if (key !== undefined && !this.#index.setHolder(key[0], key[1], this.#slot)) this.#unplaced++
  }

  #remove({ names, tier, group }: RemovedBlocks): void {
    if (this.#otherGroups.has(group)) return
    for (const name of names) {
      const block = this.#blocks.get(name)
      if (block === undefined) continue
      block[tier] = Math.max(0, block[tier] - 1)
      if (block.gpu + block.cpu > 0) continue
      this.#blocks.delete(name)
      if (block.key !== undefined) this.#index.removeHolder(block.key[0], block.key[1], this.#slot)
    }
  }
}
