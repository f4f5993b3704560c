import { constantsColumns, staleColumns } from './columns.ts'
import { scaledArms } from './evaluate.ts'
import type { Results, Time } from './results.ts'

/** Rows of a report with what it compares. */
export interface Report {
  readonly results: Results
  /** Titles of the columns that count, and those of them that the reference has. */
  readonly counted: readonly string[]
  readonly reference: readonly string[]
  /** Arms that a gateway could be: what a column's best is chosen among. */
  readonly policies: readonly string[]
  readonly peers: readonly string[]
  readonly blind: readonly string[]
}

/** What became of a line. */
export interface Verdict {
  readonly reached: string
  /** Undefined: it is not judged here. */
  readonly isMet: boolean | undefined
}

/** A line of the acceptance table (routing-algorithms.md 9). */
export interface AcceptanceLine {
  readonly test: string
  readonly bar: string
  judge(report: Report): Verdict
  /** Why it is missed, or not judged: shown only then. */
  readonly why?: string
}

/** The arm that is judged, and the one with one cache for all engines. */
export const judged = 'gateway'
export const pooled = 'oracle'

/** Part of the pooled cache that is wanted on every column but fan-out. */
const pooledBar = 0.95

const notRun: Verdict = { reached: 'not run', isMet: undefined }

/** Three decimals. */
function ratioText(value: number): string {
  return value.toFixed(3)
}

function percentText(part: number): string {
  return `${(part * 100).toFixed(1)} %`
}

/** NaN, where something did not run, is no verdict. */
function verdict(values: readonly number[], isMet: boolean, reached: string): Verdict {
  return values.some(Number.isNaN) ? notRun : { reached, isMet }
}

function regretLine(
  test: string,
  time: Time,
  bars: { readonly mean: number; readonly worst?: number; readonly why?: string },
): AcceptanceLine {
  const { mean, worst, why } = bars
  return {
    test,
    ...(why === undefined ? {} : { why }),
    bar: worst === undefined ? `≤ ${mean.toFixed(2)}` : `≤ ${mean.toFixed(2)}, worst ≤ ${worst.toFixed(2)}`,
    judge({ results, counted, reference, policies }) {
      const all = results.regret(counted, judged, { others: policies, time })
      const theirs = results.regret(reference, judged, { others: policies, time })
      const reached =
        `${ratioText(all.mean)}, worst ${ratioText(all.worst)} at ${all.worstAt}` +
        (theirs.columns === 0
          ? ''
          : `; on the reference's ${theirs.columns} columns ${ratioText(theirs.mean)}, worst ${ratioText(theirs.worst)} at ${theirs.worstAt}`)
      return verdict([all.mean], all.mean <= mean && (worst === undefined || all.worst <= worst), reached)
    },
  }
}

/** Part of the pooled cache's figure, of a figure of which less is better. */
export function shareOfPooled(results: Results, column: string, time: Time): number {
  return results.ratio(column, [pooled, judged], time)?.ratio ?? Number.NaN
}

/** The least part of the pooled cache over columns; of those below the bar, what the best arm there reaches, too. */
function leastShare(
  { results, policies }: Report,
  columns: readonly string[],
): { readonly share: number; readonly text: string } {
  const shares = columns
    .filter((column) => !column.startsWith('fan-out'))
    .map((column) => ({ column, share: shareOfPooled(results, column, 'e2eMeanMs') }))
    .filter(({ share }) => !Number.isNaN(share))
    .toSorted((a, b) => a.share - b.share)
  const [least] = shares
  if (least === undefined) return { share: Number.NaN, text: '' }
  const below = shares.flatMap(({ column, share }) => {
    if (share >= pooledBar) return []
    const best = results.against(column, pooled, { others: policies, time: 'e2eMeanMs' })
    return [`${column} ${percentText(share)} (best arm ${percentText(best?.ratio.ratio ?? Number.NaN)})`]
  })
  const others = below.length === 0 ? '' : `; below it: ${below.join(', ')}`
  return { share: least.share, text: `least ${percentText(least.share)} at ${least.column}${others}` }
}

/** An arm's ratio in a column, with its interval. */
function ratioWithInterval(results: Results, column: string, [arm, other]: readonly [string, string], time: Time) {
  const ratio = results.ratio(column, [arm, other], time)
  if (ratio === undefined) return { value: Number.NaN, text: '' }
  const interval =
    ratio.low === undefined || ratio.high === undefined ? '' : ` [${ratioText(ratio.low)}, ${ratioText(ratio.high)}]`
  return { value: ratio.ratio, text: `${ratioText(ratio.ratio)}${interval}` }
}

