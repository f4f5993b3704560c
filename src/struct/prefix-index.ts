import { entriesPerBucket, roundBuckets } from './block-table.ts'
import { confirmed, confirmedFlag, emptiedFrom, exactFlag, released, slotMask, withdrawn } from './holder-cell.ts'
import {
  type BlockKey,
  type Demand,
  groupShift,
  groupSlots,
  HolderTable,
  type Holding,
  holderTableLayouts,
  holderTableWords,
} from './holder-table.ts'
import {
  chainAt,
  done,
  entriesAt,
  groupMarksAt,
  keptCellsAt,
  locatedAt,
  marksAt,
  useMarksAt,
} from './prefix-code-parts.ts'
import { type ChainChange, type IndexExports, prefixIndexModule } from './prefix-index-code.ts'
import { clockWords, maxSlots, VolumeClock } from './volume-clock.ts'
import { instantiate, newSharedMemory, pageBytes, type SharedMemory } from './wasm-host.ts'

/** What a prompt is to the index: the hashes of its blocks, low and high word each, in a typed array that is reused. */
export interface BlockChain {
  hashes: Int32Array
  /** Blocks in `hashes`. */
  blocks: number
  /** Where in `hashes` stands what `keepCells` wrote, two words a block, if it did. */
  readonly cellsAt?: number
}

/** The first `count` of `slots`, each at most once. */
export interface SlotList {
  readonly slots: ArrayLike<number>
  readonly count: number
}

/** Where a match goes, by slot. Only the candidates' elements are written. */
export interface PrefixMatch {
  /** Blocks from the first on, without a gap, that the slot holds. */
  readonly matched: Int32Array
  /** Blocks from the first on, without a gap, that requests in flight use there: they take no memory once more. */
  readonly inUse: Int32Array
}

export interface PrefixIndexOptions {
  /** Blocks that can be remembered. */
  readonly blocks: number
  /** Tokens of a block: what the clocks count. 64 by default. */
  readonly blockTokens?: number
  /** Blocks of the longest chain; of longer ones only so many count. 4,096 by default. */
  readonly maxChainBlocks?: number
}

/** Slots at most; what a result array must have. */
export const prefixIndexSlots = maxSlots

/** Up to so many blocks a loop copies sooner than a view of the hashes is made. */
const copyByLoop = 32

const headerWords = 16
const blockTokensAt = 0
const blockBucketsAt = 1
const groupBucketsAt = 2
const sweptAt = 3
const newBlocksAt = 4
const maxChainBlocksAt = 5
/** 1 once an engine has told of single blocks: its holdings may have gaps. What was sent somewhere has none. */
const gapsAt = 6

const tableBase = headerWords + clockWords

/** Eight entries to a bucket and some room, so that what is remembered need not make way for what is new. */
const blocksPerBucket = 6.8

/** One block in nine is held by more than two endpoints when the mean is 1.5, and has one or two groups. */
const blocksPerGroup = 7

/** Blocks of a chain that are asked when they were used last: enough for the mean, whatever the length. */
const overtakenSamples = 8

/** A whole sweep at least once in so many new blocks: far more often than any clock can turn over. */
const newBlocksPerSweep = 2 ** 22

/**
 * The memory of an index for any number of threads: about 40 bytes a block for entries and 12 for groups. Goes to
 * workers as it is.
 */
export function prefixIndexMemory(options: PrefixIndexOptions): SharedMemory {
  const { blocks, blockTokens = 64, maxChainBlocks = 4096 } = options
  const blockBuckets = roundBuckets(Math.ceil(blocks / blocksPerBucket))
  const groupBuckets = roundBuckets(Math.ceil(blocks / blocksPerGroup / entriesPerBucket))
  const words = tableBase + holderTableWords(blockBuckets, groupBuckets)
  const memory = newSharedMemory(Math.ceil((4 * words) / pageBytes))
  const header = new Int32Array(memory.buffer)
  header[blockTokensAt] = blockTokens
  header[blockBucketsAt] = blockBuckets
  header[groupBucketsAt] = groupBuckets
  header[maxChainBlocksAt] = maxChainBlocks
  return memory
}

