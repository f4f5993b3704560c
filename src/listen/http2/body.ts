import type { Body } from '#core/request.ts'
import { slowestBytesPerMs } from '#listen/http1/body-reader.ts'
import { ByteCollector } from '#struct/byte-collector.ts'
import type { SlabPool } from '#struct/slab-pool.ts'

/** Collects the body of one request within a bound. */
export class Http2Body {
  readonly #pool: SlabPool
  readonly #startedAtMs: number
  readonly #collected = new ByteCollector()
  #slabs: Buffer[] = []
  /** When the last bytes came. */
  lastReadMs: number

  constructor(pool: SlabPool, nowMs: number) {
    this.#pool = pool
    this.#startedAtMs = nowMs
    this.lastReadMs = nowMs
  }

  get bytes(): number {
    return this.#collected.bytes
  }

  /** Takes a copy: `chunk` is a slice of a buffer for everything that the connection has read at once. */
  push(chunk: Buffer, nowMs: number): void {
    this.lastReadMs = nowMs
    const slab = this.#pool.take(chunk.length)
    chunk.copy(slab)
    if (this.#collected.add(slab.subarray(0, chunk.length))) this.#slabs.push(slab)
    else this.#pool.give(slab)
  }

  /** Whether it has stalled for `pauseMs`, or comes more slowly than the slowest rate. */
  isTooSlow(nowMs: number, pauseMs: number): boolean {
    const passedMs = nowMs - this.#startedAtMs - pauseMs
    return nowMs - this.lastReadMs >= pauseMs || this.bytes < passedMs * slowestBytesPerMs
  }

  /** Hands the complete body over. */
  take(): Body {
    const { bytes } = this.#collected
    return { slices: this.#collected.take(), bytes }
  }

  /** Nobody reads the body any more: its memory serves others. */
  recycle(): void {
    for (const slab of this.#slabs) this.#pool.give(slab)
    this.#slabs = []
  }
}
