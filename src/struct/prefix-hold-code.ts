/**
 * New holders of blocks as WebAssembly: entries for blocks that have none, cells for slots that have none. It is what
 * holder-table.ts and block-table.ts do, as long as there is room; what needs room is left to them.
 */
import { cellWords, exactFlag, oneUse, slotMask, useMask } from './holder-cell.ts'
import { groupShift, groupSlots, ownCells, ownCellsAt } from './holder-table.ts'
import {
  clockOf,
  constant,
  emptied,
  functionOf,
  functions,
  highOf,
  type IndexLayout,
  keyTest,
  lowOf,
  partInto,
  shared,
  words,
} from './prefix-code-parts.ts'
import { clockPlaces } from './volume-clock.ts'
import {
  acquire32,
  add32,
  and32,
  type Code,
  call,
  drop,
  equal32,
  exchange32,
  type FunctionCode,
  finish,
  isZero32,
  local,
  or32,
  select,
  setBits32,
  setLocal,
  shiftLeft32,
  shiftRight32,
  signedLess32,
  store32,
  subtract32,
  unequal32,
  when,
} from './wasm-code.ts'

const cellBytes = 4 * cellWords
const groupNumber = (owner: number): Code => shiftRight32(subtract32(local(owner), constant(1)), constant(groupShift))
const bitOf = (group: Code): Code => shiftLeft32(constant(1), and32(group, constant(31)))
/** The address of the word of an entry that has a group's bit. */
const bitWord = (entry: number, group: Code): Code =>
  add32(words(local(entry)), words(and32(shiftRight32(group, constant(5)), constant(1))))
const cellInGroup = (found: number, owner: number): Code => {
  const slot = and32(subtract32(local(owner), constant(1)), constant(groupSlots - 1))
  return add32(words(local(found)), shiftLeft32(slot, constant(3)))
}
const isNone = (entry: number): Code => signedLess32(local(entry), constant(0))
const isOwners = (meta: Code, owner: number): Code => equal32(and32(meta, constant(slotMask)), local(owner))
/** (index of a block, its entry, slot + 1) -> address of the slot's cell in its group, or 0 when there is none. */
function groupCellCode(): FunctionCode {
  const [index, entry, owner, group, found, partLow, partHigh] = [0, 1, 2, 3, 4, 5, 6] as const
  return functionOf(3, 4, [
    ...setLocal(group, groupNumber(owner)),
    ...when(isZero32(and32(shared(bitWord(entry, local(group))), bitOf(local(group)))), finish(constant(0))),
    ...partInto([partLow, partHigh], lowOf(index), highOf(index), local(group)),
    ...setLocal(found, call(functions.findGroup, local(partLow), local(partHigh))),
    ...when(isNone(found), finish(constant(0))),
    ...cellInGroup(found, owner),
  ])
}

/** (index of a block, slot + 1, address of its cell in a group) -> whether that group is still the block's. */
function holdsGroupCode({ groups }: IndexLayout): FunctionCode {
  const [index, owner, cell, found, partLow, partHigh, key] = [0, 1, 2, 3, 4, 5, 6] as const
  const slot = and32(subtract32(local(owner), constant(1)), constant(groupSlots - 1))
  const { set, test } = keyTest(groups, { entry: found, key })
  return functionOf(3, 4, [
    ...setLocal(found, subtract32(shiftRight32(local(cell), constant(2)), shiftLeft32(slot, constant(1)))),
    ...partInto([partLow, partHigh], lowOf(index), highOf(index), groupNumber(owner)),
    ...set,
    ...test(local(partLow), local(partHigh)),
  ])
}

