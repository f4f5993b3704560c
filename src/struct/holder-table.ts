import { BlockTable, type BucketLayout, bucketLayout, bucketWordsOf, partHigh, partLow } from './block-table.ts'
import {
  cellWords,
  confirmedFlag,
  emptiedFrom,
  exactFlag,
  isPresent,
  longestLife,
  oneUse,
  slotMask,
  sweepCell,
  useMask,
  usesOf,
} from './holder-cell.ts'
import type { VolumeClock } from './volume-clock.ts'

/** Slots of one group: a block held by more slots than fit into its entry has one more entry per group of slots. */
export const groupSlots = 8
export const groupShift = 3
const slotInGroup = groupSlots - 1

/** Words of a block's entry: two words that tell which groups it has (bit: group modulo 64), and two cells. */
const groupBitsWords = 2
export const ownCellsAt = groupBitsWords
export const ownCells = 2
const blockEntryWords = groupBitsWords + ownCells * cellWords
const groupEntryWords = groupSlots * cellWords

/** How often an exchange is tried again. Giving up costs a wrong guess. */
const maxTries = 8

/** Words that the two tables take. */
export function holderTableWords(blockBuckets: number, groupBuckets: number): number {
  return blockBuckets * bucketWordsOf(blockEntryWords) + groupBuckets * bucketWordsOf(groupEntryWords)
}

/** Where the two tables lie: the table of blocks starts at the word `base`, the groups follow. */
export function holderTableLayouts(
  base: number,
  blockBuckets: number,
  groupBuckets: number,
): { readonly blocks: BucketLayout; readonly groups: BucketLayout } {
  const groupBase = base + blockBuckets * bucketWordsOf(blockEntryWords)
  return {
    blocks: bucketLayout(base, blockBuckets, blockEntryWords),
    groups: bucketLayout(groupBase, groupBuckets, groupEntryWords),
  }
}

/** Hash of a block: two words. */
export interface BlockKey {
  low: number
  high: number
}

/** The word with a group's bit in a block's entry is `entry + (group >> 5 & 1)`. */
const bitWord = (entry: number, group: number): number => entry + ((group >> 5) & 1)

/**
 * Who holds which block: a block's entry has two cells of its own, so that the usual block takes 32 bytes; a popular
 * one has groups of eight cells in a second table, found by block and group of slots. A slot has at most one cell per
 * block, at any time and from any thread.
 */
export class HolderTable {
  readonly words: Int32Array
  readonly blocks: BlockTable
  readonly groups: BlockTable
  readonly #clock: VolumeClock
  /** The group entry that the last cell found lies in, or -1 when it lies in the block's entry. */
  #group = -1

  constructor(words: Int32Array, layouts: ReturnType<typeof holderTableLayouts>, clock: VolumeClock) {
    this.words = words
    this.#clock = clock
    this.groups = new BlockTable(words, layouts.groups, {
      lifeLeft: (entry) => longestLife(words, entry, groupSlots, clock),
      reset: (entry) => this.#resetCells(entry, groupSlots),
    })
    this.blocks = new BlockTable(words, layouts.blocks, {
      lifeLeft: (entry, low, high) => this.#lifeOfBlock(entry, { low, high }),
      reset: (entry) => {
        words[entry] = 0
        words[entry + 1] = 0
        this.#resetCells(entry + ownCellsAt, ownCells)
      },
    })
  }

  /** The group's entry of a block, or -1. */
  findGroup({ low, high }: BlockKey, group: number): number {
    return this.groups.find(partLow(low, high, group), partHigh(high, group))
  }

  /** The cell that says that `slot` holds, or held, the block of `entry`; -1 when there is none. */
  cellOf(entry: number, key: BlockKey, slot: number): number {
    const { words } = this
    this.#group = -1
    const cell = this.#ownCell(entry, slot)
    if (cell >= 0) return cell
    const group = slot >> groupShift
    if (((words[bitWord(entry, group)] as number) & (1 << (group & 31))) === 0) return -1
    return this.#groupCell(key, slot)
  }

