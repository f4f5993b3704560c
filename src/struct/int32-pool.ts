/** Arrays of less than this share one size. */
const leastWords = 32

/** Arrays of one size that wait to be used again. */
const keptPerSize = 256

/**
 * Int32Arrays that are used again: memory of typed arrays lies outside of the collector's heap, so that one per request
 * costs full collections. One per thread.
 */
export class Int32Pool {
  readonly #free: Int32Array[][] = []

  /** An array with room for `words`; its content is undefined. Give it back, or leave it to the collector. */
  take(words: number): Int32Array {
    const size = sizeOf(words)
    return this.#free[size]?.pop() ?? new Int32Array(leastWords << size)
  }

  /** Takes an array back that nobody reads any longer. */
  giveBack(array: Int32Array): void {
    const size = sizeOf(array.length)
    const free = (this.#free[size] ??= [])
    if (free.length < keptPerSize) free.push(array)
  }
}

/** Number of the size: each is twice the one before. */
function sizeOf(words: number): number {
  return Math.max(0, 32 - Math.clz32(Math.ceil(words / leastWords) - 1))
}