/** The greatest ratio of some. */
function worstRatio(pairs: readonly (readonly [column: string, ratio: number])[]) {
  return pairs
    .filter(([, ratio]) => !Number.isNaN(ratio))
    .reduce<{ column: string; ratio: number }>(
      (worst, [column, ratio]) => (ratio > worst.ratio ? { column, ratio } : worst),
      { column: '', ratio: pairs.some(([, ratio]) => !Number.isNaN(ratio)) ? 0 : Number.NaN },
    )
}

function bestShare(
  { results, peers, blind }: Report,
  column: string,
): { readonly arm: string; readonly share: number } {
  return [...peers, ...blind]
    .filter((arm) => results.has(column, arm))
    .map((arm) => ({ arm, share: results.mean(column, arm, 'goodShare') }))
    .reduce((best, each) => (each.share > best.share ? each : best), { arm: '', share: Number.NEGATIVE_INFINITY })
}

const times: readonly (readonly [Time, string])[] = [
  ['e2eMeanMs', 'e2e'],
  ['ttftMeanMs', 'TTFT mean'],
  ['ttftP99Ms', 'TTFT p99'],
]

/** Geometric means of the judged arm and of the best peer, in each time. */
function againstPeers({ results, counted, policies, peers }: Report): Verdict {
  const ran = peers.filter((arm) => counted.some((column) => results.has(column, arm)))
  const each = times.map(([time, name]) => {
    const of = (arm: string): number => results.regret(counted, arm, { others: policies, time }).mean
    const best = ran.reduce((low, arm) => (of(arm) < of(low) ? arm : low), ran[0] ?? '')
    return { name, own: of(judged), best, peer: ran.length === 0 ? Number.NaN : of(best) }
  })
  const reached = each.map(({ name, own, best, peer }) => `${name} ${ratioText(own)}, ${best} ${ratioText(peer)}`)
  return verdict(
    each.flatMap(({ own, peer }) => [own, peer]),
    each.every(({ own, peer }) => own < peer),
    reached.join('; '),
  )
}

const drainedLadder =
  'The ladder at 40 to 60 requests/s: p90 is 0.12 s as with the best, but on two of five seeds one to four requests in a hundred ' +
  'wait 24 to 40 s for the KV memory of an engine that is full.'

const chaos =
  'One recording at the edge of what the fleet bears, the same for every seed: there the answer time moves by up to 8 % with ' +
  'any small change.'

