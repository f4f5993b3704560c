/** One batch that was published. */
export interface PublishedBatch {
  readonly sequence: number
  readonly payload: Buffer
}

/** The last batches of one rank, for who missed some: bounded in number and in bytes, the oldest go first. */
export class ReplayBuffer {
  readonly #maxSteps: number
  readonly #maxBytes: number
  readonly #payloads = new Map<number, Buffer>()
  #bytes = 0

  constructor(maxSteps: number, maxBytes: number) {
    this.#maxSteps = maxSteps
    this.#maxBytes = maxBytes
  }

  get steps(): number {
    return this.#payloads.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Sequence numbers are added in ascending order. A batch above the byte limit by itself is kept alone. */
  add({ sequence, payload }: PublishedBatch): void {
    this.#payloads.set(sequence, payload)
    this.#bytes += payload.length
    for (const [oldest, { length }] of this.#payloads) {
      if (oldest === sequence || (this.#payloads.size <= this.#maxSteps && this.#bytes <= this.#maxBytes)) break
      this.#payloads.delete(oldest)
      this.#bytes -= length
    }
  }

  /** The batches that are kept from a sequence number on, the oldest first, as they are now. */
  from(start: bigint): readonly PublishedBatch[] {
    const kept: PublishedBatch[] = []
    for (const [sequence, payload] of this.#payloads) if (BigInt(sequence) >= start) kept.push({ sequence, payload })
    return kept
  }
}
