import type { ArmValues } from '#lab/arm.ts'
import type { RunMetrics } from '#lab/run-metrics.ts'

/** What the report keeps of a run. */
export interface Figures {
  readonly requests: number
  readonly failures: number
  readonly e2eMeanMs: number
  readonly e2eP99Ms: number
  readonly ttftMeanMs: number
  readonly ttftP90Ms: number
  readonly ttftP99Ms: number
  readonly tpotMeanMs: number
  /** Per second in which a request is under way. */
  readonly tokensPerSecond: number
  /** Part of the requests inside the objective. */
  readonly goodShare: number
  readonly hitRatio: number
  readonly requestsMaxOverMean: number
  readonly inFlightMaxOverMean: number
  readonly preemptions: number
}

/** One run: a column, an arm, a seed. */
export interface Row {
  /** Title of its column. */
  readonly column: string
  /** With `*` for an arm at its best setting in hindsight. */
  readonly arm: string
  readonly seed: number
  /** What is set other than published. */
  readonly values?: ArmValues
  readonly figures: Figures
}

/** The figures of a run. */
export function figuresOf(metrics: RunMetrics): Figures {
  const { requests, failures, e2eMs, ttftMs, tpotMs, goodShare, hitRatio, preemptions } = metrics
  return {
    requests,
    failures,
    e2eMeanMs: e2eMs.mean,
    e2eP99Ms: e2eMs.p99,
    ttftMeanMs: ttftMs.mean,
    ttftP90Ms: ttftMs.p90,
    ttftP99Ms: ttftMs.p99,
    tpotMeanMs: tpotMs.mean,
    tokensPerSecond: metrics.busyTokensPerSecond,
    goodShare,
    hitRatio,
    requestsMaxOverMean: metrics.requestsMaxOverMean,
    inFlightMaxOverMean: metrics.inFlightMaxOverMean,
    preemptions,
  }
}

const csvFigures: readonly (readonly [name: string, figure: keyof Figures])[] = [
  ['requests', 'requests'],
  ['failures', 'failures'],
  ['e2e_mean_ms', 'e2eMeanMs'],
  ['e2e_p99_ms', 'e2eP99Ms'],
  ['ttft_mean_ms', 'ttftMeanMs'],
  ['ttft_p90_ms', 'ttftP90Ms'],
  ['ttft_p99_ms', 'ttftP99Ms'],
  ['tpot_mean_ms', 'tpotMeanMs'],
  ['tokens_per_s', 'tokensPerSecond'],
  ['good_share', 'goodShare'],
  ['hit_ratio', 'hitRatio'],
  ['requests_max_over_mean', 'requestsMaxOverMean'],
  ['in_flight_max_over_mean', 'inFlightMaxOverMean'],
  ['preemptions', 'preemptions'],
]

/** Every row with its figures, five digits each: more say nothing. */
export function rowsCsv(rows: readonly Row[]): string {
  const head = ['column', 'arm', 'seed', 'settings', ...csvFigures.map(([name]) => name)].join(',')
  const lines = rows.map(({ column, arm, seed, values = {}, figures }) => {
    const settings = Object.entries(values).map(([name, value]) => `${name}=${value}`)
    const numbers = csvFigures.map(([, figure]) => String(Number(figures[figure].toPrecision(5))))
    return [column, arm, seed, settings.join(' '), ...numbers].join(',')
  })
  return `${[head, ...lines].join('\n')}\n`
}
