import { lineCharts } from '#lab/line-chart.ts'
import type { Ratio } from '#lab/ratio.ts'
import { type AcceptanceColumn, leftOut } from './columns.ts'
import { acceptanceLines, judged, pooled, type Report, shareOfPooled } from './lines.ts'
import type { Time } from './results.ts'
import type { Row } from './rows.ts'

/** What the page says of how it was made. */
export interface PageSetup {
  readonly columns: readonly AcceptanceColumn[]
  readonly seeds: readonly number[]
  readonly tuningSeeds: readonly number[]
  readonly warmUpS: number
  readonly seconds: number
  /** All arms of the tables, in their order. */
  readonly arms: readonly string[]
  /** Those that ran with the first seed only. */
  readonly briefly: readonly string[]
  /** Those with their best settings in hindsight. */
  readonly tuned: readonly string[]
  /** Repeats it. */
  readonly command: string
}

const times: readonly (readonly [Time, string])[] = [
  ['e2eMeanMs', 'e2e mean'],
  ['ttftMeanMs', 'TTFT mean'],
  ['ttftP99Ms', 'TTFT p99'],
]

/** A table whose first columns, so many, are text. */
function table(rows: readonly (readonly string[])[], texts = 1): string {
  const [head = [], ...body] = rows
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_, i) => (i < texts ? '---' : '---:'))), ...body.map(line)].join('\n')
}

function shown(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return '-'
  return value >= 100 ? value.toFixed(0) : value.toFixed(value >= 10 ? 1 : digits)
}

function percent(part: number): string {
  return Number.isFinite(part) ? `${(part * 100).toFixed(1)} %` : '-'
}

function intervalText({ ratio, low, high }: Ratio): string {
  return low === undefined || high === undefined ? shown(ratio) : `${shown(ratio)} [${shown(low)}, ${shown(high)}]`
}

function linesTable(report: Report): string {
  const rows = acceptanceLines.map(({ test, bar, judge, why = '' }) => {
    const { reached, isMet } = judge(report)
    const met = isMet === undefined ? '-' : isMet ? 'yes' : '**no**'
    return [test, bar, reached, met, isMet === true ? '' : why]
  })
  return table([['test', 'bar', 'reached', 'met', 'why not'], ...rows], 5)
}

function regretTable(report: Report, columns: readonly string[], arms: readonly string[]): string {
  const { results, policies } = report
  const rows = arms
    .filter((arm) => columns.some((column) => results.has(column, arm)))
    .map((arm) => {
      const regrets = times.map(([time]) => results.regret(columns, arm, { others: policies, time }))
      const cells = regrets.flatMap(({ mean, worst, worstAt }) => [shown(mean), `${shown(worst)} at ${worstAt}`])
      return { order: regrets[0]?.mean ?? 0, cells: [arm === judged ? `**${arm}**` : arm, ...cells] }
    })
    .toSorted((a, b) => a.order - b.order)
  return table([['arm', ...times.flatMap(([, name]) => [name, 'worst'])], ...rows.map(({ cells }) => cells)])
}

/** How the arm does against the best peer of each column, and against one cache for all engines. */
function columnTable(report: Report, columns: readonly AcceptanceColumn[]): string {
  const { results, peers } = report
  const rows = columns
    .filter(({ only, title }) => only === undefined && results.has(title, judged))
    .map(({ title, counts }) => {
      const cells = times.map(([time]) => {
        const against = results.against(title, judged, { others: peers, time })
        return against === undefined ? '-' : `${intervalText(against.ratio)} ${against.other}`
      })
      const share = (time: Time): string => percent(shareOfPooled(results, title, time))
      return [
        counts ? title : `(${title})`,
        ...cells,
        share('e2eMeanMs'),
        share('ttftMeanMs'),
        percent(results.mean(title, judged, 'goodShare')),
      ]
    })
  const head = [
    'column',
    ...times.map(([, name]) => `${name} over the best peer`),
    'e2e of pooled',
    'TTFT of pooled',
    'good',
  ]
  return table([head, ...rows])
}

function valueTable(report: Report, columns: readonly AcceptanceColumn[], arms: readonly string[]): string {
  const { results } = report
  const rows = columns
    .filter(({ title }) => results.has(title, judged))
    .map(({ title }) => [
      title,
      ...arms.map((arm) => {
        if (!results.has(title, arm)) return '-'
        const seconds = (time: Time): string => shown(results.mean(title, arm, time) / 1e3, 2)
        return `${seconds('ttftMeanMs')} · ${seconds('ttftP99Ms')} · ${seconds('e2eMeanMs')} · ${(results.mean(title, arm, 'goodShare') * 100).toFixed(0)}`
      }),
    ])
  return table([['column', ...arms], ...rows])
}

