/** What the functions of the prefix index in WebAssembly have in common: places in memory, hashes, keys of entries. */
import { type BucketLayout, entriesPerBucket, mixA, mixB, mixC } from './block-table.ts'
import { oneVersion, slotMask, versionMask } from './holder-cell.ts'
import { maxSlots } from './volume-clock.ts'
import {
  add32,
  and32,
  type Code,
  equal32,
  type FunctionCode,
  i32,
  isZero32,
  load32,
  local,
  multiply32,
  number32,
  or32,
  type Place,
  remainder32,
  select,
  setLocal,
  shiftLeft32,
  shiftRight32,
  store32,
  subtract32,
  xor32,
} from './wasm-code.ts'

/** The memory of one thread, in bytes: the marks of slots (by slot + 1) and of groups, then what belongs to a chain. */
export const marksAt = 0
export const useMarksAt = 4 * 2 * maxSlots
export const groupMarksAt = 2 * useMarksAt
export const readAt = groupMarksAt + 4 * maxSlots
export const locatedAt = readAt + 8
/** The hashes of a chain, 8 bytes each. */
export const chainAt = locatedAt + 8
/** The entries of its blocks, and the keys that new ones take the place of, 4 bytes each. */
export const entriesAt = (maxBlocks: number): number => chainAt + 8 * maxBlocks
export const takenAt = (maxBlocks: number): number => entriesAt(maxBlocks) + 4 * maxBlocks
/** The cells that the chain's blocks have at the slot of the last dispatch: address and {@link ownership}, 8 bytes each. */
export const keptCellsAt = (maxBlocks: number): number => takenAt(maxBlocks) + 4 * maxBlocks
export const ownBytes = (maxBlocks: number): number => keptCellsAt(maxBlocks) + 8 * maxBlocks

/** Stands for the entry of a block that is done; -1 for one that there is none of. */
export const done = -2

export interface IndexLayout {
  /** First word of the clocks. */
  readonly clockBase: number
  readonly blocks: BucketLayout
  readonly groups: BucketLayout
  readonly sharedPages: number
  /** Blocks of the longest chain. */
  readonly maxBlocks: number
}

/** Functions that others call, by number, in the order in which prefix-index-code.ts puts them. */
export const functions = {
  findBlock: 0,
  findGroup: 1,
  findFirst: 2,
  findSecond: 3,
  locate: 4,
  visitCell: 5,
  visitGroup: 6,
  visitGroups: 7,
  walk: 8,
  probe: 9,
  resolve: 10,
  seek: 11,
  spentBlock: 12,
  spentGroup: 13,
  wayForBlock: 14,
  wayForGroup: 15,
  claimGroup: 16,
  groupCell: 17,
  holdsGroup: 18,
  keepUnlessTwice: 19,
  newCell: 20,
} as const

const own = 1

export const constant = number32
export const shared = (address: Code, offset = 0): Code => load32({ address, offset })
export const mine = (address: Code, offset = 0): Place => ({ address, offset, memory: own })
export const words = (count: Code): Code => shiftLeft32(count, constant(2))
export const increase = (index: number, by: number): Code => setLocal(index, add32(local(index), constant(by)))
export const all = (...conditions: readonly Code[]): Code => conditions.reduce((both, next) => and32(both, next))

/** Where the chain has the low word of a block's hash, and its high word; `index` is a local. */
export const lowOf = (index: number): Code => load32(mine(shiftLeft32(local(index), constant(3)), chainAt))
export const highOf = (index: number): Code => load32(mine(shiftLeft32(local(index), constant(3)), chainAt + 4))

/** A word of the clocks; `owner` is a slot + 1. */
export const clockOf = (owner: Code, clockBase: number, place: number): Code =>
  shared(words(owner), 4 * (clockBase + place) - 4)

/** Where `keyOf` of block-table.ts makes 0 and 1 something else. */
export const keyOf = (low: Code): Code => select(or32(low, constant(2)), low, isZero32(shiftRight32(low, constant(1))))

