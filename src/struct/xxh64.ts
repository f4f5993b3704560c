import { instantiate } from './wasm-host.ts'
import { hashesAt, inputAt, inputBytes, stateAt, xxh64Module } from './xxh64-code.ts'

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly chain: (address: number, blocks: number, blockBytes: number) => void
  readonly digest: (address: number, bytes: number) => void
}

/** Bytes that fit into `input`, and the most a block may have. */
export const maxInputBytes = inputBytes

/** The most blocks of one call of `chain`: their hashes fill what lies before the input. */
export const maxChainBlocks = 4096

/**
 * XXH64 with seed 0 and chains of it, over bytes the caller puts into `input`. One per thread and use: `input` and
 * `words` are reused by every call. 128 KiB of memory, constant.
 */
export class Xxh64 {
  /** Where the bytes to hash go; the caller fills it. */
  readonly input: Uint8Array
  /** Results of `chain`: low and high word of each hash. Valid until the next call. */
  readonly words: Int32Array
  readonly #state: Int32Array
  readonly #exports: Exports

  constructor() {
    this.#exports = instantiate(xxh64Module) as Exports
    const { buffer } = this.#exports.memory
    this.input = new Uint8Array(buffer, inputAt, inputBytes)
    this.words = new Int32Array(buffer, hashesAt, 2 * maxChainBlocks)
    this.#state = new Int32Array(buffer, stateAt, 2)
  }

  /** Low word of the last hash: of `digest`, or the last one of `chain`. */
  get low(): number {
    return this.#state[0] as number
  }

  get high(): number {
    return this.#state[1] as number
  }

  /** Hashes the first `bytes` of `input` into `low` and `high`. */
  digest(bytes: number): void {
    this.#exports.digest(inputAt, bytes)
  }

  /** Sets the hash that the next block continues. */
  startFrom(low: number, high: number): void {
    this.#state[0] = low
    this.#state[1] = high
  }

  /**
   * Continues the chain by `blocks` blocks (at most `maxChainBlocks`) of `blockBytes` bytes from `offset` of `input` into `words`:
   * h = XXH64(LE64(XXH64(block)) followed by LE64(previous h)).
   */
  chain(offset: number, blocks: number, blockBytes: number): void {
    this.#exports.chain(inputAt + offset, blocks, blockBytes)
  }
}
