/** A Prometheus histogram: counts of observations at or below each bound, their sum and number. */
export class Histogram {
  /** Upper bounds, ascending, without +Inf. */
  readonly bounds: readonly number[]
  readonly #counts: number[]
  sum = 0
  count = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.#counts = bounds.map(() => 0)
  }

  observe(value: number): void {
    this.sum += value
    this.count++
    const bucket = this.bounds.findIndex((bound) => value <= bound)
    if (bucket >= 0) this.#counts[bucket]!++
  }

  /** Observations at or below each bound, in the order of the bounds. */
  cumulative(): number[] {
    let total = 0
    return this.#counts.map((count) => (total += count))
  }
}

/** The bounds 1, 2, 5, 10, 20, 50, … up to `most`, as vLLM builds them for token counts. */
export function oneTwoFive(most: number): number[] {
  const bounds: number[] = []
  for (let power = 1; power <= most; power *= 10) {
    for (const step of [1, 2, 5]) if (step * power <= most) bounds.push(step * power)
  }
  return bounds
}
