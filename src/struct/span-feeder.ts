import { MediaDigest, type MediaRange } from './media-digest.ts'
import { maxChainBlocks, maxInputBytes, type Xxh64 } from './xxh64.ts'

/** A byte range [start, end) over the concatenation of slices. */
export interface ByteRange {
  readonly start: number
  readonly end: number
  /**
   * Bytes that a picture, sound or file counts as, however many it has: what is hashed in its place is its digest, over
   * and over. Undefined: the bytes are text.
   */
  readonly countsAs?: number | undefined
}

/**
 * A byte that no UTF-8 text contains: it stands between two spans, so that text moved from one span to the next gives
 * other bytes from there on.
 */
const separator = 0xff

/** Up to this size a loop is quicker than a view of the slice and a native copy: measured, 40 ns against 90. */
const loopBytes = 32

/** Copies of a digest that are added at a time. */
const digestBytes = 512

/**
 * Cuts spans of bytes into blocks of equal size and chains their hashes. The bytes are copied, 64 KiB at a time, to
 * where the hash function reads, or to where what is no text is digested; nothing is decoded and no memory is taken per
 * call but views of the slices.
 */
export class SpanFeeder {
  readonly blockBytes: number
  readonly #hash: Xxh64
  readonly #chunkBytes: number
  #fill = 0
  #blocks = 0
  #maxBlocks = 0
  #out: Int32Array = new Int32Array(0)
  #media: MediaDigest | undefined = undefined
  #digests = new Uint8Array(0)

  constructor(hash: Xxh64, blockBytes: number) {
    this.#hash = hash
    this.blockBytes = blockBytes
    this.#chunkBytes = blockBytes * Math.min(Math.floor(maxInputBytes / blockBytes), maxChainBlocks)
  }

  /** Starts a chain into `out` (low and high word of each block), of at most `maxBlocks` blocks. */
  start(low: number, high: number, out: Int32Array, maxBlocks: number): void {
    this.#hash.startFrom(low, high)
    this.#fill = 0
    this.#blocks = 0
    this.#out = out
    this.#maxBlocks = Math.min(maxBlocks, out.length >> 1)
  }

  /** Adds the bytes of the spans (ascending); false in `separated` joins them as if they were one. */
  feed(slices: readonly Uint8Array[], spans: readonly ByteRange[], separated: boolean): void {
    let index = 0
    let sliceStart = 0
    for (let s = 0; s < spans.length && !this.#isFull(); s++) {
      const { start, end, countsAs } = spans[s] as ByteRange
      if (s > 0 && separated) this.#addByte(separator)
      let at = start
      if (countsAs !== undefined) {
        for (; index < slices.length; index++) {
          const sliceEnd = sliceStart + (slices[index] as Uint8Array).length
          if (sliceEnd > start) break
          sliceStart = sliceEnd
        }
        this.#addMedia(slices, { first: index, start: start - sliceStart, end: end - sliceStart }, countsAs)
        continue
      }
      while (at < end && index < slices.length) {
        const slice = slices[index] as Uint8Array
        const sliceEnd = sliceStart + slice.length
        if (at < sliceEnd) {
          const to = Math.min(end, sliceEnd)
          this.#add(slice, at - sliceStart, to - sliceStart)
          at = to
        }
        if (at >= sliceEnd) {
          sliceStart = sliceEnd
          index++
        }
      }
    }
  }

  /** Hashes what is left and gives the number of blocks. What does not fill a block is left out. */
  finish(): number {
    this.#hashFull()
    this.#out = new Int32Array(0)
    return this.#blocks
  }

  /** As `finish`, but a last block that is not full counts too, padded with zeros to a multiple of `alignBytes`. */
  finishPartial(alignBytes: number): number {
    this.#hashFull()
    const rest = this.#fill
    if (rest > 0 && !this.#isFull()) {
      const bytes = Math.ceil(rest / alignBytes) * alignBytes
      this.#hash.input.fill(0, rest, bytes)
      this.#hash.chain(0, 1, bytes)
      this.#take(1)
    }
    return this.finish()
  }

  /** What is no text costs its digest once, and after that what so much text would. */
  #addMedia(slices: readonly Uint8Array[], range: MediaRange, countsAs: number): void {
    if (this.#media === undefined) {
      this.#media = new MediaDigest()
      this.#digests = new Uint8Array(digestBytes)
    }
    this.#media.digest(slices, range, this.#digests)
    for (let left = countsAs; left > 0; left -= digestBytes) this.#add(this.#digests, 0, Math.min(left, digestBytes))
  }

  #isFull(): boolean {
    return this.#blocks >= this.#maxBlocks
  }

  #addByte(byte: number): void {
    this.#hash.input[this.#fill++] = byte
    if (this.#fill === this.#chunkBytes) this.#hashFull()
  }

  #add(slice: Uint8Array, from: number, to: number): void {
    const { input } = this.#hash
    let at = from
    while (at < to && !this.#isFull()) {
      const bytes = Math.min(to - at, this.#chunkBytes - this.#fill, this.#missingBytes())
      if (bytes <= 0) return
      if (bytes > loopBytes) input.set(slice.subarray(at, at + bytes), this.#fill)
      else for (let i = 0; i < bytes; i++) input[this.#fill + i] = slice[at + i] as number
      this.#fill += bytes
      at += bytes
      if (this.#fill === this.#chunkBytes) this.#hashFull()
    }
  }

  /** Bytes up to the last block that is asked for: beyond it nothing is copied. */
  #missingBytes(): number {
    return (this.#maxBlocks - this.#blocks) * this.blockBytes - this.#fill
  }

  /** Hashes every full block of the input and moves the rest to its start. */
  #hashFull(): void {
    const full = Math.floor(this.#fill / this.blockBytes)
    const blocks = Math.min(full, this.#maxBlocks - this.#blocks)
    if (blocks > 0) {
      this.#hash.chain(0, blocks, this.blockBytes)
      this.#take(blocks)
    }
    const used = full * this.blockBytes
    if (used > 0 && used < this.#fill) this.#hash.input.copyWithin(0, used, this.#fill)
    this.#fill -= used
  }

  #take(blocks: number): void {
    const { words } = this.#hash
    const out = this.#out
    const at = 2 * this.#blocks
    for (let i = 0; i < 2 * blocks; i++) out[at + i] = words[i] as number
    this.#blocks += blocks
  }
}
