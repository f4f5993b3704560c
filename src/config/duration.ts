/** Milliseconds per unit, as Go writes durations. */
const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1e3,
  m: 60e3,
  h: 3600e3,
}

/** The longest duration, 30 days: nothing waits longer. */
export const maxDurationMs = 30 * 24 * 3600e3

/**
 * Reads `10s`, `250ms`, `1.5s` or `1m30s` (Go's syntax of durations, without a sign); a bare `0` is zero. Returns
 * milliseconds, which may be fractional, or undefined when the text is no duration.
 */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0
  if (text.length > 40 || !/^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined
  let totalMs = 0
  for (const [, amount, unit] of text.matchAll(/([\d.]+)([a-zµ]+)/g)) {
    totalMs += Number(amount) * (unitMs[unit ?? ''] ?? Number.NaN)
  }
  return Number.isFinite(totalMs) ? totalMs : undefined
}

/** Writes milliseconds the shortest way that `parseDuration` reads back: `1m30s`, `250ms`, `0`. */
export function formatDuration(durationMs: number): string {
  if (durationMs === 0) return '0'
  if (!Number.isInteger(durationMs)) return `${durationMs}ms`
  let rest = durationMs
  let text = ''
  for (const [unit, size] of [
    ['h', 3600e3],
    ['m', 60e3],
    ['s', 1e3],
    ['ms', 1],
  ] as const) {
    const count = Math.floor(rest / size)
    if (count > 0) text += `${count}${unit}`
    rest -= count * size
  }
  return text
}
