/** Entries of a bucket. Their keys' low words fill one half of a cache line, the high words the other. */
const ways = 8
export const entriesPerBucket = ways

/** With so many free ways in the first bucket the second is not looked at. */
export const manyFree = 4

/** Low words that are no keys. */
const free = 0
export const reserved = 1

export const mixA = 0x9e3779b1 | 0
export const mixB = 0x85ebca77 | 0
export const mixC = 0xc2b2ae3d | 0

/** What a table must know of its entries; an entry is the index of its first word. */
export interface EntryRules {
  /** How long the entry is still of use: negative when it can go, larger than any other when it must stay. */
  readonly lifeLeft: (entry: number, low: number, high: number) => number
  /** Prepares the words of an entry for a new owner. */
  readonly reset: (entry: number) => void
}

/** Every bit of the result depends on every bit below and, by the shift, above. */
const mixed = (value: number, by: number): number => {
  const product = Math.imul(value, by)
  return product ^ (product >>> 15)
}

/** 0 and 1 mean something else in a table. */
const keyOf = (low: number): number => (low >>> 1 === 0 ? low | 2 : low)

/** The key of a block's part `part`: as random as the block's own, and the same whether made of its hash or of what a table keeps of it. */
export const partLow = (low: number, high: number, part: number): number =>
  mixed(keyOf(low) ^ mixed(part + 1, mixA), mixB) ^ high
export const partHigh = (high: number, part: number): number => mixed(high + Math.imul(part + 1, mixC), mixA)

/** 1 when the words are equal, else 0. */
const isEqual = (a: number, b: number): number => Math.clz32(a ^ b) >>> 5

/**
 * The way of a bucket with this low word, or -1. Written out without branches: which way it is cannot be predicted, and
 * a wrong prediction would hold up the search of the next bucket.
 */
const wayOf = (words: Int32Array, bucket: number, low: number): number => {
  const found =
    isEqual(words[bucket] as number, low) |
    (isEqual(words[(bucket + 1) | 0] as number, low) << 1) |
    (isEqual(words[(bucket + 2) | 0] as number, low) << 2) |
    (isEqual(words[(bucket + 3) | 0] as number, low) << 3) |
    (isEqual(words[(bucket + 4) | 0] as number, low) << 4) |
    (isEqual(words[(bucket + 5) | 0] as number, low) << 5) |
    (isEqual(words[(bucket + 6) | 0] as number, low) << 6) |
    (isEqual(words[(bucket + 7) | 0] as number, low) << 7)
  return 31 - Math.clz32(found & -found)
}

/** Where the buckets of a table are, all in words. */
export interface BucketLayout {
  readonly base: number
  readonly buckets: number
  readonly bucketWords: number
  /** Words of an entry without its key. */
  readonly entryWords: number
  /** The number of buckets is `steps` times 2 to the power of `shift`. */
  readonly steps: number
  readonly shift: number
  /** 2 to the power of `shift`, less one. */
  readonly mask: number
}

const shiftOf = (buckets: number): number => Math.max(0, 27 - Math.clz32(buckets))

/** The number of buckets at or above `buckets` that a table can have: 16 to 31 times a power of two. */
export function roundBuckets(buckets: number): number {
  const shift = shiftOf(buckets)
  return Math.max(2, Math.ceil(buckets / 2 ** shift) << shift)
}

export const bucketWordsOf = (entryWords: number): number => ways * (2 + entryWords)

/**
 * The layout of a table that starts at the word `base`, a multiple of 16 to keep buckets on cache lines. `buckets` is
 * as `roundBuckets` gives it.
 */
export function bucketLayout(base: number, buckets: number, entryWords: number): BucketLayout {
  const shift = shiftOf(buckets)
  const bucketWords = bucketWordsOf(entryWords)
  return { base, buckets, bucketWords, entryWords, steps: buckets >> shift, shift, mask: (1 << shift) - 1 }
}

/** Spreads a hash over the buckets, in integers only. */
const bucketAt = (hash: number, { base, bucketWords, steps, shift, mask }: BucketLayout): number => {
  const index = ((Math.imul(hash >>> 20, steps) >>> 12) << shift) | (hash & mask)
  return (base + Math.imul(index, bucketWords)) | 0
}

const firstBucket = (low: number, high: number, layout: BucketLayout): number =>
  bucketAt(mixed(high, mixA) ^ low, layout)
const secondBucket = (low: number, high: number, layout: BucketLayout): number =>
  bucketAt(mixed(low ^ (high >>> 16), mixC) ^ high, layout)

const entryAt = (bucket: number, way: number, { entryWords }: BucketLayout): number =>
  (bucket + 2 * ways + Math.imul(way, entryWords)) | 0

/**
 * A hash table of fixed size over shared memory: buckets of eight entries, two buckets that may hold a key, and the
 * entry with the least life left making room when both are full. Keys are 64 bits; an entry is named by the index of
 * its first word. Any number of threads may use it at once: an entry is taken by exchanging its low word, and whoever
 * finds an entry checks its key again (`holds`) before it believes what it read.
 */
export class BlockTable {
  readonly layout: BucketLayout
  readonly #words: Int32Array
  readonly #offsetMask: number
  readonly #perEntryWord: number
  readonly #rules: EntryRules
  /** Entries that still had life left when they made room, counted by this thread. */
  displaced = 0

