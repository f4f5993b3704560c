import { hashText, mix32 } from './tokens.ts'

/** The KV blocks one running request holds. */
export interface KvLease {
  /** Prompt tokens whose blocks were found in the cache. */
  readonly cachedTokens: number
  /** Says how many tokens (prompt and output) the request has now; takes blocks as needed. */
  grow(tokens: number): void
  /** Gives the blocks back; those of the prompt stay cached until others need the room. Call it once. */
  release(): void
}

/**
 * Keys of the full blocks of a prompt: each key hashes the block's tokens and its parent's key, so equal keys mean equal
 * prefixes. `salt` keeps apart what must not be shared (adapter, cache salt).
 */
export function blockKeys(tokens: Uint32Array, blockSize: number, salt: string): Float64Array {
  const keys = new Float64Array(Math.floor(tokens.length / blockSize))
  let low = hashText(salt, 1)
  let high = hashText(salt, 2)
  for (let block = 0; block < keys.length; block++) {
    for (let i = block * blockSize; i < (block + 1) * blockSize; i++) {
      low = mix32(low + 0x9e3779b9, tokens[i]!)
      high = mix32(high + 0x7f4a7c15, tokens[i]!)
    }
    keys[block] = (high & 0x1fffff) * 4294967296 + low
  }
  return keys
}

/**
 * The KV cache: a fixed number of blocks, shared by requests whose prompts start alike, evicted least recently used first.
 * A request is admitted only when the blocks of its whole prompt and output are sure to be free, so nothing is preempted.
 */
export class KvPool {
  readonly totalBlocks: number
  readonly blockSize: number
  /** Requests that hold a cached block, by its key. */
  readonly #referenced = new Map<number, number>()
  /** Cached blocks that nobody holds, oldest first. */
  readonly #evictable = new Set<number>()
  /** Blocks that belong to one request alone: the open end of its prompt and its output. */
  #privateBlocks = 0
  /** Blocks that running requests may still ask for. */
  #promised = 0

  constructor(totalBlocks: number, blockSize: number) {
    this.totalBlocks = totalBlocks
    this.blockSize = blockSize
  }

  /** Blocks held by running requests; shared ones count once, cached ones that nobody holds do not count. */
  get usedBlocks(): number {
    return this.#referenced.size + this.#privateBlocks
  }

  /** Forgets every cached block that nobody holds. */
  clearCache(): void {
    this.#evictable.clear()
  }

  /** Takes the blocks of a prompt, or says undefined when the pool cannot promise room for all its tokens. */
  admit(keys: Float64Array, promptTokens: number, outputTokens: number): KvLease | undefined {
    const hits = this.#hitBlocks(keys, promptTokens)
    let evictableHits = 0
    for (let i = 0; i < hits; i++) if (this.#evictable.has(keys[i]!)) evictableHits++
    const newBlocks = this.#blocksOf(promptTokens + outputTokens) - hits
    if (this.usedBlocks + this.#promised + evictableHits + newBlocks > this.totalBlocks) return undefined
    for (const key of keys) this.#hold(key)
    const promptBlocks = this.#blocksOf(promptTokens)
    this.#privateBlocks += promptBlocks - keys.length
    const promised = this.#blocksOf(promptTokens + outputTokens) - promptBlocks
    this.#promised += promised
    this.#evict()
    return this.#lease(keys, { cachedTokens: hits * this.blockSize, promptBlocks, promised })
  }

  #lease(keys: Float64Array, start: { cachedTokens: number; promptBlocks: number; promised: number }): KvLease {
    let heldBlocks = start.promptBlocks
    let promised = start.promised
    return {
      cachedTokens: start.cachedTokens,
      grow: (tokens) => {
        const more = Math.min(this.#blocksOf(tokens) - heldBlocks, promised)
        if (more <= 0) return
        heldBlocks += more
        promised -= more
        this.#privateBlocks += more
        this.#promised -= more
        this.#evict()
      },
      release: () => {
        this.#privateBlocks -= heldBlocks - keys.length
        this.#promised -= promised
        // Ends of chains go first, so that a prefix outlives what follows it.
        for (let i = keys.length - 1; i >= 0; i--) this.#letGo(keys[i]!)
      },
    }
  }

  /** Leading blocks of the prompt that are cached; the last token is always computed, as in vLLM. */
  #hitBlocks(keys: Float64Array, promptTokens: number): number {
    const most = Math.min(keys.length, Math.floor((promptTokens - 1) / this.blockSize))
    let hits = 0
    while (hits < most && (this.#referenced.has(keys[hits]!) || this.#evictable.has(keys[hits]!))) hits++
    return hits
  }

  #hold(key: number): void {
    this.#evictable.delete(key)
    this.#referenced.set(key, (this.#referenced.get(key) ?? 0) + 1)
  }

  #letGo(key: number): void {
    const holders = this.#referenced.get(key) ?? 0
    if (holders > 1) {
      this.#referenced.set(key, holders - 1)
      return
    }
    this.#referenced.delete(key)
    this.#evictable.add(key)
  }

  #evict(): void {
    for (const key of this.#evictable) {
      if (this.usedBlocks + this.#evictable.size <= this.totalBlocks) return
      this.#evictable.delete(key)
    }
  }

  #blocksOf(tokens: number): number {
    return Math.ceil(tokens / this.blockSize)
  }
}