/** The product of `mixed` in block-table.ts, by way of a local. */
function mixInto(target: number, value: Code, by: number): Code {
  return [
    ...setLocal(target, multiply32(value, constant(by))),
    ...setLocal(target, xor32(local(target), shiftRight32(local(target), constant(15)))),
  ]
}

/** The hashes that choose a key's two buckets. */
export const firstHash = (target: number, low: Code, high: Code): Code => [
  ...mixInto(target, high, mixA),
  ...setLocal(target, xor32(local(target), low)),
]
export const secondHash = (target: number, low: Code, high: Code): Code => [
  ...mixInto(target, xor32(low, shiftRight32(high, constant(16))), mixC),
  ...setLocal(target, xor32(local(target), high)),
]

/** The address of the bucket for the hash in a local. */
export function bucketAddress(hash: number, { base, bucketWords, steps, shift, mask }: BucketLayout): Code {
  const upper = shiftRight32(multiply32(shiftRight32(local(hash), constant(20)), constant(steps)), constant(12))
  const index = or32(shiftLeft32(upper, constant(shift)), and32(local(hash), constant(mask)))
  return add32(constant(4 * base), multiply32(index, constant(4 * bucketWords)))
}

/** The key of a block's group into two locals: `partLow` and `partHigh` of block-table.ts. */
export function partInto(into: readonly [number, number], low: Code, high: Code, group: Code): Code {
  const [partLow, partHigh] = into
  const part = add32(group, constant(1))
  return [
    ...mixInto(partLow, part, mixA),
    ...mixInto(partLow, xor32(keyOf(low), local(partLow)), mixB),
    ...setLocal(partLow, xor32(local(partLow), high)),
    ...mixInto(partHigh, add32(high, multiply32(part, constant(mixC))), mixA),
  ]
}

/**
 * The address of the key of an entry (its first word) into a local, and whether that key is this one: `holds` of
 * block-table.ts. A low word of 0 or 1 is kept as another: such a key is never found equal, and is left to others.
 */
export function keyTest(
  { base, bucketWords, entryWords }: BucketLayout,
  locals: { readonly entry: number; readonly key: number },
): { readonly set: Code; readonly test: (low: Code, high: Code) => Code } {
  const { entry, key } = locals
  const at = subtract32(local(entry), constant(base))
  const isPower = (bucketWords & (bucketWords - 1)) === 0
  const offset = isPower ? and32(at, constant(bucketWords - 1)) : remainder32(at, constant(bucketWords))
  const inEntries = subtract32(offset, constant(2 * entriesPerBucket))
  const way = shiftRight32(multiply32(inEntries, constant(Math.ceil(2 ** 16 / entryWords))), constant(16))
  return {
    set: setLocal(key, words(add32(subtract32(local(entry), offset), way))),
    test: (low, high) =>
      and32(equal32(shared(local(key)), low), equal32(shared(local(key), 4 * entriesPerBucket), high)),
  }
}

/** The description of an empty cell: `emptiedFrom` of holder-cell.ts. */
export const emptied = (meta: Code): Code => add32(and32(meta, constant(versionMask)), constant(oneVersion))

/** Who owns a cell, and since when: what of a description stays the same until the cell has another owner. */
export const ownership = (meta: Code): Code => and32(meta, constant(slotMask | versionMask))

/** Keeps where the block at `index` is recorded: the address of a cell, or 0. */
export function keepCell(index: number, cell: Code, maxBlocks: number): Code {
  const place = shiftLeft32(local(index), constant(3))
  return [
    ...store32(mine(place, keptCellsAt(maxBlocks)), cell),
    ...store32(mine(place, keptCellsAt(maxBlocks) + 4), ownership(shared(cell, 4))),
  ]
}

export const notFound = constant(-1)

/** A function of so many numbers, with so many local variables, that gives a number. */
export const functionOf = (parameters: number, locals: number, body: Code): FunctionCode => ({
  parameters: Array.from({ length: parameters }, () => i32),
  results: [i32],
  locals: Array.from({ length: locals }, () => i32),
  body,
  exportName: undefined,
})
