/**
 * New entries of the index's tables as WebAssembly: what `claim` of block-table.ts does, as long as there is a free way or one with
 * nothing in it that may still count. What needs more room is left to the table.
 */
import { type BucketLayout, entriesPerBucket, manyFree, reserved } from './block-table.ts'
import { cellWords, exactFlag, slotMask, useMask } from './holder-cell.ts'
import { groupSlots, ownCells, ownCellsAt } from './holder-table.ts'
import {
  bucketAddress,
  clockOf,
  constant,
  emptied,
  firstHash,
  functionOf,
  functions,
  type IndexLayout,
  keyOf,
  notFound,
  secondHash,
  shared,
  words,
} from './prefix-code-parts.ts'
import { clockPlaces } from './volume-clock.ts'
import {
  add32,
  allLanes,
  and32,
  type Code,
  call,
  equal32,
  equalLanes,
  exchange32,
  type FunctionCode,
  fence,
  finish,
  isZero32,
  laneBits,
  less32,
  loadLanes,
  local,
  multiply32,
  onesIn32,
  or32,
  publish32,
  remainder32,
  repeatWhile,
  select,
  setLocal,
  shiftLeft32,
  shiftRight32,
  signedAtLeast32,
  signedLess32,
  store32,
  subtract32,
  trailingZeros32,
  unequal32,
  when,
  xor32,
} from './wasm-code.ts'

/** Bits of the ways of a bucket whose words at an offset equal a value in all lanes. */
function waysEqual(bucket: number, offset: number, value: Code): Code {
  const half = (at: number): Code =>
    laneBits(equalLanes(loadLanes({ address: local(bucket), offset: offset + at }), allLanes(value)))
  return or32(half(0), shiftLeft32(half(16), constant(4)))
}

/** What a table's entries are made of: words that tell of more, then cells. */
interface EntryShape {
  readonly layout: BucketLayout
  readonly cellsAt: number
  readonly cells: number
  /** Number of the function that finds a way that can make room. */
  readonly spentWay: number
  /** Number of the function that finds the way of a new entry. */
  readonly wayFor: number
}

/**
 * (first bucket, second bucket) -> address of the key of an entry all of whose cells are empty or have certainly expired, or 0: what
 * is exact, in use or has groups is judged by `lifeLeft` of the table.
 */
function spentWayCode({ layout, cellsAt, cells }: EntryShape, clockBase: number): FunctionCode {
  const [bucket, second, way, at, entry, meta] = [0, 1, 2, 3, 4, 5] as const
  const floor = clockOf(and32(local(meta), constant(slotMask)), clockBase, clockPlaces.floor)
  const isSpent = (cell: number): Code => {
    const place = 4 * (cellsAt + cell * cellWords)
    const isOld = signedLess32(subtract32(shared(words(local(entry)), place), floor), constant(0))
    const isFree = isZero32(and32(local(meta), constant(useMask | exactFlag)))
    return or32(isZero32(and32(local(meta), constant(slotMask))), and32(isOld, isFree))
  }
  const unlessSpent = (cell: number, then: Code): Code => [
    ...setLocal(meta, shared(words(local(entry)), 4 * (cellsAt + cell * cellWords + 1))),
    ...when(isSpent(cell), then),
  ]
  const allSpent = Array.from({ length: cells }, (_, cell) => cell).reduceRight<Code>(
    (then, cell) => unlessSpent(cell, then),
    finish(local(at)),
  )
  const bits = Array.from({ length: cellsAt }, (_, word) => shared(words(local(entry)), 4 * word))
  const hasNoMore = isZero32(bits.reduce<Code>((some, word) => or32(some, word), constant(0)))
  const lookAt = [
    ...setLocal(at, add32(local(bucket), words(local(way)))),
    ...when(unequal32(shared(local(at)), constant(reserved)), [
      ...setLocal(entry, entryAt(bucket, local(way), layout)),
      ...when(hasNoMore, allSpent),
    ]),
    ...setLocal(way, add32(local(way), constant(1))),
  ]
  const eachWay = [
    ...setLocal(way, constant(0)),
    ...repeatWhile(lookAt, less32(local(way), constant(entriesPerBucket))),
  ]
  return functionOf(2, 4, [...eachWay, ...setLocal(bucket, local(second)), ...eachWay, ...constant(0)])
}

/** The entry in a way of the bucket whose address is in a local. */
function entryAt(bucket: number, way: Code, { entryWords }: BucketLayout): Code {
  const first = add32(shiftRight32(local(bucket), constant(2)), constant(2 * entriesPerBucket))
  return add32(first, multiply32(way, constant(entryWords)))
}

/** The entry whose key is at an address. */
export function entryOf(at: Code, { base, bucketWords, entryWords }: BucketLayout): Code {
  const key = shiftRight32(at, constant(2))
  const way = remainder32(subtract32(key, constant(base)), constant(bucketWords))
  return add32(add32(key, constant(2 * entriesPerBucket)), multiply32(way, constant(entryWords - 1)))
}