  /** Records that a slot holds the block of `entry`. False when it could not be recorded. */
  hold(entry: number, key: BlockKey, holding: Holding): boolean {
    const { words } = this
    const { slot, touch, uses, flags } = holding
    for (let attempt = 0; attempt < maxTries; attempt++) {
      const cell = this.cellOf(entry, key, slot)
      if (cell < 0) return this.#newCell(entry, key, holding)
      const meta = words[cell + 1] as number
      if (!this.#belongs(entry, key, slot, meta)) continue
      if (Atomics.compareExchange(words, cell + 1, meta, this.#used(cell, meta, uses) | flags) !== meta) continue
      words[cell] = touch
      return true
    }
    return false
  }

  /**
   * Changes the description of the slot's cell of a block: `change` gives the new one, or the same to leave it. Returns
   * the cell, or -1. `entry` is where the block's entry was found, or -1. Where the slot's group has a cell that its
   * block's entry no longer tells of, one with requests in flight goes first: so every use that began is found again
   * when it ends.
   */
  change(entry: number, key: BlockKey, slot: number, change: (meta: number) => number): number {
    const { words } = this
    let at = entry
    for (let attempt = 0; attempt < maxTries; attempt++) {
      const cell = this.#cellToChange(at, key, slot)
      if (cell < 0) return -1
      const meta = words[cell + 1] as number
      if (this.#belongs(at, key, slot, meta)) {
        const next = change(meta)
        if (next === meta || Atomics.compareExchange(words, cell + 1, meta, next) === meta) return cell
      } else at = this.blocks.find(key.low, key.high)
    }
    return -1
  }

  /** Adds up who holds the block and for how many requests. Looks at up to 8 groups per bit of the entry. */
  addDemand(entry: number, key: BlockKey, demand: Demand): void {
    this.#addCells(entry + ownCellsAt, ownCells, demand)
    this.#eachGroup(entry, key, (found) => this.#addCells(found, groupSlots, demand))
  }

  /** Sweeps a bucket of each table: `index` counts over both. */
  sweep(index: number): void {
    const { words } = this
    const clock = this.#clock
    const block = index % this.blocks.layout.buckets
    this.blocks.sweep(block, (entry, low, high) => {
      for (let i = 0; i < ownCells; i++) sweepCell(words, entry + ownCellsAt + i * cellWords, clock)
      this.#sweepBits(entry, { low, high })
      return this.#isOccupied(entry)
    })
    this.groups.sweep(index % this.groups.layout.buckets, (entry) => {
      for (let i = 0; i < groupSlots; i++) sweepCell(words, entry + i * cellWords, clock)
      return longestLife(words, entry, groupSlots, clock) >= 0
    })
  }

  #addCells(first: number, count: number, demand: Demand): void {
    const { words } = this
    for (let cell = first; cell < first + count * cellWords; cell += cellWords) {
      const meta = words[cell + 1] as number
      if ((meta & slotMask) === 0 || !isPresent(words, cell, this.#clock)) continue
      demand.holders++
      const uses = usesOf(meta)
      demand.uses += uses
      if (uses > 0) demand.holdersInUse++
    }
  }

  #ownCell(entry: number, slot: number): number {
    const { words } = this
    const first = entry + ownCellsAt
    if (((words[first + 1] as number) & slotMask) === slot + 1) return first
    return ((words[first + cellWords + 1] as number) & slotMask) === slot + 1 ? first + cellWords : -1
  }

  #cellToChange(entry: number, key: BlockKey, slot: number): number {
    const { words } = this
    this.#group = -1
    const cell = entry < 0 ? -1 : this.#ownCell(entry, slot)
    if (cell >= 0 && ((words[cell + 1] as number) & useMask) !== 0) return cell
    const inGroup = this.#groupCell(key, slot)
    if (inGroup >= 0 && (cell < 0 || ((words[inGroup + 1] as number) & useMask) !== 0)) return inGroup
    this.#group = -1
    return cell
  }

  /** The slot's cell in its group, which is remembered, or -1. */
  #groupCell(key: BlockKey, slot: number): number {
    const found = this.findGroup(key, slot >> groupShift)
    if (found < 0) return -1
    const cell = found + (slot & slotInGroup) * cellWords
    if (((this.words[cell + 1] as number) & slotMask) !== slot + 1) return -1
    this.#group = found
    return cell
  }

  /** Whether the entry around the cell found last still belongs to the block, and the description to the slot. */
  #belongs(entry: number, { low, high }: BlockKey, slot: number, meta: number): boolean {
    if ((meta & slotMask) !== slot + 1) return false
    if (this.#group < 0) return this.blocks.holds(entry, low, high)
    const group = slot >> groupShift
    return this.groups.holds(this.#group, partLow(low, high, group), partHigh(high, group))
  }

  /** The description of a cell after `uses` more. What had expired starts anew: nobody has confirmed it. */
  #used(cell: number, meta: number, uses: number): number {
    const base = isPresent(this.words, cell, this.#clock) ? meta : meta & ~(useMask | confirmedFlag | exactFlag)
    return usesOf(base) + uses > usesOf(useMask) ? base | useMask : base + uses * oneUse
  }

  /** Takes a cell for a slot that has none: an own one, else one in the slot's group. */
  #newCell(entry: number, key: BlockKey, holding: Holding): boolean {
    const { words } = this
    for (let i = 0; i < ownCells; i++) {
      const cell = entry + ownCellsAt + i * cellWords
      const meta = words[cell + 1] as number
      if ((meta & slotMask) !== 0 && isPresent(words, cell, this.#clock)) continue
      if (!this.blocks.holds(entry, key.low, key.high)) return false
      if (this.#take(cell, meta, holding)) return this.#keepUnlessTwice(entry, key, holding.slot, cell)
    }
    return this.#newGroupCell(entry, key, holding)
  }

  #newGroupCell(entry: number, key: BlockKey, holding: Holding): boolean {
    const { words } = this
    const { slot } = holding
    const group = slot >> groupShift
    const [low, high] = [partLow(key.low, key.high, group), partHigh(key.high, group)]
    Atomics.or(words, bitWord(entry, group), 1 << (group & 31))
    let found = this.groups.find(low, high)
    if (found < 0) found = this.groups.claim(low, high)
    if (found < 0) return false
    const cell = found + (slot & slotInGroup) * cellWords
    const meta = words[cell + 1] as number
    if (!this.groups.holds(found, low, high) || !this.#take(cell, meta, holding)) return false
    // A sweep may have cleared the bit before the group was there.
    Atomics.or(words, bitWord(entry, group), 1 << (group & 31))
    return this.#keepUnlessTwice(entry, key, slot, cell)
  }

  #take(cell: number, meta: number, { slot, uses, flags, touch }: Holding): boolean {
    const next = emptiedFrom(meta) | (slot + 1) | (uses * oneUse) | flags
    if (Atomics.compareExchange(this.words, cell + 1, meta, next) !== meta) return false
    this.words[cell] = touch
    return true
  }

  /** Of two threads that give one slot two cells at least one sees the other's here, and gives its own back. */
  #keepUnlessTwice(entry: number, key: BlockKey, slot: number, own: number): boolean {
    const { words } = this
    let isTwice = false
    for (let i = 0; i < ownCells; i++) {
      const cell = entry + ownCellsAt + i * cellWords
      if (cell !== own && (Atomics.load(words, cell + 1) & slotMask) === slot + 1) isTwice = true
    }
    const group = slot >> groupShift
    if (!isTwice && (Atomics.load(words, bitWord(entry, group)) & (1 << (group & 31))) !== 0) {
      const found = this.findGroup(key, group)
      const cell = found + (slot & slotInGroup) * cellWords
      isTwice = found >= 0 && cell !== own && (Atomics.load(words, cell + 1) & slotMask) === slot + 1
    }
    if (!isTwice) return true
    const meta = words[own + 1] as number
    if ((meta & slotMask) === slot + 1) Atomics.compareExchange(words, own + 1, meta, emptiedFrom(meta))
    return false
  }

  #resetCells(first: number, count: number): void {
    const { words } = this
    for (let cell = first; cell < first + count * cellWords; cell += cellWords)
      Atomics.store(words, cell + 1, emptiedFrom(words[cell + 1] as number))
  }

  #lifeOfBlock(entry: number, key: BlockKey): number {
    let life = longestLife(this.words, entry + ownCellsAt, ownCells, this.#clock)
    if (((this.words[entry] as number) | (this.words[entry + 1] as number)) === 0) return life
    this.#eachGroup(entry, key, (found) => {
      life = Math.max(life, longestLife(this.words, found, groupSlots, this.#clock))
    })
    return life
  }

  #eachGroup(entry: number, key: BlockKey, visit: (found: number, group: number) => void): void {
    const groupLimit = (this.#clock.slotLimit + slotInGroup) >> groupShift
    for (let word = 0; word < groupBitsWords; word++) {
      for (let bits = this.words[entry + word] as number; bits !== 0; bits &= bits - 1) {
        const bit = 31 - Math.clz32(bits & -bits)
        for (let group = 32 * word + bit; group < groupLimit; group += 64) {
          const found = this.findGroup(key, group)
          if (found >= 0) visit(found, group)
        }
      }
    }
  }

  /** Clears the bits of groups that are gone, and sets them again where one came back at the same moment. */
  #sweepBits(entry: number, key: BlockKey): void {
    const { words } = this
    if (((words[entry] as number) | (words[entry + 1] as number)) === 0) return
    const before = [words[entry] as number, words[entry + 1] as number]
    const bitsOf = this.#groupsPresent(entry, key)
    for (let word = 0; word < groupBitsWords; word++)
      Atomics.and(words, entry + word, ~(before[word] as number) | (bitsOf[word] as number))
    const groupLimit = (this.#clock.slotLimit + slotInGroup) >> groupShift
    for (let group = 0; group < groupLimit; group++) {
      const bit = 1 << (group & 31)
      const word = (group >> 5) & 1
      const isCleared = ((before[word] as number) & ~(bitsOf[word] as number) & bit) !== 0
      if (isCleared && this.findGroup(key, group) >= 0) Atomics.or(words, entry + word, bit)
    }
  }

  #groupsPresent(entry: number, key: BlockKey): number[] {
    const present = [0, 0]
    this.#eachGroup(entry, key, (_, group) => {
      const word = (group >> 5) & 1
      present[word] = (present[word] as number) | (1 << (group & 31))
    })
    return present
  }

  #isOccupied(entry: number): boolean {
    const { words } = this
    if (((words[entry] as number) | (words[entry + 1] as number)) !== 0) return true
    for (let i = 0; i < ownCells; i++)
      if (((words[entry + ownCellsAt + i * cellWords + 1] as number) & slotMask) !== 0) return true
    return false
  }
}

/** Who holds a block. */
export interface Demand {
  holders: number
  /** Of them those where a request in flight uses it. */
  holdersInUse: number
  /** Requests in flight that use it. */
  uses: number
}

/** What `hold` records of a slot. */
export interface Holding {
  slot: number
  /** Reading of the slot's clock. */
  touch: number
  /** Requests in flight to add: 0 or 1. */
  uses: number
  /** `confirmedFlag`, `exactFlag` or 0. */
  flags: number
}
