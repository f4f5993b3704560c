import type { Seat } from './engine-request.ts'

/** The requests that wait for the scheduler, in the order it tries them. */
export class WaitingQueue {
  readonly #byPriority: boolean
  #seats: Seat[] = []
  /** Where the queue starts in the array; what is before it has left. */
  #start = 0

  constructor(byPriority: boolean) {
    this.#byPriority = byPriority
  }

  get length(): number {
    return this.#seats.length - this.#start
  }

  at(index: number): Seat | undefined {
    return this.#seats[this.#start + index]
  }

  /** All of them, in order. */
  list(): readonly Seat[] {
    return this.#seats.slice(this.#start)
  }

  /** Adds a new arrival. */
  add(seat: Seat): void {
    if (this.#byPriority) this.#insert(seat)
    else this.#seats.push(seat)
  }

  /** Adds a preempted request: before all others, or where its priority and arrival put it. */
  addAgain(seat: Seat): void {
    if (this.#byPriority) this.#insert(seat)
    else if (this.#start > 0) this.#seats[--this.#start] = seat
    else this.#seats.unshift(seat)
  }

  removeAt(index: number): void {
    if (index > 0) {
      this.#seats.splice(this.#start + index, 1)
      return
    }
    this.#start++
    if (this.#start * 2 < this.#seats.length || this.#start < 64) return
    this.#seats = this.#seats.slice(this.#start)
    this.#start = 0
  }

  /** Whether it was there. */
  remove(seat: Seat): boolean {
    const index = this.#seats.indexOf(seat, this.#start)
    if (index >= 0) this.removeAt(index - this.#start)
    return index >= 0
  }

  #insert(seat: Seat): void {
    let low = this.#start
    let high = this.#seats.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = this.#seats[middle]!
      const isAfter = other.priority > seat.priority || (other.priority === seat.priority && other.number > seat.number)
      if (isAfter) high = middle
      else low = middle + 1
    }
    this.#seats.splice(low, 0, seat)
  }
}
