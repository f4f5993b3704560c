import type { Candidates } from '#contracts/schedule.ts'

/**
 * Score = (most - own) / (most - least) over the candidates; 1 for all when they are equal (endpoint-picker.md 4.3). A
 * candidate whose value is unknown has no opinion and no part in the range: the Endpoint Picker takes it for zero, the
 * idlest of all.
 */
export function scoreBySpread(
  column: Float64Array | Int32Array,
  { slots, count }: Candidates,
  out: Float64Array,
): void {
  let least = Number.POSITIVE_INFINITY
  let most = Number.NEGATIVE_INFINITY
  for (let i = 0; i < count; i++) {
    const value = column[slots[i]!]!
    if (value < least) least = value
    if (value > most) most = value
  }
  for (let i = 0; i < count; i++) {
    const value = column[slots[i]!]!
    out[i] = most === least && !Number.isNaN(value) ? 1 : (most - value) / (most - least)
  }
}
