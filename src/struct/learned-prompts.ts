import { chainUnitTokens } from './token-chain.ts'

/** The tokens of one prompt, as far as they matter: where its bytes lead, and its keys. */
export interface LearnedPrompt {
  /** Of the whole prompt (prompt-identity.ts). */
  readonly identity: number
  /** Numbers of its beginnings, one per full block of bytes, the shortest first. */
  readonly starts: Float64Array
  readonly promptBytes: number
  readonly tokens: number
  /** At every `chainUnitTokens` tokens, two words each (token-chain.ts). */
  readonly keys: Int32Array
}

/** What is known of the tokens of a prompt. */
export interface KnownTokens {
  readonly keys: Int32Array
  /** Keys of `keys` that are the prompt's. */
  readonly units: number
  /** Tokens of the whole prompt; undefined when only a beginning of it is known. */
  readonly tokens: number | undefined
}

export interface LearnedPromptsOptions {
  /** Bytes of prompt in one block of `LearnedPrompt.starts`. */
  readonly blockBytes: number
  /** Default 32 MiB. */
  readonly maxBytes?: number
}

/** A beginning of prompts. */
interface Start {
  /** The last prompt that was learned of those which begin so. */
  prompt: LearnedPrompt
  /**
   * Units that all prompts have in common which begin so and go on differently; infinite while there is one prompt
   * only.
   */
  commonUnits: number
}

const defaultMaxBytes = 32 * 1024 * 1024

/** Of a prompt besides its arrays, and of one entry of a map. */
const bytesOfPrompt = 400
const bytesOfStart = 120

/**
 * Of a beginning that was seen in one prompt only, its tokens are taken to be spread evenly over its bytes. The tokens
 * that a template puts in front make that too few, long words make it too many: less is taken.
 */
const estimateShare = 0.97

/**
 * Which tokens prompts have, learned from prompts: a prompt that was learned is known whole, one that begins like it as
 * far as they agree. Where two prompts part their tokens tell exactly; before that the place is estimated from the bytes.
 * Bounded by bytes; what was used least lately goes first. One per thread.
 */
export class LearnedPrompts {
  readonly blockBytes: number
  readonly #maxBytes: number
  /** In order of use. */
  readonly #prompts = new Map<number, LearnedPrompt>()
  readonly #starts = new Map<number, Start>()
  #bytes = 0

  constructor({ blockBytes, maxBytes = defaultMaxBytes }: LearnedPromptsOptions) {
    this.blockBytes = blockBytes
    this.#maxBytes = maxBytes
  }

  get size(): number {
    return this.#prompts.size
  }

  /** Memory in use, about. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether exactly this prompt is known. */
  has(identity: number): boolean {
    return this.#prompts.has(identity)
  }

  /** What is known of a prompt; `starts` holds the numbers of its first `count` beginnings. */
  find(identity: number, starts: Float64Array, count: number): KnownTokens | undefined {
    const whole = this.#prompts.get(identity)
    if (whole !== undefined) {
      this.#touch(whole)
      return { keys: whole.keys, units: whole.keys.length / 2, tokens: whole.tokens }
    }
    const depth = this.#depthOf(starts, count)
    const start = depth === 0 ? undefined : this.#starts.get(starts[depth - 1]!)
    if (start === undefined) return undefined
    const { prompt, commonUnits } = start
    this.#touch(prompt)
    const units = Number.isFinite(commonUnits) ? commonUnits : this.#estimate(prompt, depth)
    return units === 0 ? undefined : { keys: prompt.keys, units, tokens: undefined }
  }

  learn(prompt: LearnedPrompt): void {
    const { identity, starts, keys } = prompt
    const size = sizeOf(prompt)
    if (this.#prompts.has(identity) || size > this.#maxBytes) return
    const depth = this.#depthOf(starts, starts.length)
    const parted = depth === 0 ? undefined : this.#starts.get(starts[depth - 1]!)
    if (parted !== undefined) parted.commonUnits = Math.min(parted.commonUnits, unitsInCommon(parted.prompt.keys, keys))
    this.#prompts.set(identity, prompt)
    this.#bytes += size
    for (const number of starts) {
      const known = this.#starts.get(number)
      // The latest has it: it stays the longest.
      if (known === undefined) this.#starts.set(number, { prompt, commonUnits: Number.POSITIVE_INFINITY })
      else known.prompt = prompt
    }
    for (const oldest of this.#prompts.values()) {
      if (this.#bytes <= this.#maxBytes) break
      this.#forget(oldest)
    }
  }

  /** How many beginnings are known, the longest included. */
  #depthOf(starts: Float64Array, count: number): number {
    let low = 0
    let high = count
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#starts.has(starts[middle - 1]!)) low = middle
      else high = middle - 1
    }
    return low
  }

  #estimate({ promptBytes, tokens, keys }: LearnedPrompt, depth: number): number {
    const share = (depth * this.blockBytes) / promptBytes
    return Math.min(keys.length / 2, Math.floor((share * tokens * estimateShare) / chainUnitTokens))
  }

  #touch(prompt: LearnedPrompt): void {
    this.#prompts.delete(prompt.identity)
    this.#prompts.set(prompt.identity, prompt)
  }

  #forget(prompt: LearnedPrompt): void {
    this.#prompts.delete(prompt.identity)
    this.#bytes -= sizeOf(prompt)
    for (const number of prompt.starts) if (this.#starts.get(number)?.prompt === prompt) this.#starts.delete(number)
  }
}

function sizeOf({ starts, keys }: LearnedPrompt): number {
  return bytesOfPrompt + starts.byteLength + keys.byteLength + starts.length * bytesOfStart
}

function unitsInCommon(one: Int32Array, other: Int32Array): number {
  const words = Math.min(one.length, other.length)
  for (let i = 0; i < words; i += 2) if (one[i] !== other[i] || one[i + 1] !== other[i + 1]) return i / 2
  return words / 2
}
