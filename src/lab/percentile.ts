/** The value below which a part (0 to 1) of the values lies, by the nearest rank; NaN of none. Sorts `values` in place. */
export function percentile(values: Float64Array, part: number): number {
  values.sort()
  return values[Math.min(values.length - 1, Math.max(0, Math.ceil(part * values.length) - 1))] ?? Number.NaN
}

export function mean(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
