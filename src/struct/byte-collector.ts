const blockBytes = 16 * 1024
const smallBytes = 1024

/**
 * Collects slices of a body. Large slices are kept as they are; a dribble of small ones is copied into blocks, so that
 * a body sent byte by byte costs its size and not an object per byte.
 */
export class ByteCollector {
  bytes = 0
  #slices: Buffer[] = []
  #block: Buffer | undefined = undefined
  #used = 0

  /** Adds a slice: true when it is kept, false when it was copied because it is small and not the first. */
  add(slice: Buffer): boolean {
    if (slice.length === 0) return false
    this.bytes += slice.length
    if (slice.length >= smallBytes || this.#slices.length === 0) {
      this.#closeBlock()
      this.#slices.push(slice)
      return true
    }
    if (this.#block !== undefined && this.#used + slice.length > blockBytes) this.#closeBlock()
    this.#block ??= Buffer.allocUnsafe(blockBytes)
    slice.copy(this.#block, this.#used)
    this.#used += slice.length
    return false
  }

  /** Hands over everything collected and starts anew. */
  take(): readonly Buffer[] {
    this.#closeBlock()
    const slices = this.#slices
    this.#slices = []
    this.bytes = 0
    return slices
  }

  #closeBlock(): void {
    if (this.#block === undefined) return
    this.#slices.push(this.#block.subarray(0, this.#used))
    this.#block = undefined
    this.#used = 0
  }
}
