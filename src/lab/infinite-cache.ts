const minSize = 1 << 12

/** Marks an empty place: no hash is negative. */
const none = -1

/** A set of block hashes that only grows, as flat memory. */
export class HashSet {
  #table = new Float64Array(minSize).fill(none)
  #count = 0

  get size(): number {
    return this.#count
  }

  has(hash: number): boolean {
    return this.#table[this.#placeOf(hash)] === hash
  }

  add(hash: number): void {
    const place = this.#placeOf(hash)
    if (this.#table[place] === hash) return
    this.#table[place] = hash
    if (++this.#count * 2 > this.#table.length) this.#grow()
  }

  /** Where the hash is, or would be. */
  #placeOf(hash: number): number {
    const mask = this.#table.length - 1
    let place = (hash ^ Math.floor(hash / 4294967296)) & mask
    while (this.#table[place] !== none && this.#table[place] !== hash) place = (place + 1) & mask
    return place
  }

  #grow(): void {
    const old = this.#table
    this.#table = new Float64Array(old.length * 2).fill(none)
    for (let i = 0; i < old.length; i++) {
      const hash = old[i]!
      if (hash !== none) this.#table[this.#placeOf(hash)] = hash
    }
  }
}

/**
 * One cache for all that never forgets, and has everything of a request the moment it comes: how little of a run's prompts has
 * to be computed at least, by whatever placement (routing-algorithms.md 6, R3).
 */
export class InfiniteCache {
  readonly #seen = new HashSet()
  readonly #blockSize: number

  constructor(blockSize: number) {
    this.#blockSize = blockSize
  }

  /** Takes in a request and returns the prompt tokens that no earlier one had; at least the last token has to be computed. */
  missesOf({
    promptTokens,
    blockHashes,
  }: {
    readonly promptTokens: number
    readonly blockHashes: Float64Array
  }): number {
    const full = Math.min(blockHashes.length, Math.floor((promptTokens - 1) / this.#blockSize))
    const known = this.#leading(blockHashes)
    for (let i = known; i < blockHashes.length; i++) this.#seen.add(blockHashes[i]!)
    return promptTokens - Math.min(known, full) * this.#blockSize
  }

  /** Hashes are chained, and always taken in from the first on: behind the first unknown one none is known. */
  #leading(hashes: Float64Array): number {
    let low = 0
    let high = hashes.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#seen.has(hashes[middle]!)) low = middle + 1
      else high = middle
    }
    return low
  }
}
