import { type Rng, seededRng } from '#core/clock.ts'

/** Randomness of one part of a workload, the same however often other parts draw. */
export function rngOf(seed: number, part: number): Rng {
  const rng = seededRng(Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(part + 1, 0x85ebca6b))
  rng()
  return rng
}

/** Exponentially distributed: the gaps of a Poisson process. */
export function exponential(rng: Rng, mean: number): number {
  return -Math.log(1 - rng()) * mean
}

/** What lengths are drawn from; `spread` is the standard deviation of the logarithm. */
export interface LengthDraw {
  readonly mean: number
  readonly spread: number
  readonly least: number
  readonly most: number
}

/** A log-normal whole number, cut off at both ends. */
export function length(rng: Rng, { mean, spread, least, most }: LengthDraw): number {
  const normal = Math.sqrt(-2 * Math.log(1 - rng())) * Math.cos(2 * Math.PI * rng())
  return Math.max(least, Math.min(most, Math.round(mean * Math.exp(spread * normal - (spread * spread) / 2))))
}

/** Pareto with a shape of 1, cut off at both ends: most are short, a few very long. */
export function heavyTail(rng: Rng, least: number, most: number): number {
  return least / (1 - rng() * (1 - least / most))
}

/** Draws a rank from 0 with chances in proportion to 1 / (rank + 1) ^ exponent. */
export function zipf(count: number, exponent: number): (rng: Rng) => number {
  const sums = new Float64Array(count)
  let total = 0
  for (let i = 0; i < count; i++) sums[i] = total += (i + 1) ** -exponent
  return (rng) => {
    const at = rng() * total
    let low = 0
    let high = count - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if (sums[middle]! > at) high = middle
      else low = middle + 1
    }
    return low
  }
}

/** The numbers from 0 to `count` - 1 in an order drawn by Fisher and Yates. */
export function shuffled(count: number, rng: Rng): readonly number[] {
  const items = Array.from({ length: count }, (_, i) => i)
  for (let i = count - 1; i > 0; i--) {
    const other = Math.floor(rng() * (i + 1))
    const item = items[i]!
    items[i] = items[other]!
    items[other] = item
  }
  return items
}