/** The addresses of a key's two buckets into locals. */
export function bucketsInto(
  { first, second, hash }: { readonly first: number; readonly second: number; readonly hash: number },
  low: Code,
  high: Code,
  layout: BucketLayout,
): Code {
  return [
    ...firstHash(hash, low, high),
    ...setLocal(first, bucketAddress(hash, layout)),
    ...secondHash(hash, low, high),
    ...setLocal(second, bucketAddress(hash, layout)),
  ]
}

/** Whether a key has an entry in its buckets besides the one whose key is at an address; all in locals. */
export function twins(locals: Record<'first' | 'second' | 'at' | 'key' | 'high', number>): Code {
  const { at, key, high } = locals
  const highsAt = 4 * entriesPerBucket
  const inBucket = (bucket: number): Code => {
    const isEqual = and32(waysEqual(bucket, 0, local(key)), waysEqual(bucket, highsAt, local(high)))
    const offset = subtract32(local(at), local(bucket))
    const own = shiftLeft32(constant(1), shiftRight32(offset, constant(2)))
    const others = xor32(select(own, constant(0), less32(offset, constant(highsAt))), constant(-1))
    return and32(isEqual, others)
  }
  return or32(inBucket(locals.first), inBucket(locals.second))
}

/** (low, high) -> address of the key that a new entry takes the place of, or 0 when there is no room. */
function wayForCode({ layout, spentWay }: EntryShape): FunctionCode {
  const [low, high, hash, first, second, free, others, isFirst] = [0, 1, 2, 3, 4, 5, 6, 7] as const
  const roomier = or32(
    signedAtLeast32(onesIn32(local(free)), constant(manyFree)),
    signedAtLeast32(onesIn32(local(free)), onesIn32(local(others))),
  )
  const bucket = select(local(first), local(second), local(isFirst))
  const ways = select(local(free), local(others), local(isFirst))
  return functionOf(2, 6, [
    ...bucketsInto({ first, second, hash }, local(low), local(high), layout),
    ...setLocal(free, waysEqual(first, 0, constant(0))),
    ...setLocal(others, waysEqual(second, 0, constant(0))),
    ...setLocal(isFirst, roomier),
    ...when(isZero32(or32(local(free), local(others))), finish(call(spentWay, local(first), local(second)))),
    ...add32(bucket, words(trailingZeros32(ways))),
  ])
}

/**
 * (low, high) -> a new entry with empty cells, or -1 when there is no room or another thread has been there:
 * `claim` of block-table.ts.
 */
function claimCode({ layout, cellsAt, cells, wayFor }: EntryShape): FunctionCode {
  const [low, high, hash, first, second, taken, at, entry, key] = [0, 1, 2, 3, 4, 5, 6, 7, 8] as const
  const highsAt = 4 * entriesPerBucket
  const metaPlace = (cell: number) => ({ address: words(local(entry)), offset: 4 * (cellsAt + cell * cellWords + 1) })
  const reset: Code = [
    ...Array.from({ length: cellsAt }, (_, word) =>
      store32({ address: words(local(entry)), offset: 4 * word }, constant(0)),
    ).flat(),
    ...Array.from({ length: cells }, (_, cell) =>
      store32(metaPlace(cell), emptied(shared(words(local(entry)), metaPlace(cell).offset))),
    ).flat(),
  ]
  return functionOf(2, 7, [
    ...setLocal(at, call(wayFor, local(low), local(high))),
    ...when(isZero32(local(at)), finish(notFound)),
    ...setLocal(taken, shared(local(at))),
    ...when(equal32(local(taken), constant(reserved)), finish(notFound)),
    ...when(
      unequal32(exchange32({ address: local(at) }, local(taken), constant(reserved)), local(taken)),
      finish(notFound),
    ),
    ...setLocal(entry, entryOf(local(at), layout)),
    ...reset,
    ...setLocal(key, keyOf(local(low))),
    ...store32({ address: local(at), offset: highsAt }, local(high)),
    ...publish32({ address: local(at) }, local(key)),
    // Of two threads that make an entry for one key at least one sees the other's here, and gives way.
    ...fence,
    ...bucketsInto({ first, second, hash }, local(low), local(high), layout),
    ...when(isZero32(twins({ first, second, at, key, high })), finish(local(entry))),
    ...publish32({ address: local(at) }, constant(0)),
    ...notFound,
  ])
}

/** Functions that make entries, in the order of their numbers. */
export function claimFunctions(layout: IndexLayout): readonly FunctionCode[] {
  const { spentBlock, spentGroup, wayForBlock, wayForGroup } = functions
  const blocks = {
    layout: layout.blocks,
    cellsAt: ownCellsAt,
    cells: ownCells,
    spentWay: spentBlock,
    wayFor: wayForBlock,
  }
  const groups = { layout: layout.groups, cellsAt: 0, cells: groupSlots, spentWay: spentGroup, wayFor: wayForGroup }
  return [
    spentWayCode(blocks, layout.clockBase),
    spentWayCode(groups, layout.clockBase),
    wayForCode(blocks),
    wayForCode(groups),
    claimCode(groups),
  ]
}
