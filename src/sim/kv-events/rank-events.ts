import type { StoredBlocks } from '#sim/kv-event-sink.ts'
import type { BlockNamer } from './block-namer.ts'
import type { EncodingName } from './encoding.ts'
import type { EventBatch, KvEvent } from './kv-event.ts'

/** Where the blocks are; the simulated engines have no other place for them. */
const MEDIUM = 'GPU'

/** The one group of cache layers, and its kind. */
const GROUP = 0
const SPEC_KIND = 'full_attention'

/** Clears in a row that wait for a step on an idle engine; a further one would say nothing new. */
const MAX_CLEARS = 1_000

/** What happened to the blocks of one rank since its last step ended, in order. */
export class RankEvents {
  readonly #rank: number
  readonly #namer: BlockNamer
  readonly #toEvents: (blocks: StoredBlocks, namer: BlockNamer) => readonly KvEvent[]
  readonly #hasGroups: boolean
  #events: KvEvent[] = []
  /** Clears at the end of the list. */
  #clears = 0

  constructor(rank: number, encoding: EncodingName, namer: BlockNamer) {
    this.#rank = rank
    this.#namer = namer
    this.#toEvents = encoding === 'sglang' ? sglangStored : vllmStored
    this.#hasGroups = encoding !== 'sglang'
  }

  stored(blocks: StoredBlocks): void {
    this.#clears = 0
    for (const event of this.#toEvents(blocks, this.#namer)) this.#events.push(event)
  }

  removed(hash: number): void {
    const name = this.#namer.removed(hash)
    if (name === undefined) return
    this.#clears = 0
    const group = this.#hasGroups ? { groupIdx: GROUP } : {}
    this.#events.push({ type: 'BlockRemoved', names: [name], medium: MEDIUM, ...group })
  }

  cleared(): void {
    this.#namer.cleared()
    if (++this.#clears <= MAX_CLEARS) this.#events.push({ type: 'AllBlocksCleared' })
  }

  /** The batch of the step that ends now; undefined when nothing happened. */
  take(atEpochMs: number): EventBatch | undefined {
    if (this.#events.length === 0) return undefined
    const events = this.#events
    this.#events = []
    this.#clears = 0
    return { timeS: atEpochMs / 1000, events, rank: this.#rank }
  }
}

/** One event for the whole run. */
function vllmStored(blocks: StoredBlocks, namer: BlockNamer): readonly KvEvent[] {
  const { names, parent } = namer.stored(blocks)
  const { tokenIds, blockSize, adapter, adapterId } = blocks
  const run = { names, parent, tokenIds, blockSize, loraId: adapterId, loraName: adapter, medium: MEDIUM }
  const spec = { groupIdx: GROUP, cacheSpecKind: SPEC_KIND }
  return [{ type: 'BlockStored', ...run, extraKeys: extraKeysOf(blocks), ...spec }]
}

/** As they are published: the adapter's name and the salt without tags, although the hash has them with tags. */
function extraKeysOf({ hashes, firstBlock, adapter, cacheSalt }: StoredBlocks): (readonly string[] | undefined)[] {
  return hashes.map((_, i) => {
    const salt = firstBlock + i === 0 ? cacheSalt : undefined
    const keys = [adapter, salt].filter((key) => key !== undefined)
    return keys.length === 0 ? undefined : keys
  })
}

/** One event for each block; SGLang never says which adapter it is. */
function sglangStored(blocks: StoredBlocks, namer: BlockNamer): readonly KvEvent[] {
  const { names, parent } = namer.stored(blocks)
  const { tokenIds, blockSize } = blocks
  return names.map((name, i) => ({
    type: 'BlockStored',
    names: [name],
    parent: i === 0 ? parent : names[i - 1],
    tokenIds: tokenIds.subarray(i * blockSize, (i + 1) * blockSize),
    blockSize,
    loraId: undefined,
    loraName: undefined,
    medium: MEDIUM,
  }))
}
