/**
 * What a data thread holds of a series: where its numbers lie. Only one thread writes a cell, so a plain addition is
 * enough; 64-bit cells are aligned, so that another thread reads whole values.
 */

/** A number that only grows. */
export class Counter {
  readonly #cells: Float64Array
  readonly #offset: number

  constructor(cells: Float64Array, offset: number) {
    this.#cells = cells
    this.#offset = offset
  }

  /** `amount` must not be negative. */
  add(amount: number): void {
    this.#cells[this.#offset] = (this.#cells[this.#offset] as number) + amount
  }
}

/** A number that goes up and down. */
export class Gauge {
  readonly #cells: Float64Array
  readonly #offset: number

  constructor(cells: Float64Array, offset: number) {
    this.#cells = cells
    this.#offset = offset
  }

  set(value: number): void {
    this.#cells[this.#offset] = value
  }

  add(amount: number): void {
    this.#cells[this.#offset] = (this.#cells[this.#offset] as number) + amount
  }
}

/** A distribution: the sum and, per bucket, how many values fell into it (not into those below). */
export class Histogram {
  readonly #cells: Float64Array
  readonly #offset: number
  readonly #bounds: Float64Array

  constructor(cells: Float64Array, offset: number, bounds: Float64Array) {
    this.#cells = cells
    this.#offset = offset
    this.#bounds = bounds
  }

  /** Counts a value in the first bucket whose bound is not below it. NaN is not counted. */
  observe(value: number): void {
    if (Number.isNaN(value)) return
    const bounds = this.#bounds
    let low = 0
    let high = bounds.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((bounds[middle] as number) < value) low = middle + 1
      else high = middle
    }
    const cells = this.#cells
    const bucket = this.#offset + 1 + low
    cells[this.#offset] = (cells[this.#offset] as number) + value
    cells[bucket] = (cells[bucket] as number) + 1
  }
}
