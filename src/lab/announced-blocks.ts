import type { EngineObserver } from '#sim/model/engine-observer.ts'
import type { EngineCall } from '#sim/model/engine-request.ts'

/** What a listener of an engine's KV events believes to be cached. While events get lost it goes on believing. */
export class AnnouncedBlocks {
  readonly #hashes = new Set<number>()
  isListening = true

  /** What the engine has to tell. */
  observer(): Pick<EngineObserver, 'onBlocksStored' | 'onBlockRemoved'> {
    return {
      onBlocksStored: ({ request }: EngineCall, first: number, count: number) => {
        if (!this.isListening) return
        for (let i = first; i < first + count; i++) this.#hashes.add(request.blockHashes[i] ?? Number.NaN)
      },
      onBlockRemoved: (hash) => {
        if (this.isListening) this.#hashes.delete(hash)
      },
    }
  }

  /** How many of the leading blocks, at most `most`, are believed to be cached. */
  leading(hashes: Float64Array, most: number): number {
    const end = Math.min(most, hashes.length)
    let found = 0
    while (found < end && this.#hashes.has(hashes[found]!)) found++
    return found
  }
}
