import type { Arrival } from './virtual-fleet.ts'

/** Arrivals in order of time: those known from the start, and those that come up on the way. Later ones than the end are dropped. */
export class ArrivalQueue {
  readonly #known: Iterator<Arrival>
  readonly #endMs: number
  /** Sorted so that the next one is last; among equal times the one added first. */
  readonly #added: Arrival[] = []
  #head: Arrival | undefined

  constructor(known: Iterable<Arrival>, endMs: number) {
    this.#known = known[Symbol.iterator]()
    this.#endMs = endMs
    this.#head = this.#nextKnown()
  }

  /** When the next one comes; infinity when none is left. */
  get nextMs(): number {
    return Math.min(this.#head?.atMs ?? Number.POSITIVE_INFINITY, this.#added.at(-1)?.atMs ?? Number.POSITIVE_INFINITY)
  }

  add(arrival: Arrival): void {
    if (arrival.atMs >= this.#endMs) return
    let low = 0
    let high = this.#added.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#added[middle]!.atMs > arrival.atMs) low = middle + 1
      else high = middle
    }
    this.#added.splice(low, 0, arrival)
  }

  /** Takes the next one; of equal times the one known from the start. */
  take(): Arrival | undefined {
    const added = this.#added.at(-1)
    const head = this.#head
    if (added !== undefined && (head === undefined || added.atMs < head.atMs)) return this.#added.pop()
    this.#head = this.#nextKnown()
    return head
  }

  #nextKnown(): Arrival | undefined {
    const next = this.#known.next()
    const beforeMs = this.#head?.atMs ?? 0
    if (next.done !== true && next.value.atMs < beforeMs) throw new RangeError('arrivals are not in order of time')
    return next.done === true || next.value.atMs >= this.#endMs ? undefined : next.value
  }
}
