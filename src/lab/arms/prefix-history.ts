import type { EngineSettings } from '#sim/model/engine-settings.ts'

/** Tokens between two hashes that are remembered: the grain of a match. */
const grainTokens = 64

/** Rows before the history looks for ones that nobody holds any more, as a multiple of what the engines can hold. */
const slackFactor = 2

/**
 * Which endpoint probably has which prefix cached, from what was sent where and nothing else. An endpoint is taken to have
 * forgotten a block when as many tokens as it has KV cache were newly sent to it since the block was last asked for there,
 * which is close to what LRU does (routing-algorithms.md 5.3).
 */
export class PrefixHistory {
  /** Tokens of the match of the last {@link match}, per endpoint. */
  readonly matchedTokens: Float64Array
  readonly #settings: readonly EngineSettings[]
  readonly #step: number
  readonly #maxRows: number
  /** Tokens newly sent to each endpoint: a clock that only insertions drive. */
  readonly #sentTokens: Float64Array
  /** Per block, the value of each endpoint's clock up to which it holds the block. */
  readonly #heldUntil = new Map<number, Float64Array>()

  /** The engines' blocks are all of one size. */
  constructor(settings: readonly EngineSettings[]) {
    const blockSize = settings[0]?.blockSize ?? grainTokens
    this.#settings = settings
    this.#step = Math.max(1, Math.round(grainTokens / blockSize))
    this.matchedTokens = new Float64Array(settings.length)
    this.#sentTokens = new Float64Array(settings.length)
    const blocks = settings.reduce((sum, { kvBlocks }) => sum + kvBlocks, 0)
    this.#maxRows = Math.ceil((slackFactor * blocks) / this.#step) + 1024
  }

  /** Finds how much of a prompt each endpoint holds; the result is {@link matchedTokens}, valid until the next call. */
  match(hashes: Float64Array, promptTokens: number): Float64Array {
    const matched = this.matchedTokens.fill(0)
    const end = this.#end(hashes, promptTokens)
    for (let at = this.#step; at <= end; at += this.#step) {
      const heldUntil = this.#heldUntil.get(hashes[at - 1] ?? Number.NaN)
      if (heldUntil === undefined) break
      const before = (at - this.#step) * this.#blockSize
      let alive = 0
      for (let i = 0; i < matched.length; i++) {
        if (matched[i]! < before || heldUntil[i]! < this.#sentTokens[i]!) continue
        matched[i] = at * this.#blockSize
        alive++
      }
      if (alive === 0) break
    }
    return matched
  }

  /** Notes that a prompt was sent to an endpoint. */
  insert(hashes: Float64Array, promptTokens: number, endpoint: number): void {
    const end = this.#end(hashes, promptTokens)
    const size = this.matchedTokens.length
    let sent = this.#sentTokens[endpoint] ?? 0
    const capacity = (this.#settings[endpoint]?.kvBlocks ?? 0) * this.#blockSize
    for (let at = this.#step; at <= end; at += this.#step) {
      const hash = hashes[at - 1] ?? Number.NaN
      let heldUntil = this.#heldUntil.get(hash)
      if (heldUntil === undefined) {
        heldUntil = new Float64Array(size).fill(Number.NEGATIVE_INFINITY)
        this.#heldUntil.set(hash, heldUntil)
      }
      if ((heldUntil[endpoint] ?? 0) < sent) sent += this.#step * this.#blockSize
      heldUntil[endpoint] = sent + capacity
    }
    this.#sentTokens[endpoint] = sent
    if (this.#heldUntil.size > this.#maxRows) this.#sweep()
  }

  get #blockSize(): number {
    return this.#settings[0]?.blockSize ?? grainTokens
  }

  #end(hashes: Float64Array, promptTokens: number): number {
    return Math.min(hashes.length, Math.floor(promptTokens / this.#blockSize))
  }

  #sweep(): void {
    for (const [hash, heldUntil] of this.#heldUntil) {
      if (heldUntil.every((until, i) => until < (this.#sentTokens[i] ?? 0))) this.#heldUntil.delete(hash)
    }
  }
}