function tunedText(rows: readonly Row[], tuned: readonly string[]): string {
  const settings = tuned.map((arm) => {
    const values = rows.filter((row) => row.arm === arm)
    const distinct = new Set(values.map((row) => JSON.stringify(row.values ?? {})))
    return `${arm} (${distinct.size} settings)`
  })
  return settings.join(', ')
}

/** The arms with the least e2e regret, the judged one first. */
function foremost({ results, counted, policies, peers }: Report, count: number): readonly string[] {
  const order = peers
    .filter((arm) => counted.some((column) => results.has(column, arm)))
    .map((arm) => ({ arm, mean: results.regret(counted, arm, { others: policies, time: 'e2eMeanMs' }).mean }))
    .toSorted((a, b) => a.mean - b.mean)
  return [judged, ...order.slice(0, count).map(({ arm }) => arm)]
}

/** Peers in the pictures, beside the judged arm. */
const drawnPeers = 5
const tabledPeers = 4

/** The committed page. */
export function acceptancePage(report: Report, setup: PageSetup): string {
  const { results, counted, reference, policies } = report
  const { columns, seeds, tuningSeeds, warmUpS, seconds, arms, briefly, tuned, command } = setup
  const notCounted = columns.filter(({ counts, title }) => !counts && results.has(title, judged))
  return [
    '# What the default profile reaches',
    `Written by \`${command}\`: every figure is of simulated engines in virtual time, and another run gives the same. ` +
      `Seeds ${seeds.join(', ')}, on which nothing was tuned; ${warmUpS} s of warm-up, ${seconds} s measured. ` +
      'A seed is one list of requests that all arms get. `acceptance.csv` has every run.',
    '## Acceptance',
    'Bars are those of the reference (routing-algorithms.md 9). Regret is an arm over the best arm of each column, its own among them: ' +
      `the geometric mean over the ${counted.length} columns that count, and the worst. ` +
      `The best is chosen among ${policies.length} arms at their published settings.`,
    linesTable(report),
    `## Regrets over all ${counted.length} columns`,
    regretTable(report, counted, arms),
    ...(briefly.length === 0 || seeds.length === 1
      ? []
      : [
          `${briefly.map((arm) => `\`${arm}\``).join(', ')} ran with seed ${seeds[0]} only, and are never chosen as the best of a column.`,
        ]),
    '![Regrets over columns, in order of size](acceptance.svg)',
    ...(reference.length === 0
      ? []
      : [
          `## Regrets over the ${reference.length} columns of the reference`,
          regretTable(report, reference, [...arms, ...tuned]),
        ]),
    ...(tuned.length === 0
      ? []
      : [
          `Marked \`*\`: at the setting with the least mean e2e on seed ${tuningSeeds.join(', ')}, searched for every column of the reference: ${tunedText(results.rows, tuned)}. ` +
            'They are compared with the best arm at its published setting, so they may be below 1.',
        ]),
    '## Column by column',
    "`gateway` over the best peer of each column, with the 95 % interval over paired seeds (Student's t); then how near it comes to " +
      `\`${pooled}\`, for which all engines have one cache and lengths of answers are known (more than 100 % is possible: it minimises work, not latency); then the requests inside the objective. Columns in brackets do not count.`,
    columnTable(report, columns),
    '## Times',
    'TTFT mean · TTFT p99 · e2e mean, in seconds · requests inside the objective, in percent; means over the seeds.',
    valueTable(report, columns, [...foremost(report, tabledPeers), 'least-request', pooled]),
    '## What is left out',
    [
      ...notCounted.map(({ title, why = '' }) => `* \`${title}\` does not count: ${why}.`),
      ...leftOut.map((each) => `* ${each}`),
    ].join('\n'),
    '',
  ].join('\n\n')
}

/** For each arm its regrets in order of size: how many columns it is how far behind on. */
export function acceptanceSvg(report: Report): string {
  const { results, counted, policies } = report
  const arms = foremost(report, drawnPeers)
  return lineCharts(
    times.map(([time, name]) => ({
      title: `${name} over the best`,
      x: { label: 'columns, in order' },
      y: { label: 'ratio to the best arm', isLogarithmic: true },
      series: arms.map((arm) => ({
        name: arm,
        points: counted
          .flatMap((column) => results.against(column, arm, { others: policies, time })?.ratio.ratio ?? [])
          .toSorted((a, b) => a - b)
          .map((ratio, i) => [i + 1, ratio] as const),
      })),
    })),
  )
}
