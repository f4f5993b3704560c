/** How a block is named on the wire: 64 bits, or the whole digest. */
export type BlockName = bigint | Uint8Array

/** A run of consecutive full blocks of one sequence that can be found from now on. */
export interface BlockStored {
  readonly type: 'BlockStored'
  readonly names: readonly BlockName[]
  /** Name of the block before the first one; undefined at the start of a prompt. */
  readonly parent: BlockName | undefined
  /** Of all these blocks, as unsigned 32-bit numbers. */
  readonly tokenIds: Uint32Array
  /** Tokens in one block. */
  readonly blockSize: number
  readonly loraId: number | undefined
  readonly loraName: string | undefined
  readonly medium: string | undefined
  /** For each block what was hashed besides tokens; undefined is left out, as engines before extra keys did. */
  readonly extraKeys?: readonly (readonly string[] | undefined)[]
  readonly groupIdx?: number
  readonly cacheSpecKind?: string
  readonly slidingWindow?: number
}

/** Blocks that gave way. Another block of the same name may still be there. */
export interface BlockRemoved {
  readonly type: 'BlockRemoved'
  readonly names: readonly BlockName[]
  readonly medium: string | undefined
  readonly groupIdx?: number
}

/** Every block is forgotten. */
export interface AllBlocksCleared {
  readonly type: 'AllBlocksCleared'
}

export type KvEvent = BlockStored | BlockRemoved | AllBlocksCleared

/** The events of one step, to be applied in order. */
export interface EventBatch {
  /** Seconds since the epoch. */
  readonly timeS: number
  readonly events: readonly KvEvent[]
  /** Data-parallel rank; null is written as nil, undefined is left out. */
  readonly rank: number | null | undefined
}
