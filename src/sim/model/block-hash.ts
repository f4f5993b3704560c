/**
 * Chained hashes of KV blocks. A block's hash covers its tokens and, through its parent's hash, everything before it, so equal
 * hashes mean equal prefixes. Hashes are integers in [0, 2^53): exact as numbers, valid as unsigned 64-bit values on a wire.
 * Only full blocks have one. What must not be shared (another adapter, another cache salt) starts from another salt.
 */

/** A run of tokens that a synthetic workload names instead of spelling out: the same seed is the same endless text. */
export interface Segment {
  readonly seed: number
  readonly tokens: number
}

const noHashes: Float64Array = new Float64Array(0)

const HIGH_BITS = 0x1fffff

function mix(state: number, value: number): number {
  let mixed = Math.imul(state ^ value, 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}

/** The two 32-bit lanes that make one hash; `fold` takes one more word into both. */
class Chain {
  #low = 0
  #high = 0

  start(hash: number): void {
    this.#low = hash | 0
    this.#high = Math.floor(hash / 4294967296)
  }

  fold(word: number): void {
    this.#low = mix(this.#low + 0x9e3779b9, word)
    this.#high = mix(this.#high + 0x7f4a7c15, word)
  }

  /** Ends a block: its hash, which is all that the next block knows of what was before. */
  end(): number {
    this.#high &= HIGH_BITS
    return this.#high * 4294967296 + (this.#low >>> 0)
  }
}

/** Full blocks of so many tokens. */
export function fullBlocksOf(tokens: number, blockSize: number): number {
  return Math.floor(tokens / blockSize)
}

/** Hashes of the full blocks of a token sequence. Costs one step per token. */
export function hashTokenBlocks(tokens: Uint32Array, blockSize: number, salt: number): Float64Array<ArrayBuffer> {
  // Signed words are small integers to the machine; ids beyond 2^31 read as unsigned ones are not.
  const words = new Int32Array(tokens.buffer, tokens.byteOffset, tokens.length)
  const hashes = new Float64Array(fullBlocksOf(tokens.length, blockSize))
  const chain = new Chain()
  chain.start(salt)
  for (let block = 0; block < hashes.length; block++) {
    const end = (block + 1) * blockSize
    for (let i = block * blockSize; i < end; i++) chain.fold(words[i]!)
    hashes[block] = chain.end()
  }
  return hashes
}

/**
 * Hashes of the full blocks of a sequence given as segments, one after the other; equal texts have equal hashes however they
 * are cut into prompt and output. Costs a few steps per block, none per token. `known` are hashes of leading blocks computed
 * before for the same salt and segments: they are copied.
 */
export function hashSegmentBlocks(
  segments: readonly Segment[],
  blockSize: number,
  salt: number,
  known: Float64Array = noHashes,
): Float64Array<ArrayBuffer> {
  const total = segments.reduce((sum, { tokens }) => sum + tokens, 0)
  const hashes = new Float64Array(fullBlocksOf(total, blockSize))
  const start = Math.min(known.length, hashes.length)
  hashes.set(known.subarray(0, start))
  const chain = new Chain()
  chain.start(start === 0 ? salt : known[start - 1]!)
  let index = 0
  let segmentStart = 0
  for (let block = start; block < hashes.length; block++) {
    const end = (block + 1) * blockSize
    let at = block * blockSize
    while (at < end) {
      while (segmentStart + segments[index]!.tokens <= at) segmentStart += segments[index++]!.tokens
      const segment = segments[index]!
      const stop = Math.min(end, segmentStart + segment.tokens)
      chain.fold(segment.seed)
      chain.fold(at - segmentStart)
      chain.fold(stop - at)
      at = stop
    }
    hashes[block] = chain.end()
  }
  return hashes
}
