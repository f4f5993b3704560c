import type { ByteRange } from './span-feeder.ts'
import { Xxh64 } from './xxh64.ts'

/** Bytes at the end of a prompt that are hashed: more than any block of a chain leaves over. */
const tailBytes = 1024

const headBytes = 24

/**
 * One number for a whole prompt, from the chain of its full blocks, its length and its end: prompts have the same number
 * only when they are the same (53 bits). One per thread.
 */
export class PromptIdentity {
  readonly #hash = new Xxh64()
  readonly #head: DataView

  constructor() {
    const { input } = this.#hash
    this.#head = new DataView(input.buffer, input.byteOffset, headBytes)
  }

  /** `parts`, up to six numbers: the hash of the last full block, the length, the salt, as the caller has them. */
  of(slices: readonly Uint8Array[], spans: readonly ByteRange[], parts: readonly number[]): number {
    for (let i = 0; i < headBytes / 4; i++) this.#head.setInt32(4 * i, parts[i] ?? 0, true)
    let left = tailBytes
    let at = headBytes
    for (let i = spans.length - 1; i >= 0 && left > 0; i--) {
      const { start, end } = spans[i]!
      const from = Math.max(start, end - left)
      at += copyRange(slices, { start: from, end }, this.#hash.input.subarray(at))
      left -= end - from
    }
    this.#hash.digest(at)
    return numberOf(this.#hash.low, this.#hash.high)
  }
}

/** 53 of the 64 bits of a hash. */
export function numberOf(low: number, high: number): number {
  return (high & 0x1fffff) * 2 ** 32 + (low >>> 0)
}

/** Copies a range of the slices and says how many bytes those are. */
function copyRange(slices: readonly Uint8Array[], { start, end }: ByteRange, into: Uint8Array): number {
  let base = 0
  let filled = 0
  for (const slice of slices) {
    const from = Math.max(start - base, 0)
    const to = Math.min(end - base, slice.length)
    if (from < to) {
      into.set(slice.subarray(from, to), filled)
      filled += to - from
    }
    base += slice.length
    if (base >= end) break
  }
  return filled
}
