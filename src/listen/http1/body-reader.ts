import { type Refusal, refuse } from '#core/refusal.ts'
import type { Body } from '#core/request.ts'
import { ByteCollector } from '#struct/byte-collector.ts'
import { ChunkDecoder } from '#wire/http1/chunk-decoder.ts'
import type { Framing } from '#wire/http1/header-fields.ts'

/**
 * The slowest that a body may come, in bytes per millisecond over one pause (limits.bodyTimeout): 1 KiB/s is slower than
 * any link that people use. Without it, a byte before each pause is over would hold 32 MiB for years.
 */
export const slowestBytesPerMs = 1024 / 1000

/** Collects the body of one request, by length or chunked, within a bound. */
export class BodyReader {
  complete: boolean
  refusal: Refusal | undefined = undefined
  /** Whether the last `push` kept a part of its input; else the input's memory is free again. */
  keptInput = false
  readonly #maxBytes: number
  /** When the rate was last measured, and what had come by then. */
  #measuredAtMs: number
  #measuredBytes = 0
  readonly #collected = new ByteCollector()
  readonly #chunks: ChunkDecoder | undefined
  #remaining: number

  /** A length beyond the limit is refused before a byte of it is read. */
  constructor(framing: Framing, maxBytes: number, startedAtMs: number) {
    this.#maxBytes = maxBytes
    this.#measuredAtMs = startedAtMs
    this.#chunks = framing.chunked ? new ChunkDecoder() : undefined
    this.#remaining = Math.max(framing.contentLength, 0)
    this.complete = !framing.chunked && this.#remaining === 0
    if (this.#remaining > maxBytes) this.refusal = this.#tooLarge()
  }

  /** Takes bytes; returns what lies behind the end of the body. */
  push(chunk: Buffer): Buffer | undefined {
    this.keptInput = false
    if (this.complete) return chunk.length > 0 ? chunk : undefined
    if (this.#chunks !== undefined) return this.#pushChunked(chunk, this.#chunks)
    const taken = Math.min(this.#remaining, chunk.length)
    this.#remaining -= taken
    this.keptInput = this.#collected.add(taken === chunk.length ? chunk : chunk.subarray(0, taken))
    this.complete = this.#remaining === 0
    return taken === chunk.length ? undefined : chunk.subarray(taken)
  }

  /** Measures every `windowMs` how fast the body came since: true when that was too slow. */
  isTooSlow(nowMs: number, windowMs: number): boolean {
    const passedMs = nowMs - this.#measuredAtMs
    if (passedMs < windowMs) return false
    const came = this.#collected.bytes - this.#measuredBytes
    this.#measuredAtMs = nowMs
    this.#measuredBytes = this.#collected.bytes
    return came < passedMs * slowestBytesPerMs
  }

  /** Hands the complete body over. */
  take(): Body {
    const { bytes } = this.#collected
    return { slices: this.#collected.take(), bytes }
  }

  #pushChunked(chunk: Buffer, decoder: ChunkDecoder): Buffer | undefined {
    let pos = 0
    while (pos < chunk.length && !decoder.done) {
      pos = decoder.next(chunk, pos, chunk.length)
      if (decoder.error !== undefined) {
        this.refusal = refuse('malformed-request', `The request body is malformed: ${decoder.error}.`)
        return undefined
      }
      if (decoder.dataEnd === decoder.dataStart) continue
      if (this.#collected.add(chunk.subarray(decoder.dataStart, decoder.dataEnd))) this.keptInput = true
      if (this.#collected.bytes > this.#maxBytes) {
        this.refusal = this.#tooLarge()
        return undefined
      }
    }
    this.complete = decoder.done
    return pos < chunk.length ? chunk.subarray(pos) : undefined
  }

  #tooLarge(): Refusal {
    return refuse('body-too-large', `The request body may have at most ${this.#maxBytes} bytes.`)
  }
}
