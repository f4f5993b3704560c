/**
 * Changes of the cells of a whole chain as WebAssembly, for the usual cases: nothing has expired that somebody uses, no count is
 * at its end, there is room. What is special is left to holder-table.ts, which knows all cases.
 */
import { confirmedFlag, exactFlag, oneUse, slotMask, useMask } from './holder-cell.ts'
import { ownCellsAt } from './holder-table.ts'
import {
  all,
  clockOf,
  constant,
  done,
  entriesAt,
  functionOf,
  functions,
  highOf,
  type IndexLayout,
  increase,
  keepCell,
  keptCellsAt,
  keyTest,
  lowOf,
  mine,
  ownership,
  readAt,
  shared,
  words,
} from './prefix-code-parts.ts'
import { clockPlaces } from './volume-clock.ts'
import {
  add32,
  and32,
  type Code,
  call,
  equal32,
  exchange32,
  type FunctionCode,
  isZero32,
  less32,
  load32,
  local,
  loopWhile,
  or32,
  type Place,
  select,
  setLocal,
  shiftLeft32,
  signedAtLeast32,
  signedLess32,
  store32,
  subtract32,
  unequal32,
  when,
  xor32,
} from './wasm-code.ts'

/** What a change does to the description of a cell, and when it is nothing special. */
interface Change {
  readonly exportName: string
  /** Requests in flight: one more, one less or as many. */
  readonly uses: 1 | 0 | -1
  readonly flag: number
  /** `later` only moves a touch on, and only of the slot's present owner. */
  readonly touches: 'always' | 'later' | 'never'
  /** Whether a cell that nobody uses or has confirmed any more is special. */
  readonly endsUnconfirmed: boolean
  /** Whether a slot without a cell gets one, and one that has expired starts anew. */
  readonly begins: boolean
}

const changes: readonly Change[] = [
  { exportName: 'dispatch', uses: 1, flag: 0, touches: 'always', endsUnconfirmed: true, begins: true },
  { exportName: 'confirm', uses: 0, flag: confirmedFlag, touches: 'never', endsUnconfirmed: true, begins: false },
  { exportName: 'release', uses: -1, flag: 0, touches: 'later', endsUnconfirmed: true, begins: false },
  { exportName: 'withdraw', uses: -1, flag: 0, touches: 'never', endsUnconfirmed: false, begins: false },
]

const isNot0 = (value: Code): Code => unequal32(value, constant(0))

const [blocks, owner, now, step] = [0, 1, 2, 3] as const
const [index, left, entry, cell, meta, touch, next, key, isDone, inGroup, newTouch] = [
  4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
] as const

/** The cell of the owner: one of the entry's own two, or its group's. Where it is none, the description is another slot's. */
function findCell(): Code {
  const at = (number: number): Code => add32(words(local(entry)), constant(4 * ownCellsAt + 8 * number))
  const isOthers = unequal32(and32(local(meta), constant(slotMask)), local(owner))
  const read = (number: number): Code => [...setLocal(cell, at(number)), ...setLocal(meta, shared(local(cell), 4))]
  return [
    ...read(0),
    ...when(isOthers, [
      ...read(1),
      ...when(isOthers, [
        ...setLocal(inGroup, call(functions.groupCell, local(index), local(entry), local(owner))),
        ...when(local(inGroup), [...setLocal(cell, local(inGroup)), ...setLocal(meta, shared(local(cell), 4))]),
      ]),
    ]),
  ]
}

const isOwnersCell = equal32(and32(local(meta), constant(slotMask)), local(owner))

function usualCase({ uses, begins, endsUnconfirmed }: Change, isOld: Code): Code {
  const used = and32(local(meta), constant(useMask))
  const conditions = [isOwnersCell]
  if (uses === 1) conditions.push(unequal32(used, constant(useMask)))
  if (uses === -1) conditions.push(isNot0(used))
  // Whether what is old, and in use or exact, counts is not decided here.
  if (begins) conditions.push(isZero32(and32(isOld, isNot0(and32(local(meta), constant(useMask | exactFlag))))))
  if (!endsUnconfirmed) conditions.push(isNot0(and32(local(next), constant(useMask | confirmedFlag | exactFlag))))
  return all(...conditions)
}

/** How a change comes to its cell, and how it is sure, once `meta` is read, that the cell is still the block's: sets `key`. */
interface Access {
  readonly find: Code
  readonly isBlocks: Code
}

/** By the block's entry. */
function byEntry({ blocks: table }: IndexLayout): Access {
  const { set, test } = keyTest(table, { entry, key })
  return {
    find: [...setLocal(inGroup, constant(0)), ...findCell()],
    isBlocks: [
      ...set,
      ...setLocal(key, test(lowOf(index), highOf(index))),
      ...when(local(inGroup), setLocal(key, call(functions.holdsGroup, local(index), local(owner), local(cell)))),
    ],
  }
}

