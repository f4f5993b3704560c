/** Slots of endpoints: 0 to 4,095. */
export const maxSlots = 4096

/** The longest memory of a slot in units of volume: a quarter of what a 32-bit difference can tell apart. */
export const maxCapacity = 2 ** 29

/** Where the parts of the clocks' memory begin, in words; by slot but for the last one. */
export const clockPlaces = {
  volume: 0,
  floor: maxSlots,
  birth: 2 * maxSlots,
  capacity: 3 * maxSlots,
  limit: 4 * maxSlots,
} as const

/** Words of the clocks' memory. */
export const clockWords = clockPlaces.limit + 16

/**
 * A clock per slot that counts volume instead of time: what has been put into the slot's cache so far. Something last
 * touched at t is still there while no more than the capacity has been put in since: `t >= floor`. All readings are
 * 32-bit and wrap; differences of them are meant. Shared by threads: `words` may lie in shared memory. A thread that
 * reads while another advances sees the floor of a moment ago.
 */
export class VolumeClock {
  /** What has been put in, by slot. */
  readonly volume: Int32Array
  /** The oldest reading that counts as present, by slot. */
  readonly floor: Int32Array
  /** The first reading of the slot's present owner: what is older belongs to a former one. */
  readonly birth: Int32Array
  /** How much each slot can hold; 0 where it has not been said: such a slot holds nothing. */
  readonly capacity: Int32Array
  readonly #limit: Int32Array

  constructor(words: Int32Array) {
    const part = (from: number): Int32Array => words.subarray(from, from + maxSlots)
    this.volume = part(clockPlaces.volume)
    this.floor = part(clockPlaces.floor)
    this.birth = part(clockPlaces.birth)
    this.capacity = part(clockPlaces.capacity)
    this.#limit = words.subarray(clockPlaces.limit, clockWords)
  }

  /** One more than the highest slot that has a capacity. */
  get slotLimit(): number {
    return this.#limit[0] as number
  }

  /** Gives the slot its capacity (clamped to 1 to `maxCapacity`). */
  setCapacity(slot: number, capacity: number): void {
    for (let limit = this.slotLimit; limit <= slot; limit = this.slotLimit)
      Atomics.compareExchange(this.#limit, 0, limit, slot + 1)
    this.capacity[slot] = Math.min(Math.max(1, Math.floor(capacity)), maxCapacity)
    this.#settle(slot, this.volume[slot] as number)
  }

  /** Moves the clock by `volume` (at most a capacity, which forgets everything) and gives the new reading. */
  advance(slot: number, volume: number): number {
    const by = Math.min(Math.max(0, Math.floor(volume)), maxCapacity)
    const now = (Atomics.add(this.volume, slot, by) + by) | 0
    this.#settle(slot, now)
    return now
  }

  /** Forgets everything at once: the slot has a new owner, or its owner an empty cache. */
  restart(slot: number): void {
    const now = (Atomics.add(this.volume, slot, 1) + 1) | 0
    this.birth[slot] = now
    this.#settle(slot, now)
  }

  #settle(slot: number, now: number): void {
    // A birth that is too long ago would look like one in the future.
    if (((now - (this.birth[slot] as number)) | 0) > 2 * maxCapacity) this.birth[slot] = (now - 2 * maxCapacity) | 0
    const oldest = (now - (this.capacity[slot] as number)) | 0
    const birth = this.birth[slot] as number
    this.floor[slot] = ((oldest - birth) | 0) > 0 ? oldest : birth
  }
}
