/** Which end of a signal is better. */
export type Polarity = 'most' | 'least'

/**
 * Turns raw values into scores by min-max: 1 for the best, 0 for the worst and for NaN, 1 for all that have a value when
 * those are all equal (aibrix-and-others.md A2.2). False when none has one; `out` then means nothing.
 */
export function normalise(out: Float64Array, count: number, polarity: Polarity): boolean {
  let least = Number.POSITIVE_INFINITY
  let most = Number.NEGATIVE_INFINITY
  for (let i = 0; i < count; i++) {
    const value = out[i]!
    if (value < least) least = value
    if (value > most) most = value
  }
  if (least > most) return false
  const best = polarity === 'most' ? most : least
  const spread = most - least
  for (let i = 0; i < count; i++) {
    const value = out[i]!
    if (Number.isNaN(value)) out[i] = 0
    else out[i] = spread === 0 ? 1 : 1 - Math.abs(value - best) / spread
  }
  return true
}
