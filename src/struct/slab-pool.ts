/** Sizes of slabs in bytes, ascending. */
const sizes = [4 * 1024, 16 * 1024, 64 * 1024] as const

/** Free memory kept per size. */
const maxFreeBytes = 16 * 1024 * 1024

/**
 * Memory for request bytes that is used again instead of being left to the garbage collector. Buffers from the
 * collector are memory outside its heap, and every 64 MB of them start a full collection: at 20 KB a request that
 * is one in 1,500 requests, and a third of the CPU time (npm run bench -- 20k).
 *
 * Who takes a slab may keep it for good; who gives one back promises that nobody reads or writes it any more.
 */
export class SlabPool {
  readonly #free: readonly Buffer[][] = sizes.map(() => [])

  /** A slab of at least `bytes`, its content undefined. Beyond the largest size it comes from the collector. */
  take(bytes: number): Buffer {
    for (let i = 0; i < sizes.length; i++) {
      const size = sizes[i] as number
      if (bytes <= size) return this.#free[i]?.pop() ?? Buffer.allocUnsafeSlow(size)
    }
    return Buffer.allocUnsafeSlow(bytes)
  }

  /** Takes a slab back. One of another size, or beyond what is kept, is left to the collector. */
  give(slab: Buffer): void {
    for (let i = 0; i < sizes.length; i++) {
      const size = sizes[i] as number
      if (slab.length !== size) continue
      const free = this.#free[i]
      if (free !== undefined && free.length * size < maxFreeBytes) free.push(slab)
      return
    }
  }
}
