import type { StoredBlocks } from '#sim/kv-event-sink.ts'
import { type BlockDigest, sglangDigest, vllmDigest } from './block-digest.ts'
import type { BlockName } from './kv-event.ts'
import type { KvEventSettings } from './options.ts'

/** Turns the engine model's hashes into the names that blocks have in events. */
export interface BlockNamer {
  /** Names of blocks that are stored now, and of the block before them. */
  stored(blocks: StoredBlocks): { readonly names: BlockName[]; readonly parent: BlockName | undefined }
  /** Name of a block that gives way; undefined for one that was forgotten by a clear already. */
  removed(hash: number): BlockName | undefined
  cleared(): void
}

/** Where the adapter of a name was loaded from. */
export type AdapterPath = (name: string) => string

/** The namer for one rank. */
export function blockNamer(settings: KvEventSettings, adapterPath: AdapterPath): BlockNamer {
  const { blockHashes, encoding, hashSeed } = settings
  if (blockHashes === 'model') return modelNames
  if (encoding === 'sglang') return new DigestNames(sglangDigest, firstBytes, adapterPath)
  const nameOf = blockHashes === 'engine-bytes' ? (digest: Uint8Array) => digest : lastBytes
  return new DigestNames(vllmDigest(hashSeed), nameOf, adapterPath)
}

/** The model's own hashes, which are whole numbers below 2^53. */
const modelNames: BlockNamer = {
  stored: ({ hashes, parentHash }) => ({
    names: hashes.map(BigInt),
    parent: parentHash === undefined ? undefined : BigInt(parentHash),
  }),
  removed: BigInt,
  cleared: () => {},
}

/** vLLM: the digest as one big number, modulo 2^64. */
function lastBytes(digest: Uint8Array): bigint {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.length).readBigUInt64BE(digest.length - 8)
}

/** SGLang: the first 16 hexadecimal digits as a signed number. */
function firstBytes(digest: Uint8Array): bigint {
  return Buffer.from(digest.buffer, digest.byteOffset, digest.length).readBigInt64BE(0)
}

interface Known {
  readonly digest: Uint8Array
  /** Blocks that have this hash now. */
  blocks: number
}

/** Names by the digests an engine computes. Remembers one digest for each hash that is in the cache. */
class DigestNames implements BlockNamer {
  readonly #digest: BlockDigest
  readonly #nameOf: (digest: Uint8Array) => BlockName
  readonly #adapterPath: AdapterPath
  #known = new Map<number, Known>()
  /** What was known before the last clear: a request that runs through it still builds on it. */
  #before: ReadonlyMap<number, Known> = new Map()

  constructor(digest: BlockDigest, nameOf: (digest: Uint8Array) => BlockName, adapterPath: AdapterPath) {
    this.#digest = digest
    this.#nameOf = nameOf
    this.#adapterPath = adapterPath
  }

  stored(blocks: StoredBlocks): { names: BlockName[]; parent: BlockName | undefined } {
    const { parentHash, hashes, tokenIds, blockSize, firstBlock } = blocks
    const adapter =
      blocks.adapter === undefined ? undefined : { name: blocks.adapter, path: this.#adapterPath(blocks.adapter) }
    const parentDigest = parentHash === undefined ? undefined : this.#digestOf(parentHash)
    let parent = parentDigest
    const names = hashes.map((hash, i) => {
      const digest = this.#digest({
        parent,
        tokenIds: tokenIds.subarray(i * blockSize, (i + 1) * blockSize),
        adapter,
        cacheSalt: firstBlock + i === 0 ? blocks.cacheSalt : undefined,
      })
      this.#remember(hash, digest)
      parent = digest
      return this.#nameOf(digest)
    })
    return { names, parent: parentDigest === undefined ? undefined : this.#nameOf(parentDigest) }
  }

  removed(hash: number): BlockName | undefined {
    const known = this.#known.get(hash)
    if (known === undefined) return undefined
    if (--known.blocks === 0) this.#known.delete(hash)
    return this.#nameOf(known.digest)
  }

  cleared(): void {
    this.#before = this.#known
    this.#known = new Map()
  }

  #digestOf(hash: number): Uint8Array | undefined {
    return (this.#known.get(hash) ?? this.#before.get(hash))?.digest
  }

  #remember(hash: number, digest: Uint8Array): void {
    const known = this.#known.get(hash)
    if (known === undefined) this.#known.set(hash, { digest, blocks: 1 })
    else known.blocks++
  }
}
