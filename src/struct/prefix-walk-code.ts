/**
 * The hot part of the prefix index as WebAssembly: finding the entries of a chain's blocks and walking them for all
 * candidates at once. Plain JavaScript checks every access and compares one word at a time; this compares the eight keys
 * of a bucket in two instructions and judges the holders of a block four at a time: a third of the time
 * (bench/micro/prefix-index.ts shows what is left). What is in this file only reads what threads share; what it
 * writes is its thread's own memory.
 *
 * The formulas of block-table.ts and holder-cell.ts stand here a second time; the tests of the index run through both.
 */
import { type BucketLayout } from './block-table.ts'
import { cellWords, exactFlag, slotMask, useGrace, useMask } from './holder-cell.ts'
import { groupSlots, ownCellsAt } from './holder-table.ts'
import {
  bucketAddress,
  chainAt,
  constant,
  entriesAt,
  firstHash,
  functionOf,
  functions,
  groupMarksAt,
  highOf,
  type IndexLayout,
  increase,
  keyOf,
  locatedAt,
  lowOf,
  marksAt,
  mine,
  partInto,
  readAt,
  secondHash,
  shared,
  useMarksAt,
  words,
} from './prefix-code-parts.ts'
import { clockPlaces } from './volume-clock.ts'
import {
  add32,
  add64,
  allLanes,
  and32,
  and64,
  andLanes,
  andNotLanes,
  anyLane,
  atLeastLanes,
  type Code,
  call,
  chooseLanes,
  equal32,
  equalLanes,
  type FunctionCode,
  finish,
  i32,
  i32x4,
  i64,
  isZero32,
  isZero64,
  laneBits,
  less32,
  load32,
  load64,
  loadLanes,
  local,
  loopWhile,
  multiply32,
  narrow,
  number64,
  onesIn32,
  or32,
  orLanes,
  type Place,
  pickLanes,
  select,
  setLocal,
  shiftLeft32,
  shiftRight32,
  signedAtLeast32,
  signedLess32,
  store32,
  storeLanes,
  subtract32,
  subtractLanes,
  trailingZeros32,
  trailingZeros64,
  unequal32,
  unequalLanes,
  when,
  whenElse,
  xor32,
} from './wasm-code.ts'

/** Blocks looked up ahead of the walk; the first step is small, because most prompts that are new end there. */
const firstStep = 4
const step = 32

const { findBlock, findGroup, findFirst, findSecond, locate, visitCell, visitGroup, visitGroups, probe, resolve } =
  functions

/** Searches a bucket: leaves the function with the entry when the key is there. */
function searchBucket(bucket: Code, { entryWords }: BucketLayout): Code {
  const [high, key, at, found] = [1, 2, 3, 4] as const
  const lows = allLanes(local(key))
  const matches = (offset: number): Code => laneBits(equalLanes(loadLanes({ address: local(at), offset }), lows))
  const way = trailingZeros32(local(found))
  const entry = add32(
    add32(shiftRight32(local(at), constant(2)), constant(2 * 8)),
    multiply32(way, constant(entryWords)),
  )
  return [
    ...setLocal(at, bucket),
    ...setLocal(found, or32(matches(0), shiftLeft32(matches(16), constant(4)))),
    ...when(local(found), when(equal32(shared(add32(local(at), words(way)), 32), local(high)), finish(entry))),
  ]
}

type HashInto = typeof firstHash

/** (low, high) -> entry or -1: the buckets that these hashes choose are searched. */
function findCode(layout: BucketLayout, ...hashes: readonly HashInto[]): FunctionCode {
  const [low, high, key, , , hash] = [0, 1, 2, 3, 4, 5] as const
  const search = (hashInto: HashInto): Code => [
    ...hashInto(hash, local(low), local(high)),
    ...searchBucket(bucketAddress(hash, layout), layout),
  ]
  return functionOf(2, 4, [...setLocal(key, keyOf(local(low))), ...hashes.flatMap(search), ...constant(-1)])
}

/**
 * (from, to): the entries of the chain's blocks. Several times over the blocks: a word of a bucket, the search there, the same for
 * the other bucket of those that were not found, a word of each entry. Loads that do not wait for one another take a fraction of
 * the time of those that do.
 */