/** By what the dispatch kept. */
function byCell({ maxBlocks }: IndexLayout): Access {
  const place = shiftLeft32(local(index), constant(3))
  const kept = load32(mine(place, keptCellsAt(maxBlocks) + 4))
  return {
    find: [...setLocal(cell, load32(mine(place, keptCellsAt(maxBlocks)))), ...setLocal(meta, shared(local(cell), 4))],
    isBlocks: setLocal(key, and32(isNot0(local(cell)), equal32(ownership(local(meta)), kept))),
  }
}

/** Changes the owner's cell of the block at `index`, and sets `isDone`. */
function changeCell(change: Change, layout: IndexLayout, { find, isBlocks }: Access): Code {
  const clock = (place: number): Code => clockOf(local(owner), layout.clockBase, place)
  const isOld = signedLess32(subtract32(local(touch), clock(clockPlaces.floor)), constant(0))
  const touchPlace: Place = { address: local(cell) }
  const isLater = and32(
    signedAtLeast32(subtract32(local(touch), clock(clockPlaces.birth)), constant(0)),
    signedLess32(subtract32(local(touch), local(newTouch)), constant(0)),
  )
  const touching = {
    always: store32(touchPlace, local(newTouch)),
    later: when(isLater, store32(touchPlace, local(newTouch))),
    never: [],
  }[change.touches]
  const base = change.begins ? select(and32(local(meta), constant(~confirmedFlag)), local(meta), isOld) : local(meta)
  const changed = or32(add32(base, constant(change.uses * oneUse)), constant(change.flag))
  return [
    ...find,
    ...setLocal(touch, shared(local(cell))),
    ...setLocal(next, changed),
    ...when(usualCase(change, isOld), [
      ...isBlocks,
      ...when(
        local(key),
        when(equal32(exchange32({ address: local(cell), offset: 4 }, local(meta), local(next)), local(meta)), [
          ...touching,
          ...setLocal(isDone, constant(1)),
        ]),
      ),
    ]),
  ]
}

/** Gives the owner a cell of the block at `index` where it has none, and sets `isDone`. */
const newCell = when(isZero32(or32(isOwnersCell, local(isDone))), [
  ...setLocal(isDone, call(functions.newCell, local(index), local(entry), local(owner), local(newTouch))),
  ...setLocal(cell, local(isDone)),
])

/** (blocks, slot + 1, clock reading, tokens of a block) -> blocks left to others; the others are marked as done. */
function changeCode(change: Change, layout: IndexLayout): FunctionCode {
  const entryPlace = mine(words(local(index)), entriesAt(layout.maxBlocks))
  const isKnown = signedAtLeast32(local(entry), constant(0))
  const keep = (of: Code): Code => (change.begins ? keepCell(index, of, layout.maxBlocks) : [])
  return overBlocks(change.exportName, [
    ...setLocal(entry, load32(entryPlace)),
    ...when(isKnown, [...changeCell(change, layout, byEntry(layout)), ...(change.begins ? newCell : [])]),
    ...when(
      local(isDone),
      [...store32(entryPlace, constant(done)), ...keep(local(cell))],
      [...setLocal(left, add32(local(left), constant(1))), ...keep(constant(0))],
    ),
  ])
}

/**
 * The same by the cells that a dispatch kept, without a look at keys. What is left has no entry: it is to be found anew. The cells
 * are read before the first is changed, because changes, which are atomic, wait for memory one after the other.
 */
function keptChangeCode(change: Change, layout: IndexLayout): FunctionCode {
  const { maxBlocks } = layout
  const entryPlace = mine(words(local(index)), entriesAt(maxBlocks))
  const address = load32(mine(shiftLeft32(local(index), constant(3)), keptCellsAt(maxBlocks)))
  const readAll = [
    ...loopWhile(less32(local(index), local(blocks)), [
      ...setLocal(next, xor32(local(next), shared(address, 4))),
      ...increase(index, 1),
    ]),
    // Loads whose result is never used might be left out.
    ...store32(mine(constant(readAt)), local(next)),
    ...setLocal(index, constant(0)),
  ]
  const body = [
    ...changeCell(change, layout, byCell(layout)),
    ...when(local(isDone), store32(entryPlace, constant(done)), [
      ...store32(entryPlace, constant(-1)),
      ...setLocal(left, add32(local(left), constant(1))),
    ]),
  ]
  return overBlocks(`${change.exportName}Kept`, body, readAll)
}

/** A function that does the same for each block and returns what is left. */
function overBlocks(exportName: string, each: Code, before: Code = []): FunctionCode {
  const body = [
    ...before,
    ...setLocal(newTouch, local(now)),
    ...loopWhile(less32(local(index), local(blocks)), [
      ...setLocal(isDone, constant(0)),
      ...each,
      ...increase(index, 1),
      ...setLocal(newTouch, subtract32(local(newTouch), local(step))),
    ]),
    ...local(left),
  ]
  return { ...functionOf(4, 11, body), exportName }
}

/** Functions of the module that the index calls; no others do. */
export function changeFunctions(layout: IndexLayout): readonly FunctionCode[] {
  const later = changes.filter(({ begins }) => !begins)
  return [
    ...changes.map((change) => changeCode(change, layout)),
    ...later.map((change) => keptChangeCode(change, layout)),
  ]
}
