/** A run of full KV blocks of one sequence that can be found from now on. */
export interface StoredBlocks {
  /** Data-parallel rank of the engine, from 0. */
  readonly rank: number
  /** Hashes of the blocks, one after the other in the sequence: integers in [0, 2^53), valid as unsigned 64-bit values. */
  readonly hashes: readonly number[]
  /** Hash of the block before the first; undefined when the first block begins the prompt. */
  readonly parentHash: number | undefined
  /** Tokens of the blocks, prompt and output: `hashes.length * blockSize` of them. */
  readonly tokenIds: Uint32Array
  readonly blockSize: number
  /** Place of the first block in its sequence, from 0: only block 0 carries the cache salt in what engines call extra keys. */
  readonly firstBlock: number
  /** Name of the LoRA adapter, and the number the engine gave it when it was loaded (from 1). */
  readonly adapter: string | undefined
  readonly adapterId: number | undefined
  readonly cacheSalt: string | undefined
}

/**
 * What hears of the KV blocks of an engine, to publish them. Calls come in the order things happen, synchronously, while the
 * engine advances: a sink only takes notes, it must not call the engine. A hash may be stored again while it is known (a fully
 * cached prompt computes its last block again). Batches go out at {@link KvEventSink.stepEnd}: what happens outside of a step
 * waits for the end of the next one, as in vLLM, a clear of the cache included.
 */
export interface KvEventSink {
  stored(blocks: StoredBlocks): void
  /** One block with this hash gave way; another block may still have the same hash. */
  removed(rank: number, hash: number): void
  /** All cached blocks are gone. Comes instead of their single removals. */
  cleared(rank: number): void
  /** A step of the rank has ended, at this time in epoch milliseconds (wall time, also when the fleet's time runs faster). */
  stepEnd(rank: number, atEpochMs: number): void
}
