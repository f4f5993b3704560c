import type { Body } from '#core/request.ts'
import type { Segment } from '#sim/model/block-hash.ts'

/** Bytes of text to a token, as sim/tokens.ts splits it. */
export const bytesPerToken = 4

/** Text of segments that is kept, in bytes; the ones used longest ago are made anew when they come again. */
const defaultMaxBytes = 64 * 2 ** 20

const alphabet = Buffer.from('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .')

/** Four letters that seed and position alone decide: 24 bits, so that two texts are not the same for a whole block by chance. */
function writeTokens(into: Buffer, seed: number, from: number): void {
  const salt = Math.imul(seed | 0, 0x9e3779b1) ^ Math.floor(seed / 4294967296)
  for (let at = from * bytesPerToken; at < into.length; at += bytesPerToken) {
    let mixed = Math.imul(salt + at, 0x85ebca6b)
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
    mixed ^= mixed >>> 16
    into[at] = alphabet[mixed & 63]!
    into[at + 1] = alphabet[(mixed >>> 6) & 63]!
    into[at + 2] = alphabet[(mixed >>> 12) & 63]!
    into[at + 3] = alphabet[(mixed >>> 18) & 63]!
  }
}

/**
 * The text of segments, four bytes a token, made when first asked for. The same segment is the same text however long it is
 * asked for, so two prompts begin with the same bytes as far as they begin with the same segments: what hashes the bytes of a
 * prompt finds the prefixes that the engine model finds. Bounded in bytes.
 */
export class SegmentTexts {
  readonly #maxBytes: number
  /** By seed, the one used longest ago first. */
  readonly #texts = new Map<number, Buffer>()
  #bytes = 0

  constructor(maxBytes = defaultMaxBytes) {
    this.#maxBytes = maxBytes
  }

  /** Bytes that are kept. */
  get keptBytes(): number {
    return this.#bytes
  }

  /** Belongs to this object: to be read only. */
  textOf({ seed, tokens }: Segment): Buffer {
    const known = this.#texts.get(seed)
    const bytes = tokens * bytesPerToken
    if (known !== undefined) {
      this.#texts.delete(seed)
      this.#texts.set(seed, known)
      if (known.length >= bytes) return known.length === bytes ? known : known.subarray(0, bytes)
    }
    const text = Buffer.allocUnsafe(bytes)
    known?.copy(text)
    writeTokens(text, seed, (known?.length ?? 0) / bytesPerToken)
    this.#texts.set(seed, text)
    this.#bytes += bytes - (known?.length ?? 0)
    this.#trim(seed)
    return text
  }

  #trim(kept: number): void {
    for (const [seed, text] of this.#texts) {
      if (this.#bytes <= this.#maxBytes) return
      if (seed === kept) continue
      this.#texts.delete(seed)
      this.#bytes -= text.length
    }
  }
}

/** What is around a text in JSON. The gateway hashes it with the prompt, so places of blocks depend on it. */
const quote = Buffer.from('"')

/**
 * The body of a request whose prompt is these segments: nothing but the prompt as a JSON string, the text of each segment a
 * slice, made when first read.
 */
export class PromptBody implements Body {
  readonly bytes: number
  readonly #segments: readonly Segment[]
  readonly #texts: SegmentTexts
  #slices: readonly Buffer[] | undefined

  constructor(segments: readonly Segment[], texts: SegmentTexts) {
    this.bytes = segments.reduce((sum, { tokens }) => sum + tokens, 0) * bytesPerToken + 2 * quote.length
    this.#segments = segments
    this.#texts = texts
  }

  get slices(): readonly Buffer[] {
    this.#slices ??= [quote, ...this.#segments.map((segment) => this.#texts.textOf(segment)), quote]
    return this.#slices
  }
}
