import type { RunMetrics } from '#lab/run-metrics.ts'
import { type TuneMetric, type Tuning } from '#lab/tune.ts'
import { profileYaml } from '#lab/tune-space.ts'
import { fixed, seconds, share } from './figures.ts'
import { textTable } from './text-table.ts'

/** What each metric is in words. */
export const metricWords: Readonly<Record<TuneMetric, string>> = {
  e2e: 'mean time from arrival to last token',
  ttft: 'mean time to first token',
  goodput: 'requests inside the objective per second',
}

function percent(ratio: number): string {
  const value = (ratio - 1) * 100
  return `${value > 0 ? '+' : ''}${value.toFixed(1)} %`
}

function whyUnsure({ heldOut: { low, high } }: Tuning): string {
  if (low === undefined || high === undefined) return 'one seed gives no interval'
  return low <= 1 && high >= 1 ? 'the interval includes 0' : 'that is worse'
}

/** The gain and its interval, or that there is none to be sure of. */
export function verdictOf(tuning: Tuning): string {
  const { metric, heldOut, isSure, heldOutSeeds, isSameRecording, changes } = tuning
  const { ratio, low, high } = heldOut
  const seeds = isSameRecording
    ? 'of replaying the very recording that the search saw: other traffic may differ'
    : `${heldOutSeeds.length} seeds that the search did not see`
  if (changes.length === 0) return `No setting that was tried is better than yours in ${metricWords[metric]}.`
  const interval =
    low === undefined || high === undefined ? '' : ` (95 % interval ${percent(low)} to ${percent(high)}, ${seeds})`
  if (!isSure) {
    const why = whyUnsure(tuning)
    return `No setting is surely better than yours: the best one found changes ${metricWords[metric]} by ${percent(ratio)}${interval}, and ${why}.`
  }
  return `Expected with the profile below: ${percent(ratio)} in ${metricWords[metric]}${interval}.`
}

const rows: readonly { readonly name: string; readonly of: (metrics: RunMetrics) => string }[] = [
  { name: 'TTFT mean, s', of: ({ ttftMs }) => seconds(ttftMs.mean) },
  { name: 'TTFT p99, s', of: ({ ttftMs }) => seconds(ttftMs.p99) },
  { name: 'e2e mean, s', of: ({ e2eMs }) => seconds(e2eMs.mean) },
  { name: 'e2e p99, s', of: ({ e2eMs }) => seconds(e2eMs.p99) },
  { name: 'inside the objective', of: ({ goodShare }) => share(goodShare) },
  { name: 'good requests/s', of: ({ goodputPerSecond }) => fixed(goodputPerSecond, 2) },
  { name: 'output tok/s', of: ({ outputTokensPerSecond }) => fixed(outputTokensPerSecond, 0) },
  { name: 'prompt cached', of: ({ hitRatio }) => share(hitRatio) },
]

/** Both profiles side by side, on held-out seeds. */
export function tuneFigures({ baseMetrics, bestMetrics }: Tuning): readonly (readonly [string, string, string])[] {
  return rows.map(({ name, of }) => [name, of(baseMetrics), of(bestMetrics)])
}

/** The result for a terminal. The profile is printed only when it is surely better. */
export function tuneText(tuning: Tuning, profileName: string): string {
  const figures = tuneFigures(tuning)
  const table = textTable([
    { head: '', cells: figures.map(([name]) => name) },
    { head: 'today', cells: figures.map(([, today]) => today) },
    { head: tuning.isSure ? 'tuned' : 'best found', cells: figures.map(([, , best]) => best) },
  ])
  const changes = tuning.changes.map(({ label, from, to }) => `  ${label}: ${from} -> ${to}`)
  const inert = tuning.inert.length === 0 ? [] : [`Without effect on this workload: ${tuning.inert.join(', ')}.`]
  const yaml = tuning.isSure
    ? [
        '',
        `# Put this into the configuration; a model takes it with \`profile: ${profileName}\`.`,
        profileYaml(profileName, tuning.best).trimEnd(),
      ]
    : []
  return [
    verdictOf(tuning),
    '',
    table,
    ...(changes.length > 0 ? ['', 'Changed:', ...changes] : []),
    ...inert,
    ...yaml,
    '',
  ].join('\n')
}