function locateCode({ blocks, maxBlocks }: IndexLayout): FunctionCode {
  const [from, to, at, hash, read, entry] = [0, 1, 2, 3, 4, 5] as const
  const low = load32(mine(local(at), chainAt))
  const high = load32(mine(local(at), chainAt + 4))
  const entryPlace = mine(shiftRight32(local(at), constant(1)), entriesAt(maxBlocks))
  const eachBlock = (body: Code): Code => [
    ...setLocal(at, shiftLeft32(local(from), constant(3))),
    ...loopWhile(less32(local(at), shiftLeft32(local(to), constant(3))), [...body, ...increase(at, 8)]),
  ]
  const readBucket = (hashInto: HashInto): Code => [
    ...hashInto(hash, low, high),
    ...setLocal(read, xor32(local(read), shared(bucketAddress(hash, blocks)))),
  ]
  const isMissing = signedLess32(load32(entryPlace), constant(0))
  const body = [
    ...eachBlock(readBucket(firstHash)),
    ...eachBlock(store32(entryPlace, call(findFirst, low, high))),
    ...eachBlock(when(isMissing, readBucket(secondHash))),
    ...eachBlock(when(isMissing, store32(entryPlace, call(findSecond, low, high)))),
    ...eachBlock([
      ...setLocal(entry, load32(entryPlace)),
      // Where there is none the first word is read again.
      ...setLocal(
        read,
        xor32(local(read), shared(words(select(constant(0), local(entry), signedLess32(local(entry), constant(0)))))),
      ),
    ]),
    // Loads whose result is never used might be left out.
    ...store32(mine(constant(readAt)), local(read)),
    ...store32(mine(constant(locatedAt)), local(to)),
  ]
  return { parameters: [i32, i32], results: [], locals: [i32, i32, i32, i32], body, exportName: 'locate' }
}

/** Whether what has outlived its capacity is kept: `isKept` of holder-cell.ts. */
function isKept(meta: Code, touch: Code, floor: Code, birth: Code): Code {
  const isOwners = signedAtLeast32(subtract32(touch, birth), constant(0))
  const isExact = unequal32(and32(meta, constant(exactFlag)), constant(0))
  const isUsed = unequal32(and32(meta, constant(useMask)), constant(0))
  const isRecent = signedAtLeast32(subtract32(add32(touch, constant(useGrace)), floor), constant(0))
  return and32(isOwners, or32(isExact, and32(isUsed, isRecent)))
}

/** What a visit counts: slots that move on, and from here up those whose use moves on. */
const oneMove = 1
const oneUseMove = 1 << 16
const moves = (count: Code): Code => and32(count, constant(oneUseMove - 1))

/**
 * (address of a cell, mark, next) -> what moves on: the slot whose mark this is, when it holds the block, and its use when requests
 * in flight use the block.
 */
function visitCellCode({ clockBase }: IndexLayout): FunctionCode {
  const [cell, mark, next, meta, touch, owner, isAt, isUsedAt] = [0, 1, 2, 3, 4, 5, 6, 7] as const
  // Slots count from 0, owners from 1.
  const clock = (place: number): Code => shared(local(owner), 4 * (clockBase + place) - 4)
  const markPlace = mine(local(owner), marksAt)
  const usePlace = mine(local(owner), useMarksAt)
  const groupPlace = mine(words(shiftRight32(subtract32(local(owner), constant(4)), constant(5))), groupMarksAt)
  const isUsed = unequal32(and32(local(meta), constant(useMask)), constant(0))
  const floor = clock(clockPlaces.floor)
  const body = [
    ...setLocal(meta, shared(local(cell), 4)),
    ...setLocal(owner, words(and32(local(meta), constant(slotMask)))),
    ...setLocal(isAt, equal32(load32(markPlace), local(mark))),
    ...setLocal(isUsedAt, and32(isUsed, equal32(load32(usePlace), local(mark)))),
    ...when(isZero32(or32(local(isAt), local(isUsedAt))), finish(constant(0))),
    ...setLocal(touch, shared(local(cell))),
    ...when(
      signedLess32(subtract32(local(touch), floor), constant(0)),
      when(isZero32(isKept(local(meta), local(touch), floor, clock(clockPlaces.birth))), finish(constant(0))),
    ),
    ...when(local(isAt), [...store32(markPlace, local(next)), ...raiseMark(groupPlace, next)]),
    ...when(local(isUsedAt), store32(usePlace, local(next))),
    ...add32(local(isAt), multiply32(local(isUsedAt), constant(oneUseMove))),
  ]
  return functionOf(3, 5, body)
}

/** Sets a group's mark, which is the greatest of its slots. */
function raiseMark(place: Place, next: number): Code {
  return when(signedLess32(load32(place), local(next)), store32(place, local(next)))
}

