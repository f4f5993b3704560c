import type { SimCore } from '#sim/api/exchange.ts'
import type { EngineStep } from '#sim/model/engine-observer.ts'

/** Most iterations kept; the engine's own default. */
const MAX_ITERATIONS = 1_000

/** The statistics of the last iterations, as trtllm-serve hands them out at `/metrics`: reading empties it. */
export class IterationLog {
  readonly #core: SimCore
  readonly #records: unknown[] = []
  #iterations = 0

  constructor(core: SimCore) {
    this.#core = core
  }

  /** Notes one step of the engine. */
  add(step: EngineStep): void {
    this.#records.push(this.#record(step))
    if (this.#records.length > MAX_ITERATIONS) this.#records.shift()
  }

  /** All iterations since the last call, oldest first. */
  drain(): unknown[] {
    return this.#records.splice(0)
  }

  #record({ startMs, endMs, chunkTokens }: EngineStep): unknown {
    const { running, waiting, usedBlocks, totalBlocks, promptTokens, cachedTokens } = this.#core.engine.stats()
    const { blockSize, maxNumSeqs } = this.#core.settings
    return {
      iter: this.#iterations++,
      iterLatencyMS: endMs - startMs,
      maxBatchSizeStatic: maxNumSeqs,
      maxNumActiveRequests: maxNumSeqs,
      numActiveRequests: running,
      numQueuedRequests: waiting,
      inflightBatchingStats: {
        numScheduledRequests: running,
        numPausedRequests: 0,
        numCtxTokens: chunkTokens,
        microBatchId: 0,
      },
      kvCacheStats: {
        maxNumBlocks: totalBlocks,
        freeNumBlocks: totalBlocks - usedBlocks,
        usedNumBlocks: usedBlocks,
        tokensPerBlock: blockSize,
        cacheHitRate: promptTokens === 0 ? 0 : cachedTokens / promptTokens,
      },
    }
  }
}
