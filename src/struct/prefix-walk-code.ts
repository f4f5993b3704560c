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
  functions,
  groupMarksAt,
  type IndexLayout,
  increase,
  keyOf,
  locatedAt,
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
  xor32,
} from './wasm-code.ts'

/** Blocks looked up ahead of the walk; the first step is small, because most prompts that are new end there. */
const firstStep = 4
const step = 32

const { findBlock, findGroup, locate, visitCell, visitGroup, visitGroups } = functions

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

/** (low, high) -> entry or -1. */
function findCode(layout: BucketLayout): FunctionCode {
  const [low, high, key, , , hash] = [0, 1, 2, 3, 4, 5] as const
  const body = [
    ...setLocal(key, keyOf(local(low))),
    ...firstHash(hash, local(low), local(high)),
    ...searchBucket(bucketAddress(hash, layout), layout),
    ...secondHash(hash, local(low), local(high)),
    ...searchBucket(bucketAddress(hash, layout), layout),
    ...constant(-1),
  ]
  return { parameters: [i32, i32], results: [i32], locals: [i32, i32, i32, i32], body, exportName: undefined }
}

/**
 * (from, to): the entries of the chain's blocks. Three times over the blocks: a word of the likelier bucket, the search, a word
 * of each entry. Loads that do not wait for one another take a fraction of the time of those that do.
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
  const body = [
    ...eachBlock([
      ...firstHash(hash, low, high),
      ...setLocal(read, xor32(local(read), shared(bucketAddress(hash, blocks)))),
    ]),
    ...eachBlock(store32(entryPlace, call(findBlock, low, high))),
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

/** (address of a cell, mark) -> 1 when its slot held everything up to here and holds this block: it moves on. */
function visitCellCode({ clockBase }: IndexLayout): FunctionCode {
  const [cell, mark, meta, touch, owner] = [0, 1, 2, 3, 4] as const
  // Slots count from 0, owners from 1.
  const clock = (place: number): Code => shared(local(owner), 4 * (clockBase + place) - 4)
  const markPlace = mine(local(owner), marksAt)
  const usePlace = mine(local(owner), useMarksAt)
  const groupPlace = mine(words(shiftRight32(subtract32(local(owner), constant(4)), constant(5))), groupMarksAt)
  const next = add32(local(mark), constant(1))
  const isUsed = and32(
    unequal32(and32(local(meta), constant(useMask)), constant(0)),
    equal32(load32(usePlace), local(mark)),
  )
  const floor = clock(clockPlaces.floor)
  const body = [
    ...setLocal(meta, shared(local(cell), 4)),
    ...setLocal(owner, words(and32(local(meta), constant(slotMask)))),
    ...when(unequal32(load32(markPlace), local(mark)), finish(constant(0))),
    ...setLocal(touch, shared(local(cell))),
    ...when(
      signedLess32(subtract32(local(touch), floor), constant(0)),
      when(isZero32(isKept(local(meta), local(touch), floor, clock(clockPlaces.birth))), finish(constant(0))),
    ),
    ...store32(markPlace, next),
    ...store32(groupPlace, next),
    ...when(isUsed, store32(usePlace, next)),
    ...constant(1),
  ]
  return { parameters: [i32, i32], results: [i32], locals: [i32, i32, i32], body, exportName: undefined }
}

