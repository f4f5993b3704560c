import type { VolumeClock } from './volume-clock.ts'

/**
 * A cell says that one slot holds one block: two words of shared memory, the clock reading of the last touch and a
 * description:
 *
 *     bits 0-12   slot + 1; 0 when the cell is empty
 *     bits 13-22  requests in flight that use the block there, up to 1,023
 *     bit 23      confirmed: the endpoint has answered a request with this block
 *     bit 24      exact: told by the endpoint itself, present until it says otherwise
 *     bits 25-31  version: changes with each owner of the cell
 *
 * The description changes by compare-and-exchange only. Who wants to change one reads it, then makes sure that the
 * entry around it still belongs to the block in question, then exchanges: a cell that got another owner in between has another
 * version, so no count ever lands on a foreign block.
 */
export const slotMask = 0x1fff
export const oneUse = 1 << 13
export const useMask = 0x3ff << 13
export const confirmedFlag = 1 << 23
export const exactFlag = 1 << 24
export const versionMask = 0x7f << 25
export const oneVersion = 1 << 25

/** Words of a cell. */
export const cellWords = 2

/** The life left of what cannot expire at present. */
export const neverStale = 0x7fffffff

export const emptiedFrom = (meta: number): number => ((meta & versionMask) + oneVersion) | 0
export const usesOf = (meta: number): number => (meta & useMask) >>> 13

/**
 * How long, in units of volume, use keeps a cell beyond its time. An hour of a busy engine: longer than any request,
 * so that the use of a thread that has died comes to an end.
 */
export const useGrace = 2 ** 26

/** Whether a cell that has outlived its capacity is kept: as exact by its present owner, or in use not long ago. */
function isKept(meta: number, touch: number, slot: number, clock: VolumeClock): boolean {
  if ((meta & (useMask | exactFlag)) === 0 || ((touch - (clock.birth[slot] as number)) | 0) < 0) return false
  return (meta & exactFlag) !== 0 || ((touch + useGrace - (clock.floor[slot] as number)) | 0) >= 0
}

/** Whether the slot of an occupied cell still holds the block. */
export function isPresent(words: Int32Array, cell: number, clock: VolumeClock): boolean {
  const meta = words[cell + 1] as number
  const slot = (meta & slotMask) - 1
  const touch = words[cell] as number
  if (((touch - (clock.floor[slot] as number)) | 0) >= 0) return true
  return isKept(meta, touch, slot, clock)
}

/** Volume until the cell expires; negative when it has or is empty, `neverStale` when it cannot at present. */
export function lifeLeft(words: Int32Array, cell: number, clock: VolumeClock): number {
  const meta = words[cell + 1] as number
  const slot = (meta & slotMask) - 1
  if (slot < 0) return -1
  const touch = words[cell] as number
  if (isKept(meta, touch, slot, clock)) return neverStale
  return (touch - (clock.floor[slot] as number)) | 0
}

/** The longest life left among `count` cells from `first` on. */
export function longestLife(words: Int32Array, first: number, count: number, clock: VolumeClock): number {
  let longest = -1
  for (let i = 0; i < count; i++) longest = Math.max(longest, lifeLeft(words, first + i * cellWords, clock))
  return longest
}

/**
 * Sweeps one cell: empties it when it has expired, and moves the touch of an exact one up to the floor so that its age
 * never wraps.
 */
export function sweepCell(words: Int32Array, cell: number, clock: VolumeClock): void {
  const meta = words[cell + 1] as number
  if ((meta & slotMask) === 0) return
  if (isPresent(words, cell, clock)) {
    const floor = clock.floor[(meta & slotMask) - 1] as number
    if ((meta & exactFlag) !== 0 && (((words[cell] as number) - floor) | 0) < 0) words[cell] = floor
    return
  }
  Atomics.compareExchange(words, cell + 1, meta, emptiedFrom(meta))
}

/** What a description becomes when a request is answered, ends, or fails before its first token. */
export const confirmed = (meta: number): number => meta | confirmedFlag
export const released = (meta: number): number => ((meta & useMask) === 0 ? meta : meta - oneUse)

export function withdrawn(meta: number): number {
  const next = released(meta)
  return (next & (useMask | confirmedFlag | exactFlag)) === 0 ? emptiedFrom(next) : next
}
