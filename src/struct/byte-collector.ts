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

  /** Adds a slice; it is kept, or copied when it is small and not the first. */
  add(slice: Buffer): void {
    if (slice.length === 0) return
    this.bytes += slice.length
    if (slice.length >= smallBytes || this.#slices.length === 0) {
      this.#closeBlock()
      this.#slices.push(slice)
      return
    }
    if (this.#block !== undefined && this.#used + slice.length > blockBytes) this.#closeBlock()
    this.#block ??= Buffer.allocUnsafe(blockBytes)
    slice.copy(this.#block, this.#used)
    this.#used += slice.length
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