/** The lines, in the order of the reference. `why` is what is known of a line that is missed. */
export const acceptanceLines: readonly AcceptanceLine[] = [
  regretLine('e2e regret', 'e2eMeanMs', { mean: 1.05, worst: 1.1 }),
  regretLine('TTFT mean regret, least that is wanted', 'ttftMeanMs', { mean: 1.15 }),
  regretLine('TTFT mean regret', 'ttftMeanMs', {
    mean: 1.1,
    worst: 1.3,
    why: `${drainedLadder} Without that column the mean is 1.09.`,
  }),
  regretLine('TTFT p99 regret', 'ttftP99Ms', {
    mean: 1.4,
    worst: 3,
    why: `The mean is met, the worst is not. ${drainedLadder} Without that column the mean is 1.22.`,
  }),
  {
    test: 'better than every peer in the geometric mean of e2e, TTFT mean and TTFT p99 (regrets)',
    bar: 'less than all',
    judge: againstPeers,
  },
  {
    test: 'e2e as a part of the pooled cache, on every column but fan-out',
    bar: '≥ 95 %',
    why: 'Met on every column of the reference. Where contexts grow for an hour, or half of the engines are slow, or cold, one cache for all engines has what no placement has: no arm reaches the bar there.',
    judge(report) {
      const { share, text } = leastShare(report, report.counted)
      const theirs = leastShare(report, report.reference)
      const reached = Number.isNaN(theirs.share) ? text : `${text}; on the reference's columns ${theirs.text}`
      return verdict([share], share >= pooledBar, reached)
    },
  },
  {
    test: 'fan-out: e2e as a part of the pooled cache',
    bar: '≥ 85 %',
    judge({ results }) {
      const share = shareOfPooled(results, 'fan-out 5', 'e2eMeanMs')
      return verdict([share], share >= 0.85, percentText(share))
    },
  },
  {
    test: 'ladder of 40 to 60 requests/s: output as a part of the pooled cache; TTFT p90',
    bar: '≥ 90 %; ≤ 0.2 s',
    judge({ results }) {
      const of = (arm: string): number => results.mean('ladder 40-60', arm, 'tokensPerSecond')
      const share = of(judged) / of(pooled)
      const ttftS = results.mean('ladder 40-60', judged, 'ttftP90Ms') / 1e3
      return verdict([share, ttftS], share >= 0.9 && ttftS <= 0.2, `${percentText(share)}; ${ratioText(ttftS)} s`)
    },
  },
  {
    test: 'ladder of 18 requests/s all the time: inside the objective',
    bar: '≥ 99 %',
    judge({ results }) {
      const share = results.mean('ladder 18', judged, 'goodShare')
      return verdict([share], share >= 0.99, percentText(share))
    },
  },
  {
    test: 'no reuse against least-request: e2e; TTFT mean',
    bar: '≤ 1.00; ≤ 1.00',
    judge({ results }) {
      const [e2e, ttft] = (['e2eMeanMs', 'ttftMeanMs'] as const).map((time) =>
        ratioWithInterval(results, 'no-reuse 88', [judged, 'least-request'], time),
      ) as [{ value: number; text: string }, { value: number; text: string }]
      return verdict([e2e.value, ttft.value], e2e.value <= 1 && ttft.value <= 1, `${e2e.text}; ${ttft.text}`)
    },
  },
  {
    test: 'hot prefix: requests in flight at the fullest engine over the mean; inside the objective',
    bar: '≤ 1.2; ≥ 99 %',
    judge({ results }) {
      const flight = results.mean('hot 60', judged, 'inFlightMaxOverMean')
      const good = results.mean('hot 60', judged, 'goodShare')
      return verdict([flight, good], flight <= 1.2 && good >= 0.99, `${ratioText(flight)}; ${percentText(good)}`)
    },
  },
  {
    test: 'four gateways with a channel: e2e over one gateway',
    bar: '≤ 1.05',
    judge: () => ({ reached: '-', isMet: undefined }),
    why: 'Gateways have no channel yet.',
  },
  {
    test: 'pages that are up to 5 s old: e2e over fresh ones',
    bar: '≤ 1.02',
    why: `Met on zipf (1.003) and chat (1.007). ${chaos}`,
    judge({ results }) {
      const pairs = staleColumns.map(([stale, fresh]) => {
        const of = (column: string): number => results.mean(column, judged, 'e2eMeanMs')
        return [fresh, of(stale) / of(fresh)] as const
      })
      const { column, ratio } = worstRatio(pairs)
      return verdict([ratio], ratio <= 1.02, `${ratioText(ratio)} at ${column}`)
    },
  },
  {
    test: 'half of the fleet twice as slow: inside the objective, against the best peer or blind arm: zipf; mooncake',
    bar: 'mooncake ≥ best + 5 points',
    why: 'Better than the best peer by 2.4 points, not by 5; which requests are outside was not looked into.',
    judge(report) {
      const { results } = report
      const [zipf, mooncake] = (['mixed-fleet 36', 'mixed-mooncake 3'] as const).map((column) => {
        const best = bestShare(report, column)
        const own = results.mean(column, judged, 'goodShare')
        return { own, best: best.share, text: `${percentText(own)} against ${percentText(best.share)} (${best.arm})` }
      }) as [{ own: number; best: number; text: string }, { own: number; best: number; text: string }]
      const values = [zipf.own, mooncake.own, mooncake.best].map((each) => (Number.isFinite(each) ? each : Number.NaN))
      return verdict(values, mooncake.own >= mooncake.best + 0.05, `${zipf.text}; ${mooncake.text}`)
    },
  },
  {
    test: 'constants doubled or halved: e2e',
    bar: '≤ 1.03',
    why: `On the seven other columns at most 1.009. ${chaos}`,
    judge({ results }) {
      const pairs = scaledArms.flatMap((arm) =>
        constantsColumns.map((column) => {
          const ratio = results.ratio(column, [arm, judged], 'e2eMeanMs')?.ratio ?? Number.NaN
          return [`${column} (${arm})`, ratio] as const
        }),
      )
      const { column, ratio } = worstRatio(pairs)
      return verdict([ratio], ratio <= 1.03, `${ratioText(ratio)} at ${column}`)
    },
  },
  {
    test: 'decision at 8,000 and 100,000 prompt tokens, 64 endpoints; memory of the index',
    bar: '50 and 200 µs; 60 MB per 64 M tokens',
    judge: () => ({ reached: '-', isMet: undefined }),
    why: 'Measured in real time: see [performance](../performance.md).',
  },
]