/** (index of a block, its entry, slot + 1, address of the cell just taken) -> 0 when the slot had one and the new one was given back. */
function keepUnlessTwiceCode(): FunctionCode {
  const [index, entry, owner, own, cell, meta] = [0, 1, 2, 3, 4, 5] as const
  const giveBack: Code = [
    ...setLocal(meta, shared(local(own), 4)),
    ...when(
      isOwners(local(meta), owner),
      drop(exchange32({ address: local(own), offset: 4 }, local(meta), emptied(local(meta)))),
    ),
    ...finish(constant(0)),
  ]
  const isSecond = and32(
    unequal32(local(cell), local(own)),
    isOwners(acquire32({ address: local(cell), offset: 4 }), owner),
  )
  return functionOf(4, 2, [
    ...Array.from({ length: ownCells }, (_, i) => [
      ...setLocal(cell, add32(words(local(entry)), constant(4 * ownCellsAt + i * cellBytes))),
      ...when(isSecond, giveBack),
    ]).flat(),
    ...setLocal(cell, call(functions.groupCell, local(index), local(entry), local(owner))),
    ...when(local(cell), when(isSecond, giveBack)),
    ...constant(1),
  ])
}

/**
 * (index of a block, its entry, slot + 1, touch) -> address of the cell with one use that the slot, which had none, has got, or 0:
 * `#newCell` of holder-table.ts.
 */
function newCellCode({ blocks, clockBase }: IndexLayout): FunctionCode {
  const [index, entry, owner, touch, cell, meta, key, group, found, partLow, partHigh] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
  ] as const
  const { set, test } = keyTest(blocks, { entry, key })
  const floor = clockOf(and32(local(meta), constant(slotMask)), clockBase, clockPlaces.floor)
  const isOld = signedLess32(subtract32(shared(local(cell)), floor), constant(0))
  const isBound = unequal32(and32(local(meta), constant(useMask | exactFlag)), constant(0))
  const isEmpty = isZero32(and32(local(meta), constant(slotMask)))
  const taken = or32(or32(emptied(local(meta)), local(owner)), constant(oneUse))
  const take: Code = [
    ...when(
      unequal32(exchange32({ address: local(cell), offset: 4 }, local(meta), taken), local(meta)),
      finish(constant(0)),
    ),
    ...store32({ address: local(cell) }, local(touch)),
  ]
  const isKept = call(functions.keepUnlessTwice, local(index), local(entry), local(owner), local(cell))
  const keep = finish(select(local(cell), constant(0), isKept))
  const tryOwn = (number: number): Code => [
    ...setLocal(cell, add32(words(local(entry)), constant(4 * ownCellsAt + number * cellBytes))),
    ...setLocal(meta, shared(local(cell), 4)),
    ...when(or32(isEmpty, isOld), [
      // Whether what is bound and old counts is not decided here.
      ...when(and32(isZero32(isEmpty), isBound), finish(constant(0))),
      ...set,
      ...when(isZero32(test(lowOf(index), highOf(index))), finish(constant(0))),
      ...take,
      ...keep,
    ]),
  ]
  const setBit = setBits32({ address: bitWord(entry, local(group)) }, bitOf(local(group)))
  return functionOf(4, 7, [
    ...Array.from({ length: ownCells }, (_, number) => tryOwn(number)).flat(),
    ...setLocal(group, groupNumber(owner)),
    ...setBit,
    ...partInto([partLow, partHigh], lowOf(index), highOf(index), local(group)),
    ...setLocal(found, call(functions.findGroup, local(partLow), local(partHigh))),
    ...when(isNone(found), setLocal(found, call(functions.claimGroup, local(partLow), local(partHigh)))),
    ...when(isNone(found), finish(constant(0))),
    ...setLocal(cell, cellInGroup(found, owner)),
    ...setLocal(meta, shared(local(cell), 4)),
    ...when(isZero32(call(functions.holdsGroup, local(index), local(owner), local(cell))), finish(constant(0))),
    ...take,
    // A sweep may have cleared the bit before the group was there.
    ...setBit,
    ...keep,
    ...constant(0),
  ])
}

/** Functions that others call, in the order of their numbers. */
export function holdFunctions(layout: IndexLayout): readonly FunctionCode[] {
  return [groupCellCode(), holdsGroupCode(layout), keepUnlessTwiceCode(), newCellCode(layout)]
}