/** (address of a group's entry, group, mark, next) -> what moves on: `visitCell` for four cells at a time. */
function visitGroupCode({ clockBase }: IndexLayout): FunctionCode {
  const [cells, group, mark, next, count, touches, metas, marks, used, fresh, hits] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
  ] as const
  const groupWords = (at: Code): Code => shiftLeft32(at, constant(5))
  const half = (first: number): Code => {
    const lane = (index: number): Code => loadLanes({ address: local(cells), offset: 8 * first + 16 * index })
    const floor = loadLanes({ address: groupWords(local(group)), offset: 4 * (clockBase + clockPlaces.floor + first) })
    const isAt = (value: number): Code => equalLanes(local(value), allLanes(local(mark)))
    const has = (mask: number): Code =>
      unequalLanes(andLanes(local(metas), allLanes(constant(mask))), allLanes(constant(0)))
    const isFresh = atLeastLanes(subtractLanes(local(touches), floor), allLanes(constant(0)))
    const old = andLanes(andNotLanes(orLanes(isAt(marks), isAt(used)), local(fresh)), has(useMask | exactFlag))
    const moveOn = (values: number, at: number, counts: number, of: Code): Code => {
      const place = mine(groupWords(local(group)), at + 4 * (first + 1))
      return [
        ...setLocal(hits, andLanes(andLanes(isAt(values), local(fresh)), of)),
        ...storeLanes(place, chooseLanes(allLanes(local(next)), local(values), local(hits))),
        ...setLocal(count, add32(local(count), multiply32(onesIn32(laneBits(local(hits))), constant(counts)))),
      ]
    }
    return [
      ...setLocal(touches, pickLanes(lane(0), lane(1), [0, 2, 4, 6])),
      ...setLocal(metas, pickLanes(lane(0), lane(1), [1, 3, 5, 7])),
      ...setLocal(marks, loadLanes(mine(groupWords(local(group)), marksAt + 4 * (first + 1)))),
      ...setLocal(used, loadLanes(mine(groupWords(local(group)), useMarksAt + 4 * (first + 1)))),
      ...setLocal(fresh, isFresh),
      ...moveOn(marks, marksAt, oneMove, has(slotMask)),
      ...moveOn(used, useMarksAt, oneUseMove, has(useMask)),
      ...when(
        anyLane(old),
        [0, 1, 2, 3].flatMap((index) => visitOne(first + index)),
      ),
    ]
  }
  const visitOne = (index: number): Code => {
    const address = add32(local(cells), constant(8 * index))
    return setLocal(count, add32(local(count), call(visitCell, address, local(mark), local(next))))
  }
  const body = [
    ...half(0),
    ...half(4),
    ...when(moves(local(count)), raiseMark(mine(words(local(group)), groupMarksAt), next)),
    ...local(count),
  ]
  const locals = [i32, i32x4, i32x4, i32x4, i32x4, i32x4, i32x4]
  return { parameters: [i32, i32, i32, i32], results: [i32], locals, body, exportName: undefined }
}

/** (index of a block, address of its entry, mark, next) -> what moves on, over the groups with candidates. */
function visitGroupsCode({ clockBase }: IndexLayout): FunctionCode {
  const [index, entry, mark, next, count, group, found, limit, low, high, partLow, partHigh, bits] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
  ] as const
  const slotLimit = shared(constant(4 * (clockBase + clockPlaces.limit)))
  const isWaiting = signedAtLeast32(load32(mine(words(local(group)), groupMarksAt)), local(mark))
  const visit = [
    ...partInto([partLow, partHigh], local(low), local(high), local(group)),
    ...setLocal(found, call(findGroup, local(partLow), local(partHigh))),
    ...when(
      signedAtLeast32(local(found), constant(0)),
      setLocal(
        count,
        add32(local(count), call(visitGroup, words(local(found)), local(group), local(mark), local(next))),
      ),
    ),
  ]
  const body = [
    ...setLocal(low, lowOf(index)),
    ...setLocal(high, highOf(index)),
    ...setLocal(limit, shiftRight32(add32(slotLimit, constant(groupSlots - 1)), constant(3))),
    ...setLocal(bits, load64({ address: local(entry) })),
    ...loopWhile(isZero32(isZero64(local(bits))), [
      ...setLocal(group, narrow(trailingZeros64(local(bits)))),
      ...setLocal(bits, and64(local(bits), add64(local(bits), number64(-1n)))),
      ...loopWhile(less32(local(group), local(limit)), [...when(isWaiting, visit), ...increase(group, 64)]),
    ]),
    ...local(count),
  ]
  const locals = [i32, i32, i32, i32, i32, i32, i32, i32, i64]
  return { parameters: [i32, i32, i32, i32], results: [i32], locals, body, exportName: undefined }
}

/** What moves on at the block at `index`, over all of its cells; `entry` is an address in a local. */
function visitAll(index: number, entry: number, mark: Code, next: Code): Code {
  const cell = (number: number): Code =>
    call(visitCell, add32(local(entry), constant(4 * (ownCellsAt + number * cellWords))), mark, next)
  const hasGroups = isZero32(isZero64(load64({ address: local(entry) })))
  return add32(
    add32(cell(0), cell(1)),
    whenElse(hasGroups, call(visitGroups, local(index), local(entry), mark, next), constant(0)),
  )
}

