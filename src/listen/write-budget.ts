/** A connection whose peer takes its bytes more slowly than they come. */
export interface SlowReader {
  /** Bytes that wait in this process. */
  readonly unsentBytes: number
  /** The budget's own note: place in its list, -1 when it is not in there. */
  budgetIndex: number
  /** Drops the connection at once; leaves the budget. */
  cutSlow(): void
}

/**
 * Bounds what all connections of a thread together hold for clients that read slowly. Each connection alone stops
 * taking bytes at its socket's high water mark; ten thousand of them that stop there are a gigabyte.
 */
export class WriteBudget {
  limitBytes: number
  readonly #readers: SlowReader[] = []
  /** Sum at the last count, and what came in since: never less than what is there from connections in the list. */
  #estimateBytes = 0

  constructor(limitBytes = Number.POSITIVE_INFINITY) {
    this.limitBytes = limitBytes
  }

  /** Connections that are behind now. */
  get behind(): number {
    return this.#readers.length
  }

  /** Notes that `reader` is behind. */
  add(reader: SlowReader): void {
    if (reader.budgetIndex < 0) {
      reader.budgetIndex = this.#readers.length
      this.#readers.push(reader)
    }
    this.#estimateBytes += reader.unsentBytes
    if (this.#estimateBytes > this.limitBytes) this.enforce()
  }

  /** Notes that `reader` has caught up, or is gone. */
  remove(reader: SlowReader): void {
    const index = reader.budgetIndex
    if (index < 0) return
    reader.budgetIndex = -1
    const last = this.#readers.pop() as SlowReader
    if (last === reader) return
    this.#readers[index] = last
    last.budgetIndex = index
  }

  /** Bytes that wait now. */
  unsentBytes(): number {
    let sum = 0
    for (const reader of this.#readers) sum += reader.unsentBytes
    return sum
  }

  /** Counts, and cuts those that hold the most until the rest fits. Returns how many were cut. */
  enforce(): number {
    let sum = this.unsentBytes()
    let cut = 0
    if (sum > this.limitBytes) {
      const most = this.#readers.toSorted((a, b) => b.unsentBytes - a.unsentBytes)
      for (const reader of most) {
        if (sum <= this.limitBytes) break
        sum -= reader.unsentBytes
        this.remove(reader)
        reader.cutSlow()
        cut++
      }
    }
    this.#estimateBytes = sum
    return cut
  }
}