/**
 * Which endpoint (slot) holds which blocks of prompts, as far as what was sent there and what engines report tells:
 * one table for all endpoints over shared memory, used by several threads at once without locks
 * (routing-algorithms.md 5.3). Every thread makes its own handle of the memory; a handle belongs to one thread.
 *
 * Time is volume: a block counts as held by a slot while the slot has taken no more than its capacity of new tokens
 * since the block was touched. Later blocks of a chain are touched as if earlier, so that a chain loses its tail first
 * and never its head. Blocks in use by requests in flight are held in any case.
 *
 * Races cost a wrong guess at most: a touch or an insertion may get lost, no count ever stays behind. A thread that
 * dies leaves its uses behind; they end when the slot's clock has moved on far enough (2^26 tokens). What is held is
 * exact as long as there is room. When both buckets of a block are full of what is held, the entry nearest to its end
 * makes room, never one in use: 1 % of insertions in a table of the advised size that is in use to two thirds.
 *
 * Life of a request: `match`, then `dispatch` to the chosen slot, `confirm` when its first token comes, `release` when it
 * ends; or `withdraw` instead of the last two when it failed before its first token. Each exactly once.
 */
export class PrefixIndex {
  readonly #header: Int32Array
  readonly #clock: VolumeClock
  readonly #table: HolderTable
  readonly #blockTokens: number

  readonly #walk: IndexExports
  readonly #maxChainBlocks: number

  /** The chain that was copied for `#walk` last, its hashes, and its entries as far as `#located[0]` blocks. */
  #blocks = 0
  readonly #hashes: Int32Array
  readonly #entries: Int32Array
  readonly #located: Int32Array
  /** The cells of the last dispatch, or of the change under way. */
  readonly #cells: Int32Array

  /**
   * By slot + 1, as cells have it: the marks of the match under way. A candidate that holds the first n blocks has
   * `#base + n`; older matches left smaller numbers. Likewise by group, for any of its slots.
   */
  readonly #marks: Int32Array
  readonly #useMarks: Int32Array
  readonly #groupMarks: Int32Array
  #base = 1

  readonly #key: BlockKey = { low: 0, high: 0 }
  readonly #holding: Holding = { slot: 0, touch: 0, uses: 0, flags: 0 }
  /** By block of the chain matched last, where `match` is the number of that match. */
  readonly #demands: (Demand & { match: number })[] = []
  #matches = 0

  constructor(memory: SharedMemory) {
    const words = new Int32Array(memory.buffer)
    this.#header = words.subarray(0, headerWords)
    this.#blockTokens = words[blockTokensAt] as number
    this.#maxChainBlocks = words[maxChainBlocksAt] as number
    this.#clock = new VolumeClock(words.subarray(headerWords, tableBase))
    const layouts = holderTableLayouts(tableBase, words[blockBucketsAt] as number, words[groupBucketsAt] as number)
    this.#table = new HolderTable(words, layouts, this.#clock)
    const maxBlocks = this.#maxChainBlocks
    const sharedPages = memory.buffer.byteLength / pageBytes
    const code = prefixIndexModule({ ...layouts, clockBase: headerWords, sharedPages, maxBlocks })
    this.#walk = instantiate(code, memory) as IndexExports
    const own = this.#walk.memory.buffer
    this.#marks = new Int32Array(own, marksAt, slotMask + 1)
    this.#useMarks = new Int32Array(own, useMarksAt, slotMask + 1)
    this.#groupMarks = new Int32Array(own, groupMarksAt, maxSlots / groupSlots)
    this.#located = new Int32Array(own, locatedAt, 1)
    this.#hashes = new Int32Array(own, chainAt, 2 * maxBlocks)
    this.#entries = new Int32Array(own, entriesAt(maxBlocks), maxBlocks)
    this.#cells = new Int32Array(own, keptCellsAt(maxBlocks), 2 * maxBlocks)
  }

  /** How many tokens the slot's endpoint can hold. A slot without a capacity holds nothing. */
  setCapacity(slot: number, tokens: number): void {
    this.#clock.setCapacity(slot, tokens)
  }

  /** The slot has another endpoint from now on, or its endpoint an empty cache: nothing held so far counts. */
  forget(slot: number): void {
    this.#clock.restart(slot)
  }

  /** `tokens` went into the endpoint's cache that no chain tells of: answers, prompts without hashable text. */
  advance(slot: number, tokens: number): void {
    this.#clock.advance(slot, tokens)
    this.#sweepAfter(Math.ceil(tokens / this.#blockTokens))
  }

