import type { EngineObserver } from './engine-observer.ts'
import type { Seat } from './engine-request.ts'
import type { KvCache } from './kv-cache.ts'

/** Takes and gives back the KV blocks of requests, and finds what is cached for them. */
export class SeatBlocks {
  readonly #cache: KvCache
  readonly #blockSize: number
  readonly #observer: EngineObserver
  /** What the last failed {@link reserve} would have to find to need fewer blocks; NaN when nothing could help. */
  missingHash = Number.NaN

  constructor(cache: KvCache, blockSize: number, observer: EngineObserver) {
    this.#cache = cache
    this.#blockSize = blockSize
    this.#observer = observer
  }

  blocksOf(tokens: number): number {
    return Math.ceil(tokens / this.#blockSize)
  }

  /**
   * Takes blocks for all known tokens: shares what is cached, leaves at least the last token to compute. Says false, and takes
   * nothing, when too few blocks are available.
   */
  reserve(seat: Seat): boolean {
    const { blockHashes, promptTokens } = seat.request
    if (seat.blocks.length === 0) seat.blocks = new Int32Array(this.blocksOf(promptTokens + seat.outputTokens))
    const blocks = seat.blocks
    const limit = Math.min(blockHashes.length, Math.floor((seat.known - 1) / this.#blockSize))
    let hits = 0
    let cachedHits = 0
    for (; hits < limit; hits++) {
      const block = this.#cache.find(blockHashes[hits]!)
      if (block < 0) break
      if (this.#cache.referencesOf(block) === 0) cachedHits++
      blocks[hits] = block
    }
    const wanted = this.blocksOf(seat.known)
    if (wanted - hits + cachedHits > this.#cache.availableBlocks) {
      this.missingHash = hits < limit ? blockHashes[hits]! : Number.NaN
      return false
    }
    for (let i = 0; i < hits; i++) this.#cache.share(blocks[i]!)
    for (let i = hits; i < wanted; i++) blocks[i] = this.#cache.take()
    seat.blockCount = wanted
    seat.computed = hits * this.#blockSize
    return true
  }

  /** Blocks still missing for the first `tokens` tokens. */
  missingFor(seat: Seat, tokens: number): number {
    return this.blocksOf(tokens) - seat.blockCount
  }

  /** Takes `count` more blocks; the caller has checked that they are available. */
  grow(seat: Seat, count: number): void {
    for (let i = 0; i < count; i++) seat.blocks[seat.blockCount++] = this.#cache.take()
  }

  /** Makes the full blocks among the next `tokens` tokens findable, from now on: the step that computes them has begun. */
  store(seat: Seat, tokens: number, atMs: number): void {
    const { blockHashes } = seat.request
    const first = Math.floor(seat.computed / this.#blockSize)
    const end = Math.min(blockHashes.length, Math.floor((seat.computed + tokens) / this.#blockSize))
    for (let i = first; i < end; i++) this.#cache.store(seat.blocks[i]!, blockHashes[i]!)
    if (end > first) this.#observer.onBlocksStored?.(seat, first, end - first, atMs)
  }

  /** Makes one full block findable. */
  storeBlock(seat: Seat, index: number, atMs: number): void {
    const { blockHashes } = seat.request
    if (index >= blockHashes.length) return
    this.#cache.store(seat.blocks[index]!, blockHashes[index]!)
    this.#observer.onBlocksStored?.(seat, index, 1, atMs)
  }

  /** Gives all blocks back, the last one first, so that a prefix outlives what follows it. */
  release(seat: Seat): void {
    for (let i = seat.blockCount - 1; i >= 0; i--) this.#cache.release(seat.blocks[i]!)
    seat.blockCount = 0
    seat.computed = 0
  }
}
