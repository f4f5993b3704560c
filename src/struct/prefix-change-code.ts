/**
 * Changes of the cells of a whole chain as WebAssembly, for the usual case: the slot's cell lies in the block's own
 * entry and nothing else is special. What is special is left to holder-table.ts, which knows all cases.
 */
import { type BucketLayout, entriesPerBucket } from './block-table.ts'
import { cellWords, confirmedFlag, exactFlag, oneUse, slotMask, useMask } from './holder-cell.ts'
import { ownCellsAt } from './holder-table.ts'
import { clockPlaces } from './volume-clock.ts'
import {
  add32,
  and32,
  type Code,
  equal32,
  exchange32,
  type FunctionCode,
  i32,
  isZero32,
  less32,
  load32,
  local,
  loopWhile,
  multiply32,
  number32,
  or32,
  type Place,
  setLocal,
  shiftLeft32,
  shiftRight32,
  signedAtLeast32,
  signedLess32,
  store32,
  subtract32,
  unequal32,
  when,
} from './wasm-code.ts'

/** What a change does to the description of a cell, and when it is nothing special. */
interface Change {
  readonly exportName: string
  /** Requests in flight: one more, one less or as many. */
  readonly uses: 1 | 0 | -1
  readonly flag: number
  /** `always` needs a cell that has not expired; `later` only moves a touch on, and only of the slot's present owner. */
  readonly touches: 'always' | 'later' | 'never'
  /** Whether a cell that nobody uses or has confirmed any more is special. */
  readonly endsUnconfirmed: boolean
}

const changes: readonly Change[] = [
  { exportName: 'dispatch', uses: 1, flag: 0, touches: 'always', endsUnconfirmed: true },
  { exportName: 'confirm', uses: 0, flag: confirmedFlag, touches: 'never', endsUnconfirmed: true },
  { exportName: 'release', uses: -1, flag: 0, touches: 'later', endsUnconfirmed: true },
  { exportName: 'withdraw', uses: -1, flag: 0, touches: 'never', endsUnconfirmed: false },
]

/** Stands for the entry of a block that is done. */
export const done = -2

export interface ChangeLayout {
  readonly clockBase: number
  readonly blocks: BucketLayout
  /** Where the memory of the thread, the second one, has the chain and its entries, in bytes. */
  readonly chainAt: number
  readonly entriesAt: number
}

const constant = number32
const shared = (address: Code, offset = 0): Code => load32({ address, offset })
const words = (count: Code): Code => shiftLeft32(count, constant(2))
const isNot0 = (value: Code): Code => unequal32(value, constant(0))
const all = (...conditions: readonly Code[]): Code => conditions.reduce((both, next) => and32(both, next))

const [blocks, owner, now, step] = [0, 1, 2, 3] as const
const [index, left, entry, cell, meta, touch, next, key, isDone] = [4, 5, 6, 7, 8, 9, 10, 11, 12] as const

/** Whether the key around the entry is still that of the block: `holds` of block-table.ts. */
function holdsKey({ blocks: { base, bucketWords, entryWords }, chainAt }: ChangeLayout): { set: Code; test: Code } {
  const offset = and32(subtract32(local(entry), constant(base)), constant(bucketWords - 1))
  const inEntries = subtract32(offset, constant(2 * entriesPerBucket))
  const way = shiftRight32(multiply32(inEntries, constant(Math.ceil(2 ** 16 / entryWords))), constant(16))
  const hash: Place = { address: shiftLeft32(local(index), constant(3)), offset: chainAt, memory: 1 }
  const high: Place = { ...hash, offset: chainAt + 4 }
  return {
    set: setLocal(key, words(add32(subtract32(local(entry), offset), way))),
    // A low word of 0 or 1 is kept as another: such a block is special.
    test: all(
      equal32(shared(local(key)), load32(hash)),
      equal32(shared(local(key), 4 * entriesPerBucket), load32(high)),
    ),
  }
}

/** The cell of the owner among the entry's own two; where it is neither, the description is another slot's. */
function findCell(): Code {
  const at = (number: number): Code => add32(words(local(entry)), constant(4 * (ownCellsAt + number * cellWords)))
  const isOwners = equal32(and32(local(meta), constant(slotMask)), local(owner))
  const read = (number: number): Code => [...setLocal(cell, at(number)), ...setLocal(meta, shared(local(cell), 4))]
  return [...read(0), ...when(isZero32(isOwners), read(1))]
}

function usualCase({ uses, touches, endsUnconfirmed }: Change, floor: Code): Code {
  const used = and32(local(meta), constant(useMask))
  const conditions = [equal32(and32(local(meta), constant(slotMask)), local(owner))]
  if (uses === 1) conditions.push(unequal32(used, constant(useMask)))
  if (uses === -1) conditions.push(isNot0(used))
  if (touches === 'always') conditions.push(signedAtLeast32(subtract32(local(touch), floor), constant(0)))
  if (!endsUnconfirmed) conditions.push(isNot0(and32(local(next), constant(useMask | confirmedFlag | exactFlag))))
  return all(...(conditions as [Code, ...Code[]]))
}

/** (blocks, slot + 1, clock reading, tokens of a block) -> blocks left to others; the others are marked as done. */
function changeCode(change: Change, layout: ChangeLayout): FunctionCode {
  const clock = (place: number): Code => shared(words(local(owner)), 4 * (layout.clockBase + place) - 4)
  const entryPlace: Place = { address: words(local(index)), offset: layout.entriesAt, memory: 1 }
  const { set, test } = holdsKey(layout)
  const newTouch = subtract32(local(now), multiply32(local(index), local(step)))
  const touchPlace: Place = { address: local(cell) }
  const isLater = all(
    signedAtLeast32(subtract32(local(touch), clock(clockPlaces.birth)), constant(0)),
    signedLess32(subtract32(local(touch), newTouch), constant(0)),
  )
  const touching = {
    always: store32(touchPlace, newTouch),
    later: when(isLater, store32(touchPlace, newTouch)),
    never: [],
  }[change.touches]
  const changed = or32(add32(local(meta), constant(change.uses * oneUse)), constant(change.flag))
  const tryChange = [
    ...findCell(),
    ...setLocal(touch, shared(local(cell))),
    ...setLocal(next, changed),
    ...set,
    ...when(
      and32(usualCase(change, clock(clockPlaces.floor)), test),
      when(equal32(exchange32({ address: local(cell), offset: 4 }, local(meta), local(next)), local(meta)), [
        ...touching,
        ...store32(entryPlace, constant(done)),
        ...setLocal(isDone, constant(1)),
      ]),
    ),
  ]
  const body = [
    ...loopWhile(less32(local(index), local(blocks)), [
      ...setLocal(entry, load32(entryPlace)),
      ...setLocal(isDone, constant(0)),
      ...when(signedAtLeast32(local(entry), constant(0)), tryChange),
      ...setLocal(left, subtract32(add32(local(left), constant(1)), local(isDone))),
      ...setLocal(index, add32(local(index), constant(1))),
    ]),
    ...local(left),
  ]
  const locals = [index, left, entry, cell, meta, touch, next, key, isDone].map(() => i32)
  return { parameters: [i32, i32, i32, i32], results: [i32], locals, body, exportName: change.exportName }
}

/** Functions of a module whose memories are the shared one and the thread's own. They call no others. */
export function changeFunctions(layout: ChangeLayout): readonly FunctionCode[] {
  return changes.map((change) => changeCode(change, layout))
}
