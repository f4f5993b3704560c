import { maxInputBytes, Xxh64 } from './xxh64.ts'

/** Room for the digest so far, in front of each piece. */
const headBytes = 8

const pieceBytes = maxInputBytes - headBytes

/**
 * A 64-bit digest of bytes of any length, over slices: XXH64 of each 64 KiB with the digest of what is before. One per
 * thread; 128 KiB.
 */
export class MediaDigest {
  readonly #hash = new Xxh64()
  readonly #head: DataView

  constructor() {
    const { input } = this.#hash
    this.#head = new DataView(input.buffer, input.byteOffset, headBytes)
  }

  /**
   * Digests the bytes [start, end) counted from the beginning of `slices[first]`, which must reach that far, and writes
   * the digest, eight bytes, over and over into `out`, whose length is a multiple of eight.
   */
  digest(slices: readonly Uint8Array[], { first, start, end }: MediaRange, out: Uint8Array): void {
    const { input } = this.#hash
    this.#setHead(0, 0)
    let fill = headBytes
    let base = 0
    for (let i = first; base < end && i < slices.length; i++) {
      const slice = slices[i] as Uint8Array
      const to = Math.min(slice.length, end - base)
      let at = Math.max(0, start - base)
      while (at < to) {
        const bytes = Math.min(to - at, maxInputBytes - fill)
        input.set(slice.subarray(at, at + bytes), fill)
        fill += bytes
        at += bytes
        if (fill === headBytes + pieceBytes) fill = this.#take(fill)
      }
      base += slice.length
    }
    this.#take(fill)
    const view = new DataView(out.buffer, out.byteOffset, out.length)
    for (let at = 0; at < out.length; at += headBytes) {
      view.setInt32(at, this.#hash.low, true)
      view.setInt32(at + 4, this.#hash.high, true)
    }
  }

  /** Digests the piece and puts the result before the next one. */
  #take(fill: number): number {
    this.#hash.digest(fill)
    this.#setHead(this.#hash.low, this.#hash.high)
    return headBytes
  }

  #setHead(low: number, high: number): void {
    this.#head.setInt32(0, low, true)
    this.#head.setInt32(4, high, true)
  }
}

/** Bytes of a list of slices. */
export interface MediaRange {
  /** The slice from whose beginning `start` and `end` count. */
  readonly first: number
  readonly start: number
  readonly end: number
}
