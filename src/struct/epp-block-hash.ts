import type { BlockSalt } from './prompt-hasher.ts'
import { type ByteRange, SpanFeeder } from './span-feeder.ts'
import { maxInputBytes, Xxh64 } from './xxh64.ts'

const bytesPerToken = 4
const maxBlockTokens = maxInputBytes / bytesPerToken

export interface EppBlockHasherOptions {
  /** 1 to 16,384; the approximate producer of the Endpoint Picker uses 64 and raises smaller values to it. */
  readonly blockSizeTokens: number
  /** Blocks of one prompt that are hashed; 131,072 tokens divided by the block size by default there. */
  readonly maxBlocks: number
}

/**
 * Block hashes bit-equal to those of the Endpoint Picker (its `prefixhash` package): the chain starts from XXH64 of
 * the model name followed by the cache salt; for each block of tokens, the last one included even when it is not full,
 * h = XXH64(LE64(XXH64(tokens as little-endian 32-bit words)) followed by LE64(previous h)).
 *
 * One per thread. Each prompt of a batch is hashed by its own call.
 */
export class EppBlockHasher {
  readonly maxBlocks: number
  readonly #hash = new Xxh64()
  readonly #feeder: SpanFeeder

  /** Throws a RangeError for a block size outside of its range. */
  constructor({ blockSizeTokens, maxBlocks }: EppBlockHasherOptions) {
    if (!(Number.isInteger(blockSizeTokens) && blockSizeTokens >= 1 && blockSizeTokens <= maxBlockTokens))
      throw new RangeError(`a block has 1 to ${maxBlockTokens} tokens, not ${blockSizeTokens}`)
    this.maxBlocks = maxBlocks
    this.#feeder = new SpanFeeder(this.#hash, blockSizeTokens * bytesPerToken)
  }

  /** Where the chain of a model starts. Names are cut at 32 KiB. */
  seedOf(model: string, cacheSalt: string): BlockSalt {
    const bytes = Buffer.from(this.#hash.input.buffer, this.#hash.input.byteOffset, maxInputBytes)
    const modelBytes = bytes.write(model, 0, maxInputBytes / 2)
    this.#hash.digest(modelBytes + bytes.write(cacheSalt, modelBytes))
    return { low: this.#hash.low, high: this.#hash.high }
  }

  /**
   * Hashes token ids into `out` (low and high word of each block; bounds the blocks together with `maxBlocks`) and
   * gives the number of blocks.
   */
  hashTokens(tokens: Uint32Array, seed: BlockSalt, out: Int32Array): number {
    const bytes = new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength)
    return this.hashBytes([bytes], [{ start: 0, end: bytes.length }], seed, out)
  }

  /**
   * Hashes text as its estimating tokenizer does: bytes packed four to a token, zeros filling the last one. The spans
   * are joined without a mark between them.
   */
  hashBytes(
    slices: readonly Uint8Array[],
    spans: readonly ByteRange[],
    { low, high }: BlockSalt,
    out: Int32Array,
  ): number {
    this.#feeder.start(low, high, out, this.maxBlocks)
    this.#feeder.feed(slices, spans, false)
    return this.#feeder.finishPartial(bytesPerToken)
  }
}