  constructor(words: Int32Array, layout: BucketLayout, rules: EntryRules) {
    const { bucketWords, entryWords } = layout
    this.layout = layout
    this.#words = words
    this.#offsetMask = (bucketWords & (bucketWords - 1)) === 0 ? bucketWords - 1 : 0
    this.#perEntryWord = Math.ceil(2 ** 16 / entryWords)
    this.#rules = rules
  }

  /** The key's entry, or -1. */
  find(low: number, high: number): number {
    const layout = this.layout
    const bucket = firstBucket(low, high, layout)
    const way = wayOf(this.#words, bucket, keyOf(low))
    const isFound = way >= 0 && this.#words[(bucket + ways + way) | 0] === high
    return isFound ? entryAt(bucket, way, layout) : this.#findSecond(low, high)
  }

  /** Whether the entry belongs to this key now. */
  holds(entry: number, low: number, high: number): boolean {
    const at = (entry - this.layout.base) | 0
    const offset = this.#offsetMask === 0 ? at % this.layout.bucketWords : at & this.#offsetMask
    const way = Math.imul(offset - 2 * ways, this.#perEntryWord) >>> 16
    const key = entry - offset + way
    return this.#words[key] === keyOf(low) && this.#words[key + ways] === high
  }

  /**
   * Makes an entry for a key that has none; -1 when everything in its buckets must stay, or when another thread makes
   * one at the same moment: never are there two for one key.
   */
  claim(low: number, high: number): number {
    const first = firstBucket(low, high, this.layout)
    const second = secondBucket(low, high, this.layout)
    const words = this.#words
    let bucket = this.#roomier(first, second)
    let way = wayOf(words, bucket, free)
    if (way < 0) {
      const at = this.#stalest(first, second)
      if (at < 0) return -1
      way = at & (ways - 1)
      bucket = at >= ways ? second : first
    }
    const taken = words[bucket + way] as number
    if (taken === reserved || Atomics.compareExchange(words, bucket + way, taken, reserved) !== taken) return -1
    const entry = entryAt(bucket, way, this.layout)
    this.#rules.reset(entry)
    words[bucket + ways + way] = high
    Atomics.store(words, bucket + way, keyOf(low))
    // Of two threads that make an entry for one key at least one sees the other's here, and gives way.
    if (!this.#isElsewhere(first, second, bucket + way)) return entry
    Atomics.store(words, bucket + way, free)
    return -1
  }

  /**
   * Visits the entries of bucket `index` and frees those for which `visit` gives false. An entry reserved by a thread
   * that has died meanwhile is freed as well.
   */
  sweep(index: number, visit: (entry: number, low: number, high: number) => boolean): void {
    const words = this.#words
    const bucket = this.layout.base + index * this.layout.bucketWords
    for (let way = 0; way < ways; way++) {
      const key = words[bucket + way] as number
      if (key === free) continue
      const entry = entryAt(bucket, way, this.layout)
      if (key === reserved) {
        Atomics.compareExchange(words, bucket + way, reserved, free)
        continue
      }
      const high = words[bucket + ways + way] as number
      if (visit(entry, key, high) || Atomics.compareExchange(words, bucket + way, key, reserved) !== key) continue
      // Somebody may have begun to use it before it was reserved.
      Atomics.store(words, bucket + way, visit(entry, key, high) ? key : free)
    }
  }

  /** Occupied entries of bucket `index`. */
  occupied(index: number): number {
    const bucket = this.layout.base + index * this.layout.bucketWords
    let count = 0
    for (let way = 0; way < ways; way++) if (this.#words[bucket + way] !== free) count++
    return count
  }

  /** Where a new entry goes: it is found soonest in the first bucket, but a full bucket displaces. */
  #roomier(first: number, second: number): number {
    const inFirst = this.#freeWays(first)
    return inFirst >= manyFree || inFirst >= this.#freeWays(second) ? first : second
  }

  #freeWays(bucket: number): number {
    let count = 0
    for (let way = 0; way < ways; way++) if (this.#words[bucket + way] === free) count++
    return count
  }

  /** The way that can best make room: 0-7 in the first bucket, 8-15 in the second, -1 when there is none. */
  #stalest(first: number, second: number): number {
    let best = -1
    let leastLife = 0x7fffffff
    for (let i = 0; i < 2 * ways; i++) {
      const bucket = i < ways ? first : second
      const key = bucket + (i & (ways - 1))
      const [low, high] = [this.#words[key] as number, this.#words[key + ways] as number]
      const life = this.#rules.lifeLeft(entryAt(bucket, i & (ways - 1), this.layout), low, high)
      if (life < 0) return i
      if (life < leastLife) {
        leastLife = life
        best = i
      }
    }
    if (best >= 0) this.displaced++
    return best
  }

  /** Whether the key at `own` has a second entry. */
  #isElsewhere(first: number, second: number, own: number): boolean {
    const words = this.#words
    const [low, high] = [words[own], words[own + ways]]
    for (let i = 0; i < 2 * ways; i++) {
      const at = (i < ways ? first : second) + (i & (ways - 1))
      if (at !== own && Atomics.load(words, at) === low && Atomics.load(words, at + ways) === high) return true
    }
    return false
  }

  #findSecond(low: number, high: number): number {
    const layout = this.layout
    const bucket = secondBucket(low, high, layout)
    const way = wayOf(this.#words, bucket, keyOf(low))
    return way >= 0 && this.#words[(bucket + ways + way) | 0] === high ? entryAt(bucket, way, layout) : -1
  }
}
