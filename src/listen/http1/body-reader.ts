import { type Refusal, refuse } from '#core/refusal.ts'
import type { Body } from '#core/request.ts'
import { ByteCollector } from '#struct/byte-collector.ts'
import { ChunkDecoder } from '#wire/http1/chunk-decoder.ts'
import type { Framing } from '#wire/http1/header-fields.ts'

/** Collects the body of one request after another, by length or chunked, within a bound. */
export class BodyReader {
  complete = true
  refusal: Refusal | undefined = undefined
  readonly #maxBytes: number
  readonly #collected = new ByteCollector()
  #remaining = 0
  #chunks: ChunkDecoder | undefined = undefined

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Starts the next body. A length beyond the limit is refused before a byte of it is read. */
  begin(framing: Framing): Refusal | undefined {
    this.#collected.take()
    this.refusal = undefined
    this.#chunks = framing.chunked ? new ChunkDecoder() : undefined
    this.#remaining = Math.max(framing.contentLength, 0)
    this.complete = !framing.chunked && this.#remaining === 0
    return this.#remaining > this.#maxBytes ? this.#tooLarge() : undefined
  }

  /** Takes bytes; returns what lies behind the end of the body. */
  push(chunk: Buffer): Buffer | undefined {
    if (this.complete) return chunk.length > 0 ? chunk : undefined
    if (this.#chunks !== undefined) return this.#pushChunked(chunk, this.#chunks)
    const taken = Math.min(this.#remaining, chunk.length)
    this.#remaining -= taken
    this.#collected.add(taken === chunk.length ? chunk : chunk.subarray(0, taken))
    this.complete = this.#remaining === 0
    return taken === chunk.length ? undefined : chunk.subarray(taken)
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
      this.#collected.add(chunk.subarray(decoder.dataStart, decoder.dataEnd))
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
