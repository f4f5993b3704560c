/** A geometric mean of ratios with its interval of 95 %, which one seed does not give. */
export interface Ratio {
  readonly ratio: number
  readonly low: number | undefined
  readonly high: number | undefined
}

/** Two-sided 95 % of Student's t for 1 to 30 degrees of freedom. */
const student = [
  12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131, 2.12, 2.11,
  2.101, 2.093, 2.086, 2.08, 2.074, 2.069, 2.064, 2.06, 2.056, 2.052, 2.048, 2.045, 2.042,
] as const
/** Above the normal distribution's 1.96, so that intervals are rather too wide. */
const studentBeyond = 2.042

/** The ratio of two arms over paired seeds: geometric mean and its 95 % interval by Student's t in the logarithm. */
export function pairedRatio(values: readonly number[], base: readonly number[]): Ratio {
  const logs = values.map((value, i) => Math.log(value / (base[i] ?? Number.NaN)))
  const count = logs.length
  const mean = logs.reduce((sum, each) => sum + each, 0) / count
  if (count < 2) return { ratio: Math.exp(mean), low: undefined, high: undefined }
  const variance = logs.reduce((sum, each) => sum + (each - mean) ** 2, 0) / (count - 1)
  const half = (student[count - 2] ?? studentBeyond) * Math.sqrt(variance / count)
  return { ratio: Math.exp(mean), low: Math.exp(mean - half), high: Math.exp(mean + half) }
}

/** NaN of none. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
}
