/**
 * New blocks of a chain as WebAssembly. A block that nobody has sent before takes two atomic steps: its place in the table is
 * reserved, its entry with the slot's cell is written, its key is published. Atomic steps wait for one another and for memory, so
 * everything that needs no such step is done in passes before and after them, where loads wait for nothing.
 */
import { entriesPerBucket, reserved } from './block-table.ts'
import { cellWords, oneUse } from './holder-cell.ts'
import { ownCells, ownCellsAt } from './holder-table.ts'
import { bucketsInto, entryOf, twins } from './prefix-claim-code.ts'
import {
  constant,
  done,
  emptied,
  entriesAt,
  functionOf,
  functions,
  highOf,
  type IndexLayout,
  increase,
  keepCell,
  keyOf,
  lowOf,
  mine,
  readAt,
  shared,
  takenAt,
  words,
} from './prefix-code-parts.ts'
import {
  add32,
  and32,
  type Code,
  call,
  drop,
  equal32,
  exchange32,
  type FunctionCode,
  fence,
  less32,
  load32,
  local,
  loopWhile,
  multiply32,
  or32,
  type Place,
  publish32,
  setLocal,
  shiftRight32,
  signedLess32,
  store32,
  subtract32,
  unequal32,
  when,
  xor32,
} from './wasm-code.ts'

/** A place chosen for a new entry: where its key is, as a number below -2, so that it is no entry and not done. */
const chosen = (at: Code): Code => subtract32(constant(-3), shiftRight32(at, constant(2)))
const addressOf = (place: Code): Code => words(subtract32(constant(-3), place))

const [blocks, owner, now, step] = [0, 1, 2, 3] as const
const [index, place, at, taken, entry, key, high, first, second, hash, inserted, read] = [
  4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
] as const

interface Places {
  readonly layout: IndexLayout
  /** Where the block at `index` has its entry or place, and the key that was there when the place was chosen. */
  readonly entryPlace: Place
  readonly takenPlace: Place
  readonly wayFor: Code
}

/** Chooses the place of a new entry. */
function choose({ entryPlace, takenPlace, wayFor }: Places): Code {
  return [
    ...setLocal(at, wayFor),
    ...when(local(at), [...store32(takenPlace, shared(local(at))), ...store32(entryPlace, chosen(local(at)))]),
  ]
}

/** Reads the first and last word of what will be the entry. */
function readEntry({ layout: { blocks: table } }: Places): Code {
  const touch = (address: Code): Code => setLocal(read, xor32(local(read), shared(address)))
  return [
    ...setLocal(entry, entryOf(addressOf(local(place)), table)),
    ...touch(words(local(entry))),
    ...touch(words(add32(local(entry), constant(table.entryWords - 1)))),
  ]
}

/** Reserves the place, writes the entry, publishes its key. */
function publish({ layout: { blocks: table }, entryPlace, takenPlace, wayFor }: Places): Code {
  const isTaken = equal32(exchange32({ address: local(at) }, local(taken), constant(reserved)), local(taken))
  return [
    ...setLocal(at, addressOf(local(place))),
    ...setLocal(taken, load32(takenPlace)),
    // Another block of the chain may have got the place.
    ...when(unequal32(shared(local(at)), local(taken)), [
      ...setLocal(at, wayFor),
      ...setLocal(taken, shared(local(at))),
    ]),
    ...store32(entryPlace, constant(-1)),
    ...when(
      and32(unequal32(local(at), constant(0)), unequal32(local(taken), constant(reserved))),
      when(isTaken, [
        ...setLocal(entry, entryOf(local(at), table)),
        ...writeEntry(),
        ...store32({ address: local(at), offset: 4 * entriesPerBucket }, highOf(index)),
        ...publish32({ address: local(at) }, keyOf(lowOf(index))),
        ...store32(entryPlace, chosen(local(at))),
      ]),
    ),
  ]
}

/** Gives way when another thread has made an entry for the same block. */
function giveWay({ layout, entryPlace }: Places): Code {
  const table = layout.blocks
  return [
    ...setLocal(at, addressOf(local(place))),
    ...setLocal(key, keyOf(lowOf(index))),
    ...setLocal(high, highOf(index)),
    ...bucketsInto({ first, second, hash }, lowOf(index), local(high), table),
    ...when(
      twins({ first, second, at, key, high }),
      [...drop(exchange32({ address: local(at) }, local(key), constant(0))), ...store32(entryPlace, constant(-1))],
      [
        ...store32(entryPlace, constant(done)),
        ...setLocal(entry, entryOf(local(at), table)),
        ...setLocal(read, add32(words(local(entry)), constant(4 * ownCellsAt))),
        ...keepCell(index, local(read), layout.maxBlocks),
        ...increase(inserted, 1),
      ],
    ),
  ]
}

/**
 * (blocks, slot + 1, clock reading, tokens of a block) -> how many of the chain's blocks got an entry, of those that had none: the
 * slot holds them with one use, and they are marked as done.
 */
function insertCode(layout: IndexLayout): FunctionCode {
  const places: Places = {
    layout,
    entryPlace: mine(words(local(index)), entriesAt(layout.maxBlocks)),
    takenPlace: mine(words(local(index)), takenAt(layout.maxBlocks)),
    wayFor: call(functions.wayForBlock, lowOf(index), highOf(index)),
  }
  const eachBlock = (condition: Code, body: Code): Code => [
    ...setLocal(index, constant(0)),
    ...loopWhile(less32(local(index), local(blocks)), [
      ...setLocal(place, load32(places.entryPlace)),
      ...when(condition, body),
      ...increase(index, 1),
    ]),
  ]
  const isChosen = signedLess32(local(place), constant(-2))
  const body = [
    ...eachBlock(equal32(local(place), constant(-1)), choose(places)),
    ...eachBlock(isChosen, readEntry(places)),
    // Loads whose result is never used might be left out.
    ...store32(mine(constant(readAt)), local(read)),
    ...eachBlock(isChosen, publish(places)),
    // Of two threads that make an entry for one block at least one sees the other's here.
    ...fence,
    ...eachBlock(isChosen, giveWay(places)),
    ...local(inserted),
  ]
  return { ...functionOf(4, 12, body), exportName: 'insert' }
}

/** The words of a new entry: no groups, the slot in the first cell, nobody in the second. Nobody else sees it yet. */
function writeEntry(): Code {
  const word = (number: number): { readonly address: Code; readonly offset: number } => ({
    address: words(local(entry)),
    offset: 4 * number,
  })
  const metaOf = (cell: number): number => ownCellsAt + cell * cellWords + 1
  const meta = (cell: number): Code => emptied(load32(word(metaOf(cell))))
  const touched = subtract32(local(now), multiply32(local(index), local(step)))
  return [
    ...Array.from({ length: ownCellsAt }, (_, number) => store32(word(number), constant(0))).flat(),
    ...store32(word(ownCellsAt), touched),
    ...store32(word(metaOf(0)), or32(or32(meta(0), local(owner)), constant(oneUse))),
    ...Array.from({ length: ownCells - 1 }, (_, cell) => store32(word(metaOf(cell + 1)), meta(cell + 1))).flat(),
  ]
}

/** Functions of the module that the index calls; no others do. */
export function insertFunctions(layout: IndexLayout): readonly FunctionCode[] {
  return [insertCode(layout)]
}
