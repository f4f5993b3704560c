/** What hears that a cached block gave way to another; its hash is gone from this block. */
export type BlockRemoved = (hash: number) => void

const NONE = -1

/**
 * The KV blocks of one engine rank. Each block is in exactly one state: *used* (held by one or more requests), *cached* (held
 * by nobody, its content still known by its hash, in order of release) or *free* (content unknown). Blocks are taken from the
 * free ones first, then from the cached ones, longest released first.
 *
 * Two blocks may have the same hash (a fully cached prompt computes its last block again, as vLLM does); the older is found.
 */
export class KvCache {
  readonly totalBlocks: number
  readonly #onRemoved: BlockRemoved
  readonly #references: Int32Array
  readonly #hashes: Float64Array
  /** Buckets of the index by hash, chained through the blocks in order of storing. */
  readonly #buckets: Int32Array
  readonly #chained: Int32Array
  /** The cached blocks as a ring through entry `totalBlocks`: after it the next to go, before it the last released. */
  readonly #older: Int32Array
  readonly #newer: Int32Array
  /** Free blocks, the next to be taken last. */
  readonly #free: Int32Array
  #freeCount: number
  #cachedCount = 0

  constructor(totalBlocks: number, onRemoved: BlockRemoved) {
    this.totalBlocks = totalBlocks
    this.#onRemoved = onRemoved
    this.#references = new Int32Array(totalBlocks)
    this.#hashes = new Float64Array(totalBlocks).fill(NONE)
    this.#buckets = new Int32Array(2 ** Math.ceil(Math.log2(totalBlocks * 2))).fill(NONE)
    this.#chained = new Int32Array(totalBlocks).fill(NONE)
    this.#older = new Int32Array(totalBlocks + 1).fill(totalBlocks)
    this.#newer = new Int32Array(totalBlocks + 1).fill(totalBlocks)
    this.#free = Int32Array.from({ length: totalBlocks }, (_, i) => totalBlocks - 1 - i)
    this.#freeCount = totalBlocks
  }

  /** Blocks that requests hold; a shared one counts once. */
  get usedBlocks(): number {
    return this.totalBlocks - this.#freeCount - this.#cachedCount
  }

  get cachedBlocks(): number {
    return this.#cachedCount
  }

  get freeBlocks(): number {
    return this.#freeCount
  }

  /** Blocks that can be taken now: free and cached ones. */
  get availableBlocks(): number {
    return this.#freeCount + this.#cachedCount
  }

  /** How many requests hold the block. */
  referencesOf(block: number): number {
    return this.#references[block] ?? 0
  }

  /** The oldest block with this hash, used or cached; -1 when there is none. */
  find(hash: number): number {
    let block = this.#buckets[hash & (this.#buckets.length - 1)]!
    while (block !== NONE && this.#hashes[block] !== hash) block = this.#chained[block]!
    return block
  }

  /** One more request holds a block that {@link find} gave. */
  share(block: number): void {
    if (this.#references[block]!++ > 0) return
    this.#unlink(block)
    this.#cachedCount--
  }

  /** Takes a block for one request; its content is unknown until stored. The caller has checked {@link availableBlocks}. */
  take(): number {
    let block: number
    if (this.#freeCount > 0) {
      block = this.#free[--this.#freeCount]!
    } else {
      block = this.#newer[this.totalBlocks]!
      if (block === this.totalBlocks) throw new RangeError('no block is available')
      this.#unlink(block)
      this.#cachedCount--
      this.#forget(block)
    }
    this.#references[block] = 1
    return block
  }

  /** Says what a used block holds, so that others can find it. A block is stored once between being taken and given back. */
  store(block: number, hash: number): void {
    this.#hashes[block] = hash
    this.#chained[block] = NONE
    const bucket = hash & (this.#buckets.length - 1)
    let last = this.#buckets[bucket]!
    if (last === NONE) {
      this.#buckets[bucket] = block
      return
    }
    while (this.#chained[last] !== NONE) last = this.#chained[last]!
    this.#chained[last] = block
  }

  /** One request less holds the block; the last one leaves it cached if it is stored, free otherwise. */
  release(block: number): void {
    if (--this.#references[block]! > 0) return
    if (this.#hashes[block] === NONE) {
      this.#free[this.#freeCount++] = block
      return
    }
    const ring = this.totalBlocks
    const last = this.#older[ring]!
    this.#newer[last] = block
    this.#older[block] = last
    this.#newer[block] = ring
    this.#older[ring] = block
    this.#cachedCount++
  }

  /** Forgets every cached block and makes it free; blocks in use stay findable. */
  clear(): void {
    const ring = this.totalBlocks
    for (let block = this.#newer[ring]!; block !== ring; block = this.#newer[ring]!) {
      this.#unlink(block)
      this.#forget(block)
      this.#free[this.#freeCount++] = block
    }
    this.#cachedCount = 0
  }

  #unlink(block: number): void {
    const older = this.#older[block]!
    const newer = this.#newer[block]!
    this.#newer[older] = newer
    this.#older[newer] = older
  }

  #forget(block: number): void {
    const hash = this.#hashes[block]!
    const bucket = hash & (this.#buckets.length - 1)
    if (this.#buckets[bucket] === block) {
      this.#buckets[bucket] = this.#chained[block]!
    } else {
      let before = this.#buckets[bucket]!
      while (this.#chained[before] !== block) before = this.#chained[before]!
      this.#chained[before] = this.#chained[block]!
    }
    this.#hashes[block] = NONE
    this.#onRemoved(hash)
  }
}
