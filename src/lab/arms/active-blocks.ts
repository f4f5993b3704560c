import type { Arrival } from '#lab/virtual-fleet.ts'
import type { EngineSettings } from '#sim/model/engine-settings.ts'

/** Tokens between two blocks that are counted: the grain. */
const grainTokens = 64

/** Prompt tokens in use by requests in flight, per endpoint, a shared prefix counted once. */
export class ActiveBlocks {
  /** Without the request in question. */
  readonly tokens: Float64Array
  readonly #withRequest: Float64Array
  readonly #users: readonly Map<number, number>[]
  readonly #blockSize: number
  readonly #step: number

  constructor(settings: readonly EngineSettings[]) {
    this.#blockSize = settings[0]?.blockSize ?? grainTokens
    this.#step = Math.max(1, Math.round(grainTokens / this.#blockSize))
    this.tokens = new Float64Array(settings.length)
    this.#withRequest = new Float64Array(settings.length)
    this.#users = settings.map(() => new Map())
  }

  /** What {@link tokens} would be with a request added, endpoint by endpoint; valid until the next call. */
  withRequest({ request }: Arrival): Float64Array {
    const end = this.#end(request.promptTokens, request.blockHashes)
    for (let i = 0; i < this.#users.length; i++) {
      const users = this.#users[i]!
      let first = end
      // Blocks are chained: behind the first one that is not in use none is.
      for (let at = this.#step; at <= end; at += this.#step) {
        if (users.has(request.blockHashes[at - 1]!)) continue
        first = at - this.#step
        break
      }
      this.#withRequest[i] = this.tokens[i]! + request.promptTokens - first * this.#blockSize
    }
    return this.#withRequest
  }

  add({ request }: Arrival, endpoint: number): void {
    this.#change(request.blockHashes, this.#end(request.promptTokens, request.blockHashes), endpoint, 1)
  }

  remove({ request }: Arrival, endpoint: number): void {
    this.#change(request.blockHashes, this.#end(request.promptTokens, request.blockHashes), endpoint, -1)
  }

  #end(promptTokens: number, hashes: Float64Array): number {
    return Math.min(hashes.length, Math.floor(promptTokens / this.#blockSize))
  }

  #change(hashes: Float64Array, end: number, endpoint: number, by: 1 | -1): void {
    const users = this.#users[endpoint]
    if (users === undefined) return
    for (let at = this.#step; at <= end; at += this.#step) {
      const hash = hashes[at - 1] ?? Number.NaN
      const before = users.get(hash) ?? 0
      const after = before + by
      if (after === 0) users.delete(hash)
      else users.set(hash, after)
      if (before === 0 || after === 0) {
        this.tokens[endpoint] = (this.tokens[endpoint] ?? 0) + by * this.#step * this.#blockSize
      }
    }
  }
}