/** (address of a group's entry, group, mark) -> slots that move on: `visitCell` for four cells at a time. */
function visitGroupCode({ clockBase }: IndexLayout): FunctionCode {
  const [cells, group, mark, count, touches, metas, marks, hits, used] = [0, 1, 2, 3, 4, 5, 6, 7, 8] as const
  const groupWords = (at: Code): Code => shiftLeft32(at, constant(5))
  const half = (first: number): Code => {
    const lane = (index: number): Code => loadLanes({ address: local(cells), offset: 8 * first + 16 * index })
    const markPlace = mine(groupWords(local(group)), marksAt + 4 * (first + 1))
    const usePlace = mine(groupWords(local(group)), useMarksAt + 4 * (first + 1))
    const floor = loadLanes({ address: groupWords(local(group)), offset: 4 * (clockBase + clockPlaces.floor + first) })
    const isAt = (value: Code): Code => equalLanes(value, allLanes(local(mark)))
    const has = (mask: number): Code =>
      unequalLanes(andLanes(local(metas), allLanes(constant(mask))), allLanes(constant(0)))
    const isFresh = atLeastLanes(subtractLanes(local(touches), floor), allLanes(constant(0)))
    const missed = andLanes(andNotLanes(isAt(local(marks)), local(hits)), has(useMask | exactFlag))
    return [
      ...setLocal(touches, pickLanes(lane(0), lane(1), [0, 2, 4, 6])),
      ...setLocal(metas, pickLanes(lane(0), lane(1), [1, 3, 5, 7])),
      ...setLocal(marks, loadLanes(markPlace)),
      ...setLocal(hits, andLanes(andLanes(isAt(local(marks)), isFresh), has(slotMask))),
      // A lane that is true is -1.
      ...storeLanes(markPlace, subtractLanes(local(marks), local(hits))),
      ...setLocal(used, loadLanes(usePlace)),
      ...storeLanes(
        usePlace,
        subtractLanes(local(used), andLanes(andLanes(local(hits), has(useMask)), isAt(local(used)))),
      ),
      ...setLocal(count, add32(local(count), onesIn32(laneBits(local(hits))))),
      ...when(
        anyLane(missed),
        [0, 1, 2, 3].flatMap((index) =>
          setLocal(
            count,
            add32(local(count), call(visitCell, add32(local(cells), constant(8 * (first + index))), local(mark))),
          ),
        ),
      ),
    ]
  }
  const body = [
    ...half(0),
    ...half(4),
    ...when(local(count), store32(mine(words(local(group)), groupMarksAt), add32(local(mark), constant(1)))),
    ...local(count),
  ]
  const locals = [i32, i32x4, i32x4, i32x4, i32x4, i32x4]
  return { parameters: [i32, i32, i32], results: [i32], locals, body, exportName: undefined }
}

/** (index of a block, address of its entry, mark) -> slots that move on, over the groups with candidates. */
function visitGroupsCode({ clockBase }: IndexLayout): FunctionCode {
  const [index, entry, mark, count, group, found, limit, low, high, partLow, partHigh, bits] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
  ] as const
  const slotLimit = shared(constant(4 * (clockBase + clockPlaces.limit)))
  const isWaiting = signedAtLeast32(load32(mine(words(local(group)), groupMarksAt)), local(mark))
  const visit = [
    ...partInto([partLow, partHigh], local(low), local(high), local(group)),
    ...setLocal(found, call(findGroup, local(partLow), local(partHigh))),
    ...when(
      signedAtLeast32(local(found), constant(0)),
      setLocal(count, add32(local(count), call(visitGroup, words(local(found)), local(group), local(mark)))),
    ),
  ]
  const body = [
    ...setLocal(low, load32(mine(shiftLeft32(local(index), constant(3)), chainAt))),
    ...setLocal(high, load32(mine(shiftLeft32(local(index), constant(3)), chainAt + 4))),
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
  return { parameters: [i32, i32, i32], results: [i32], locals, body, exportName: undefined }
}

/** (blocks, mark of candidates) -> blocks that some candidate holds without a gap. */
function walkCode({ maxBlocks }: IndexLayout): FunctionCode {
  const [blocks, base, index, located, next, entry, alive, mark] = [0, 1, 2, 3, 4, 5, 6, 7] as const
  const lookAhead = add32(local(index), select(constant(step), constant(firstStep), local(index)))
  const cell = (number: number): Code =>
    call(visitCell, add32(local(entry), constant(4 * (ownCellsAt + number * cellWords))), local(mark))
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
      ...setLocal(alive, add32(cell(0), cell(1))),
      ...when(isZero32(isZero64(load64({ address: local(entry) }))), [
        ...setLocal(alive, add32(local(alive), call(visitGroups, local(index), local(entry), local(mark)))),
      ]),
      ...when(isZero32(local(alive)), finish(local(index))),
      ...increase(index, 1),
    ]),
    ...local(blocks),
  ]
  return { parameters: [i32, i32], results: [i32], locals: [i32, i32, i32, i32, i32, i32], body, exportName: 'walk' }
}

/** Functions that only read what threads share, in the order of their numbers. */
export function walkFunctions(layout: IndexLayout): readonly FunctionCode[] {
  return [
    findCode(layout.blocks),
    findCode(layout.groups),
    locateCode(layout),
    visitCellCode(layout),
    visitGroupCode(layout),
    visitGroupsCode(layout),
    walkCode(layout),
  ]
}
