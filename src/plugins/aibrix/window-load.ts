const bucketCount = 18

/** Sums per endpoint over the last `windowMs`, in steps of an eighteenth of it. */
export class WindowLoad {
  readonly #bucketMs: number
  readonly #sums: Float64Array
  /** Number of the step that a cell counts. */
  readonly #steps: Float64Array

  constructor(rows: number, windowMs: number) {
    this.#bucketMs = windowMs / bucketCount
    this.#sums = new Float64Array(rows * bucketCount)
    this.#steps = new Float64Array(rows * bucketCount).fill(-1)
  }

  /** Adds to what an endpoint has at `nowMs`. */
  add(row: number, value: number, nowMs: number): void {
    const step = Math.floor(nowMs / this.#bucketMs)
    const cell = row * bucketCount + (step % bucketCount)
    if (this.#steps[cell] !== step) this.#sums[cell] = 0
    this.#steps[cell] = step
    this.#sums[cell]! += value
  }

  /** What an endpoint has had within the window before `nowMs`. */
  at(row: number, nowMs: number): number {
    const oldest = Math.floor(nowMs / this.#bucketMs) - bucketCount + 1
    let sum = 0
    for (let cell = row * bucketCount; cell < (row + 1) * bucketCount; cell++) {
      if (this.#steps[cell]! >= oldest) sum += this.#sums[cell]!
    }
    return sum
  }
}
