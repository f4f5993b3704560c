import type { Seat } from './engine-request.ts'
import type { KvCache } from './kv-cache.ts'
import type { SeatBlocks } from './seat-blocks.ts'

/**
 * The blocks of a run of decode steps. Running requests are grouped by how full their last block is, so that a step visits only
 * those that begin or fill a block in it: one in `blockSize` of them, in order of admission.
 *
 * Steps are counted from the one under way when the requests were grouped; their `computed` stays as it was then.
 */
export class BlockPhases {
  readonly #cache: KvCache
  readonly #blocks: SeatBlocks
  readonly #blockSize: number
  /** Group g is at `#starts[g]` to `#starts[g + 1] - 1` of the order, which has indexes of seats. */
  readonly #starts: Int32Array
  readonly #fill: Int32Array
  #order: Int32Array = new Int32Array(64)
  #seats: readonly Seat[] = []

  constructor(cache: KvCache, blocks: SeatBlocks, blockSize: number) {
    this.#cache = cache
    this.#blocks = blocks
    this.#blockSize = blockSize
    this.#starts = new Int32Array(blockSize + 1)
    this.#fill = new Int32Array(blockSize)
  }

  group(seats: readonly Seat[]): void {
    const size = this.#blockSize
    this.#seats = seats
    if (this.#order.length < seats.length) this.#order = new Int32Array(seats.length * 2)
    this.#fill.fill(0)
    for (let i = 0; i < seats.length; i++) this.#fill[seats[i]!.computed % size]!++
    let start = 0
    for (let group = 0; group < size; group++) {
      this.#starts[group] = start
      start += this.#fill[group]!
      this.#fill[group] = this.#starts[group]!
    }
    this.#starts[size] = start
    for (let i = 0; i < seats.length; i++) this.#order[this.#fill[seats[i]!.computed % size]!++] = i
  }

  /** Whether the step so many steps ahead finds the blocks it begins, and fills none that would help who waits. */
  canTurn(ahead: number): boolean {
    const begins = this.#groupAt(ahead)
    if (this.#starts[begins + 1]! - this.#starts[begins]! > this.#cache.availableBlocks) return false
    const missing = this.#blocks.missingHash
    if (Number.isNaN(missing)) return true
    const fills = this.#groupAt(ahead + 1)
    for (let i = this.#starts[fills]!; i < this.#starts[fills + 1]!; i++) {
      const seat = this.#seats[this.#order[i]!]!
      if (seat.request.blockHashes[this.#filledBlock(seat, ahead)] === missing) return false
    }
    return true
  }

  /** Takes the blocks that the step so many steps ahead begins, and makes findable those that it fills. */
  turn(ahead: number, atMs: number): void {
    const begins = this.#groupAt(ahead)
    for (let i = this.#starts[begins]!; i < this.#starts[begins + 1]!; i++) {
      this.#blocks.grow(this.#seats[this.#order[i]!]!, 1)
    }
    const fills = this.#groupAt(ahead + 1)
    for (let i = this.#starts[fills]!; i < this.#starts[fills + 1]!; i++) {
      const seat = this.#seats[this.#order[i]!]!
      this.#blocks.storeBlock(seat, this.#filledBlock(seat, ahead), atMs)
    }
  }

  /** The group of the seats whose computed tokens are a multiple of the block size so many steps ahead. */
  #groupAt(ahead: number): number {
    const over = ahead % this.#blockSize
    return over === 0 ? 0 : this.#blockSize - over
  }

  /** The block that a seat's token so many steps ahead fills. */
  #filledBlock(seat: Seat, ahead: number): number {
    return (seat.computed + ahead + 1) / this.#blockSize - 1
  }
}
