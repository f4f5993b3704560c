import type { Cell } from '#lab/comparison.ts'
import type { Ratio } from '#lab/ratio.ts'
import type { RunMetrics, Spread } from '#lab/run-metrics.ts'

/** One column of a table of arms. */
export interface Figure {
  readonly head: string
  /** What it is, with its unit. */
  readonly hint: string
  /** Figures with a lower rank stay where there is less room; those without one are only in the long table. */
  readonly rank?: number
  readonly of: (cell: Cell) => string
}

export const seconds = (ms: number): string => (Number.isFinite(ms) ? (ms / 1e3).toFixed(ms < 9_995 ? 2 : 1) : '-')
export const fixed = (value: number, digits: number): string => (Number.isFinite(value) ? value.toFixed(digits) : '-')
export const share = (part: number | undefined): string =>
  part !== undefined && Number.isFinite(part) ? `${(part * 100).toFixed(0)} %` : '-'

/** Such as `W4 chat`; the name alone where the reference has no number for it. */
export function titleOf({ code, workload }: { readonly code: string; readonly workload: string }): string {
  return code === workload ? workload : `${code} ${workload}`
}

/** Such as `1.32 [1.20, 1.45]`. */
export function ratioText({ ratio, low, high }: Ratio): string {
  const interval = low === undefined || high === undefined ? '' : ` [${low.toFixed(2)}, ${high.toFixed(2)}]`
  return `${fixed(ratio, 2)}${interval}`
}

type Times = Pick<RunMetrics, 'ttftMs' | 'tpotMs' | 'itlMs' | 'e2eMs'>

interface TimeFigure {
  readonly name: string
  readonly meaning: string
  readonly key: keyof Times
  readonly unit: 's' | 'ms'
  /** Ranks of mean, p50, p90 and p99. */
  readonly ranks: readonly (number | undefined)[]
}

const times: readonly TimeFigure[] = [
  { name: 'TTFT', meaning: 'from arrival to first token', key: 'ttftMs', unit: 's', ranks: [2, 20, undefined, 3] },
  { name: 'e2e', meaning: 'from arrival to last token', key: 'e2eMs', unit: 's', ranks: [0, 19, undefined, 6] },
  {
    name: 'TPOT',
    meaning: 'per output token after the first, over requests',
    key: 'tpotMs',
    unit: 'ms',
    ranks: [11, undefined, undefined, undefined],
  },
  {
    name: 'ITL',
    meaning: 'from one token to the next, over tokens',
    key: 'itlMs',
    unit: 'ms',
    ranks: [undefined, undefined, undefined, 12],
  },
]

const statistics: readonly { readonly name: string; readonly meaning: string; readonly key: keyof Spread }[] = [
  { name: '', meaning: 'mean', key: 'mean' },
  { name: ' p50', meaning: 'median', key: 'p50' },
  { name: ' p90', meaning: '90th percentile', key: 'p90' },
  { name: ' p99', meaning: '99th percentile', key: 'p99' },
]

function timeFigures({ name, meaning, key, unit, ranks }: TimeFigure): readonly Figure[] {
  return statistics.map((statistic, i) => {
    const rank = ranks[i]
    return {
      head: `${name}${statistic.name}`,
      hint: `${meaning}, ${statistic.meaning}, ${unit}`,
      ...(rank === undefined ? {} : { rank }),
      of: ({ mean }) => (unit === 's' ? seconds(mean[key][statistic.key]) : fixed(mean[key][statistic.key], 1)),
    }
  })
}

/** All figures of an arm over one workload, in the order of the table. */
export const figures: readonly Figure[] = [
  {
    head: 'e2e regret',
    hint: 'mean e2e over that of the best arm, paired by seed, with its 95 % interval',
    rank: 1,
    of: ({ e2eRatio }) => ratioText(e2eRatio),
  },
  ...times.flatMap(timeFigures),
  { head: 'tok/s', hint: 'output tokens per second', rank: 7, of: ({ mean }) => fixed(mean.outputTokensPerSecond, 0) },
  {
    head: 'good',
    hint: 'requests inside the objective: first token within 1 s + twice a cold prefill, TPOT up to 100 ms',
    rank: 4,
    of: ({ mean }) => share(mean.goodShare),
  },
  {
    head: 'good/s',
    hint: 'requests inside the objective per second',
    of: ({ mean }) => fixed(mean.goodputPerSecond, 1),
  },
  { head: 'hit', hint: 'prompt tokens found in the KV cache', rank: 5, of: ({ mean }) => share(mean.hitRatio) },
  {
    head: 'oracle',
    hint: "the oracle's mean e2e over the arm's: 100 % is as fast as one pooled cache with lengths known",
    rank: 8,
    of: ({ oracle }) => share(oracle?.e2e),
  },
  { head: 'oracle TTFT', hint: 'the same of mean TTFT', of: ({ oracle }) => share(oracle?.ttft) },
  { head: 'oracle good', hint: 'the same of goodput', of: ({ oracle }) => share(oracle?.goodput) },
  {
    head: 'given away',
    hint: 'cached prompt tokens that the best endpoint had and the chosen one did not',
    rank: 9,
    of: ({ mean }) => share(mean.localityGivenAway),
  },
  {
    head: 'max/mean',
    hint: 'requests of the endpoint that got most, over the mean',
    rank: 10,
    of: ({ mean }) => fixed(mean.requestsMaxOverMean, 2),
  },
  {
    head: 'flight',
    hint: 'requests in flight at the fullest endpoint, over the mean',
    rank: 16,
    of: ({ mean }) => fixed(mean.inFlightMaxOverMean, 2),
  },
  {
    head: 'copies',
    hint: 'endpoints over which requests with the same prefix were spread',
    rank: 14,
    of: ({ mean }) => fixed(mean.copiesPerPrefix, 2),
  },
  {
    head: 'preempt',
    hint: 'requests thrown out of a batch for want of KV memory',
    rank: 13,
    of: ({ mean }) => fixed(mean.preemptions, 0),
  },
  {
    head: 'fairness',
    hint: "Jain's index over tenants of what each got of what it asked for: 1 is even",
    rank: 15,
    of: ({ mean }) => fixed(mean.fairness, 3),
  },
  {
    head: 'failed',
    hint: 'requests that got no answer',
    rank: 17,
    of: ({ mean }) => fixed(mean.failures, mean.failures % 1 === 0 ? 0 : 1),
  },
  {
    head: 'retries',
    hint: 'tries after the first',
    rank: 18,
    of: ({ mean }) => fixed(mean.retries, mean.retries % 1 === 0 ? 0 : 1),
  },
  { head: 'TTFT regret', hint: 'as e2e regret, of mean TTFT', of: ({ ttftRatio }) => ratioText(ttftRatio) },
  { head: 'requests', hint: 'requests that were measured', of: ({ mean }) => fixed(mean.requests, 0) },
]