  /**
   * For every candidate: how many blocks of the chain it holds, from the first on without a gap, and how many of them
   * are in use. Returns the longest match. The work grows with the blocks that somebody among the candidates holds and
   * with their holders.
   */
  match(chain: BlockChain, candidates: SlotList, result: PrefixMatch): number {
    const blocks = this.#copy(chain)
    const base = this.#startMatch(blocks)
    this.#matches++
    const { slots, count } = candidates
    for (let i = 0; i < count; i++) {
      const slot = slots[i] as number
      this.#marks[slot + 1] = base
      this.#useMarks[slot + 1] = base
      this.#groupMarks[slot >> groupShift] = base
    }
    const depth = count === 0 ? 0 : this.#holdersOf(blocks, base)
    for (let i = 0; i < count; i++) {
      const slot = slots[i] as number
      result.matched[slot] = (this.#marks[slot + 1] as number) - base
      result.inUse[slot] = (this.#useMarks[slot + 1] as number) - base
    }
    return depth
  }

  /**
   * How many endpoints, candidates or not, hold block `index` of the chain that was matched last: to be asked before
   * anything else is done with the index, as the next two.
   */
  holders(index: number): number {
    return this.#demandOf(index).holders
  }

  /** How many endpoints hold block `index` of the chain matched last for requests in flight. */
  holdersInUse(index: number): number {
    return this.#demandOf(index).holdersInUse
  }

  /** How many requests in flight use block `index` of the chain matched last. */
  uses(index: number): number {
    return this.#demandOf(index).uses
  }

  /**
   * The request goes to `slot`: from now on the slot counts as holding and using all of its blocks. `held` is what
   * `match` said of the slot; the rest is new there and moves its clock.
   */
  dispatch(chain: BlockChain, slot: number, held: number): void {
    if (this.#clock.capacity[slot] === 0) {
      this.#cells.fill(0, 0, 2 * this.#copy(chain))
      return
    }
    const blocks = this.#locateRest(chain)
    const newBlocks = blocks - held
    const overtaken = this.#overtakenBy(Math.min(held, blocks), slot)
    const now = this.#clock.advance(slot, newBlocks * this.#blockTokens + overtaken)
    const holding = this.#holding
    holding.slot = slot
    holding.uses = 1
    holding.flags = 0
    let left = this.#walk.dispatch(blocks, slot + 1, now, this.#blockTokens)
    if (left > 0) left -= this.#walk.insert(blocks, slot + 1, now, this.#blockTokens)
    const end = left > 0 ? blocks : 0
    for (let i = 0; i < end; i++) {
      const entry = this.#keyAt(i)
      if (entry === done) continue
      holding.touch = (now - i * this.#blockTokens) | 0
      if (entry < 0 || !this.#table.hold(entry, this.#key, holding)) this.#insert()
    }
    this.#sweepAfter(newBlocks)
  }

  /**
   * Right after `dispatch`: writes where the blocks of the chain are recorded into `hashes` from `cellsAt` on. Whoever has the chain
   * with it spares the index the search, when the first token comes and in the end.
   */
  keepCells(hashes: Int32Array, cellsAt: number): void {
    const words = 2 * this.#blocks
    if (words > 2 * copyByLoop) hashes.set(this.#cells.subarray(0, words), cellsAt)
    else for (let i = 0; i < words; i++) hashes[cellsAt + i] = this.#cells[i] as number
  }

  /** The first token came: the slot does hold the blocks, whatever becomes of other requests. */
  confirm(chain: BlockChain, slot: number): void {
    const { confirm, confirmKept } = this.#walk
    const left = this.#change(chain, slot, { kept: confirmKept, found: confirm })
    if (left > 0) this.#changeRest(slot, confirmed)
  }

  /** The request has ended: it uses its blocks no longer, and their age starts from now. */
  release(chain: BlockChain, slot: number): void {
    const { release, releaseKept } = this.#walk
    const left = this.#change(chain, slot, { kept: releaseKept, found: release })
    if (left > 0) this.#changeRest(slot, released, true)
  }

  /**
   * The request failed before its first token: it uses its blocks no longer, and those that no other request uses and
   * none has confirmed are held no longer.
   */
  withdraw(chain: BlockChain, slot: number): void {
    const { withdraw, withdrawKept } = this.#walk
    const left = this.#change(chain, slot, { kept: withdrawKept, found: withdraw })
    if (left > 0) this.#changeRest(slot, withdrawn)
  }

  /** The endpoint says that it holds a block: it does until it says otherwise. False when there was no room. */
  setHolder(low: number, high: number, slot: number): boolean {
    if (this.#clock.capacity[slot] === 0) return false
    this.#header[gapsAt] = 1
    this.#key.low = low
    this.#key.high = high
    this.#holding.slot = slot
    this.#holding.touch = this.#clock.volume[slot] as number
    this.#holding.uses = 0
    this.#holding.flags = confirmedFlag | exactFlag
    return this.#insert()
  }

  /** The endpoint says that it holds a block no longer. */
  removeHolder(low: number, high: number, slot: number): void {
    this.#header[gapsAt] = 1
    this.#key.low = low
    this.#key.high = high
    this.#table.change(this.#table.blocks.find(low, high), this.#key, slot, emptiedFrom)
  }

  /**
   * Frees what has expired in the next `buckets` buckets of eight blocks. `dispatch` does so now and then, enough for
   * the index to stay right; a thread with time to spare makes room for the others before they need it.
   */
  sweep(buckets: number): void {
    const from = Atomics.add(this.#header, sweptAt, buckets) >>> 0
    for (let i = 0; i < buckets; i++) this.#table.sweep(from + i)
  }

  /** Blocks that had not expired when they made room for others, counted by this handle. */
  get displaced(): number {
    return this.#table.blocks.displaced + this.#table.groups.displaced
  }

  /** Blocks that have an entry. Reads the whole table. */
  countBlocks(): number {
    const { blocks } = this.#table
    let count = 0
    for (let i = 0; i < blocks.layout.buckets; i++) count += blocks.occupied(i)
    return count
  }

  /** Records `#holding` of the block `#key`, with a new entry when it has none. */
  #insert(): boolean {
    const { blocks } = this.#table
    const { low, high } = this.#key
    let entry = blocks.find(low, high)
    if (entry < 0) entry = blocks.claim(low, high)
    return entry >= 0 && this.#table.hold(entry, this.#key, this.#holding)
  }

  /** Makes the usual changes, by the cells kept if the chain has them, and gives how many blocks are left. */
  #change(chain: BlockChain, slot: number, by: { readonly kept: ChainChange; readonly found: ChainChange }): number {
    const now = this.#clock.volume[slot] as number
    const { hashes, cellsAt } = chain
    if (cellsAt === undefined) return by.found(this.#locateAll(chain), slot + 1, now, this.#blockTokens)
    const blocks = this.#copy(chain)
    if (blocks > copyByLoop) this.#cells.set(hashes.subarray(cellsAt, cellsAt + 2 * blocks))
    else for (let i = 0; i < 2 * blocks; i++) this.#cells[i] = hashes[cellsAt + i] as number
    return by.kept(blocks, slot + 1, now, this.#blockTokens)
  }

  /** Changes the cells of those blocks of the chain copied last that are not done, and moves their touch on if `touches`. */
  #changeRest(slot: number, change: (meta: number) => number, touches = false): void {
    const { blocks: table, words } = this.#table
    const now = this.#clock.volume[slot] as number
    const birth = this.#clock.birth[slot] as number
    for (let i = 0; i < this.#blocks; i++) {
      if (this.#keyAt(i) === done) continue
      const { low, high } = this.#key
      const cell = this.#table.change(table.find(low, high), this.#key, slot, change)
      if (cell < 0 || !touches) continue
      const before = words[cell] as number
      const touch = (now - i * this.#blockTokens) | 0
      if (((before - birth) | 0) >= 0 && ((touch - before) | 0) > 0) words[cell] = touch
    }
  }

  /** Sets `#key` to block `index` of the chain copied last and gives the entry that was found for it. */
  #keyAt(index: number): number {
    this.#key.low = this.#hashes[2 * index] as number
    this.#key.high = this.#hashes[2 * index + 1] as number
    return this.#entries[index] as number
  }

  /**
   * What the clock of `slot` moves on by because the first `held` blocks of the chain located last are used once more. An
   * engine gives up what was used longest ago, so they overtake all that was used since their own last use, and nothing
   * else. One clock cannot tell who that is: it moves by their size times the share of the capacity that has gone by since. Without
   * it whatever is asked for again and again seems to fit: 92 % of the blocks of prompts drawn evenly from twice as many as an
   * engine can hold, of which it has 53 %.
   */
  #overtakenBy(held: number, slot: number): number {
    const { words } = this.#table
    const now = this.#clock.volume[slot] as number
    const capacity = this.#clock.capacity[slot] as number
    const samples = Math.min(held, overtakenSamples)
    let age = 0
    for (let i = 0; i < samples; i++) {
      const index = Math.floor(((i + 0.5) * held) / samples)
      const entry = this.#keyAt(index)
      const cell = entry < 0 ? -1 : this.#table.cellOf(entry, this.#key, slot)
      if (cell < 0 || ((words[cell + 1] as number) & exactFlag) !== 0) continue
      const lastUse = (words[cell] as number) + index * this.#blockTokens
      age += Math.min(capacity, Math.max(0, (now - lastUse) | 0))
    }
    return samples === 0 ? 0 : Math.floor((held * this.#blockTokens * age) / (samples * capacity))
  }

  /** Marks who holds what of the chain copied last, and gives the longest match. */
  #holdersOf(blocks: number, base: number): number {
    return this.#header[gapsAt] === 0 ? this.#walk.seek(blocks, base) : this.#walk.walk(blocks, base)
  }

  /** Many candidates miss the same block: what is found out of one is kept until the next match. */
  #demandOf(index: number): Demand {
    const known = this.#demands[index]
    if (known?.match === this.#matches) return known
    const demand = known ?? { holders: 0, holdersInUse: 0, uses: 0, match: 0 }
    this.#demands[index] = demand
    demand.holders = 0
    demand.holdersInUse = 0
    demand.uses = 0
    demand.match = this.#matches
    if (index >= this.#blocks) return demand
    this.#locateOne(index)
    const entry = this.#keyAt(index)
    if (entry >= 0) this.#table.addDemand(entry, this.#key, demand)
    return demand
  }

  /** Finds the entry of one block of the chain copied last, if it is not known. */
  #locateOne(index: number): void {
    const located = this.#located[0] as number
    if (index < located) return
    this.#walk.locate(index, index + 1)
    if (index > located) this.#located[0] = located
  }

  #sweepAfter(newBlocks: number): void {
    const { buckets } = this.#table.blocks.layout
    const interval = Math.max(1, Math.floor(newBlocksPerSweep / buckets))
    const before = Atomics.add(this.#header, newBlocksAt, newBlocks) & 0x3fffffff
    const due = Math.floor((before + newBlocks) / interval) - Math.floor(before / interval)
    if (due > 0) this.sweep(Math.min(due, buckets))
  }

  #startMatch(blocks: number): number {
    if (this.#base + 2 * (blocks + 2) > 2 ** 30) {
      this.#marks.fill(0)
      this.#useMarks.fill(0)
      this.#groupMarks.fill(0)
      this.#base = 1
    }
    const base = this.#base
    this.#base += blocks + 2
    return base
  }

  /** Copies a chain to where `#walk` reads it, and gives the blocks of it that count. */
  #copy({ hashes, blocks }: BlockChain): number {
    const count = Math.min(blocks, this.#maxChainBlocks)
    if (count > copyByLoop) this.#hashes.set(hashes.subarray(0, 2 * count))
    else for (let i = 0; i < 2 * count; i++) this.#hashes[i] = hashes[i] as number
    this.#blocks = count
    this.#located[0] = 0
    return count
  }

  /** Finds the entries of all blocks of a chain anew. */
  #locateAll(chain: BlockChain): number {
    const blocks = this.#copy(chain)
    this.#walk.locate(0, blocks)
    return blocks
  }

  /** Finds the entries of all blocks of a chain, but for those that its match has just found. */
  #locateRest(chain: BlockChain): number {
    const blocks = this.#isCopied(chain) ? this.#blocks : this.#copy(chain)
    this.#walk.locate(this.#located[0] as number, blocks)
    // What is inserted now has another entry than the one found.
    this.#located[0] = 0
    return blocks
  }

  /** Whether the chain is the one copied last. The hash of its last block depends on all the others. */
  #isCopied({ hashes, blocks }: BlockChain): boolean {
    const low = 2 * blocks - 2
    return (
      blocks > 0 &&
      blocks === this.#blocks &&
      hashes[low] === this.#hashes[low] &&
      hashes[low + 1] === this.#hashes[low + 1]
    )
  }
}