/** (blocks, mark of candidates) -> blocks that some candidate holds without a gap. */
function walkCode({ maxBlocks }: IndexLayout): FunctionCode {
  const [blocks, base, index, located, next, entry, alive, mark] = [0, 1, 2, 3, 4, 5, 6, 7] as const
  const lookAhead = add32(local(index), select(constant(step), constant(firstStep), local(index)))
  const body = [
    ...loopWhile(less32(local(index), local(blocks)), [
      ...when(isZero32(less32(local(index), local(located))), [
        ...setLocal(next, lookAhead),
        ...setLocal(located, select(local(next), local(blocks), less32(local(next), local(blocks)))),
        ...call(locate, local(index), local(located)),
      ]),
      ...setLocal(entry, load32(mine(words(local(index)), entriesAt(maxBlocks)))),
      ...when(signedLess32(local(entry), constant(0)), finish(local(index))),
      ...setLocal(entry, words(local(entry))),
      ...setLocal(mark, add32(local(base), local(index))),
      ...setLocal(alive, moves(visitAll(index, entry, local(mark), add32(local(mark), constant(1))))),
      ...when(isZero32(local(alive)), finish(local(index))),
      ...increase(index, 1),
    ]),
    ...local(blocks),
  ]
  return { parameters: [i32, i32], results: [i32], locals: [i32, i32, i32, i32, i32, i32], body, exportName: 'walk' }
}

/** (index of a block, mark, next) -> what moves on there. */
function probeCode(): FunctionCode {
  const [index, mark, next, entry] = [0, 1, 2, 3] as const
  return functionOf(3, 1, [
    ...setLocal(entry, call(findBlock, lowOf(index), highOf(index))),
    ...when(signedLess32(local(entry), constant(0)), finish(constant(0))),
    ...setLocal(entry, words(local(entry))),
    ...visitAll(index, entry, local(mark), local(next)),
  ])
}

/**
 * (from, to, what is left, base) -> the most blocks that a slot holds, or 0: slots that hold the first `from` blocks and not the one
 * at `to`, as many as are left, and uses likewise, get their marks. Half of the blocks at a time are known without a look, because
 * who holds a block holds those before it.
 */
function resolveCode(): FunctionCode {
  const [from, to, left, base, middle, hits, deepest, other] = [0, 1, 2, 3, 4, 5, 6, 7] as const
  const after = add32(local(middle), constant(1))
  const further = (code: Code): Code => [
    ...setLocal(other, code),
    ...when(signedLess32(local(deepest), local(other)), setLocal(deepest, local(other))),
  ]
  return functionOf(4, 4, [
    ...when(or32(isZero32(less32(local(from), local(to))), isZero32(local(left))), finish(constant(0))),
    ...setLocal(middle, shiftRight32(add32(local(from), local(to)), constant(1))),
    ...setLocal(hits, call(probe, local(middle), add32(local(base), local(from)), add32(local(base), after))),
    ...when(moves(local(hits)), setLocal(deepest, after)),
    ...further(call(resolve, after, local(to), local(hits), local(base))),
    ...further(call(resolve, local(from), local(middle), subtract32(local(left), local(hits)), local(base))),
    ...local(deepest),
  ])
}

/**
 * (blocks, mark of candidates) -> the same as `walk`, for an index where who holds a block holds those before it: at the first block
 * and the last, then between.
 */
function seekCode(): FunctionCode {
  const [blocks, base, first, last, deepest, between] = [0, 1, 2, 3, 4, 5] as const
  const end = subtract32(local(blocks), constant(1))
  const second = add32(local(base), constant(1))
  const body = [
    ...when(isZero32(local(blocks)), finish(constant(0))),
    ...setLocal(first, call(probe, constant(0), local(base), second)),
    ...when(isZero32(moves(local(first))), finish(constant(0))),
    ...when(equal32(local(blocks), constant(1)), finish(constant(1))),
    ...setLocal(last, call(probe, end, second, add32(local(base), local(blocks)))),
    ...setLocal(deepest, select(local(blocks), constant(1), moves(local(last)))),
    ...setLocal(between, call(resolve, constant(1), end, subtract32(local(first), local(last)), local(base))),
    ...select(local(between), local(deepest), signedLess32(local(deepest), local(between))),
  ]
  return { ...functionOf(2, 4, body), exportName: 'seek' }
}

/** Functions that only read what threads share, in the order of their numbers. */
export function walkFunctions(layout: IndexLayout): readonly FunctionCode[] {
  return [
    findCode(layout.blocks, firstHash, secondHash),
    findCode(layout.groups, firstHash, secondHash),
    findCode(layout.blocks, firstHash),
    findCode(layout.blocks, secondHash),
    locateCode(layout),
    visitCellCode(layout),
    visitGroupCode(layout),
    visitGroupsCode(layout),
    walkCode(layout),
    probeCode(),
    resolveCode(),
    seekCode(),
  ]
}
