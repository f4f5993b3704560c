import type { Cell, Column, Comparison, Ratio, Regret } from './comparison.ts'
import { escapeMarkup, rangeChart } from './range-chart.ts'

/** Six digits: more say nothing, and rounding hides nothing that is compared. */
export function comparisonJson(comparison: Comparison): string {
  const rounded = (_: string, value: unknown): unknown =>
    typeof value === 'number' ? Number(value.toPrecision(6)) : value
  return `${JSON.stringify(comparison, rounded, 1)}\n`
}

interface Figure {
  readonly head: string
  readonly hint: string
  readonly of: (cell: Cell) => string
}

const seconds = (ms: number): string => (Number.isFinite(ms) ? (ms / 1e3).toFixed(ms < 9_995 ? 2 : 1) : '-')
const fixed = (value: number, digits: number): string => (Number.isFinite(value) ? value.toFixed(digits) : '-')
const share = (part: number): string => (Number.isFinite(part) ? `${(part * 100).toFixed(0)} %` : '-')

function ratioText({ ratio, low, high }: Ratio): string {
  const interval = low === undefined || high === undefined ? '' : ` [${low.toFixed(2)}, ${high.toFixed(2)}]`
  return `${ratio.toFixed(2)}${interval}`
}

const figures: readonly Figure[] = [
  { head: 'TTFT', hint: 'time to first token, mean, s', of: ({ mean }) => seconds(mean.ttftMs.mean) },
  { head: 'p99', hint: 'time to first token, 99th percentile, s', of: ({ mean }) => seconds(mean.ttftMs.p99) },
  { head: 'e2e', hint: 'from request to last token, mean, s', of: ({ mean }) => seconds(mean.e2eMs.mean) },
  { head: 'p99', hint: 'from request to last token, 99th percentile, s', of: ({ mean }) => seconds(mean.e2eMs.p99) },
  { head: 'TPOT', hint: 'time per output token, mean, ms', of: ({ mean }) => fixed(mean.tpotMs.mean, 1) },
  { head: 'ITL99', hint: 'time between tokens, 99th percentile, ms', of: ({ mean }) => fixed(mean.itlMs.p99, 0) },
  { head: 'tok/s', hint: 'output tokens per second', of: ({ mean }) => fixed(mean.outputTokensPerSecond, 0) },
  { head: 'good', hint: 'requests inside the objective', of: ({ mean }) => share(mean.goodShare) },
  { head: 'hit', hint: 'prompt tokens that were cached', of: ({ mean }) => share(mean.hitRatio) },
  { head: 'preempt', hint: 'preemptions', of: ({ mean }) => fixed(mean.preemptions, 0) },
  { head: 'max/mean', hint: 'requests, fullest endpoint', of: ({ mean }) => fixed(mean.requestsMaxOverMean, 2) },
  { head: 'flight', hint: 'in flight, fullest endpoint', of: ({ mean }) => fixed(mean.inFlightMaxOverMean, 2) },
  { head: 'copies', hint: 'endpoints per shared prefix', of: ({ mean }) => fixed(mean.copiesPerPrefix, 2) },
  { head: 'e2e regret', hint: 'mean e2e over that of the best arm', of: ({ e2eRatio }) => ratioText(e2eRatio) },
]

const regretFigures: readonly { readonly head: string; readonly of: (regret: Regret) => string }[] = [
  { head: 'kind', of: ({ kind }) => kind },
  { head: 'e2e', of: ({ e2e }) => fixed(e2e, 2) },
  { head: 'worst', of: ({ e2eWorst }) => fixed(e2eWorst, 2) },
  { head: 'TTFT', of: ({ ttft }) => fixed(ttft, 2) },
  { head: 'worst', of: ({ ttftWorst }) => fixed(ttftWorst, 2) },
]

function textTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0))) ?? []
  const line = (row: readonly string[]): string =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ')
  return rows.map((row) => line(row).trimEnd()).join('\n')
}

function loadOf({ load, unit, engines, preset }: Column): string {
  return `${load} ${unit}, ${engines} x ${preset}`
}

function columnRows({ cells }: Column): readonly (readonly string[])[] {
  return [
    ['arm', ...figures.map(({ head }) => head)],
    ...cells.map((cell) => [cell.arm, ...figures.map((f) => f.of(cell))]),
  ]
}

function regretRows(regrets: readonly Regret[]): readonly (readonly string[])[] {
  const sorted = regrets.toSorted((a, b) => a.e2e - b.e2e)
  return [
    ['arm', ...regretFigures.map(({ head }) => head)],
    ...sorted.map((regret) => [regret.arm, ...regretFigures.map((f) => f.of(regret))]),
  ]
}

/** One workload for a terminal. */
export function columnText(column: Column): string {
  return `${column.code} ${column.workload} (${loadOf(column)})\n${textTable(columnRows(column))}\n\n`
}

/** The regrets for a terminal, the least first. */
export function regretText({ regrets, seeds }: Comparison): string {
  const title = `Regret: times the best arm of each workload, geometric mean and worst (${seeds.length} seed${seeds.length === 1 ? '' : 's'})`
  return `${title}\n${textTable(regretRows(regrets))}\n`
}

function htmlTable(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows
  const cells = (tag: string, row: readonly string[]): string =>
    `<tr>${row.map((cell) => `<${tag}>${escapeMarkup(cell)}</${tag}>`).join('')}</tr>`
  return `<table><thead>${cells('th', head)}</thead><tbody>${body.map((row) => cells('td', row)).join('\n')}</tbody></table>`
}

const style = `body{font:14px/1.45 system-ui,sans-serif;color:#222;margin:2rem auto;max-width:78rem;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin:2.2rem 0 .3rem}p{margin:.3rem 0 .8rem;color:#555}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.5rem 0 1rem}
th,td{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #e4e4e4;white-space:nowrap}
th:first-child,td:first-child{text-align:left}thead th{border-bottom:2px solid #bbb}
.scroll{overflow-x:auto}.plots{display:flex;flex-wrap:wrap;gap:1rem}`

function columnSection(column: Column, colors: ReadonlyMap<string, string>): string {
  const bars = (title: string, value: (cell: Cell) => readonly [number, number, number]): string =>
    rangeChart({
      title,
      rows: column.cells.map((cell) => {
        const [p50, mean, p99] = value(cell)
        return { name: cell.arm, color: colors.get(cell.arm) ?? '#555', low: p50, middle: mean, high: p99 }
      }),
    })
  return [
    `<h2>${escapeMarkup(`${column.code} ${column.workload}`)}</h2>`,
    `<p>${escapeMarkup(`${column.summary}. ${loadOf(column)}.`)}</p>`,
    '<div class="plots">',
    bars('Time to first token, s', ({ mean: { ttftMs } }) => [ttftMs.p50 / 1e3, ttftMs.mean / 1e3, ttftMs.p99 / 1e3]),
    bars('From request to last token, s', ({ mean: { e2eMs } }) => [
      e2eMs.p50 / 1e3,
      e2eMs.mean / 1e3,
      e2eMs.p99 / 1e3,
    ]),
    '</div>',
    `<div class="scroll">${htmlTable(columnRows(column))}</div>`,
  ].join('\n')
}

const kindColors = { blind: '#b45309', own: '#15803d', peer: '#1d4ed8', yardstick: '#6b7280' } as const

/** The comparison as one HTML page that needs nothing else. */
export function comparisonHtml(comparison: Comparison): string {
  const { columns, regrets, seeds, warmUpMs, measuredMs } = comparison
  const colors = new Map(regrets.map(({ arm, kind }) => [arm, kindColors[kind]]))
  const legend = figures.map(({ head, hint }) => `${head}: ${hint}`).join('; ')
  const setup = `${seeds.length} seeds (${seeds.join(', ')}), ${measuredMs / 1e3} s of arrivals after ${warmUpMs / 1e3} s of warm-up, in virtual time.`
  return [
    '<!doctype html>',
    '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">',
    `<title>Laboratory</title><style>${style}</style></head><body>`,
    '<h1>Ways to place requests, compared</h1>',
    `<p>${escapeMarkup(setup)} Bars reach from the median to the 99th percentile, the mark is the mean; logarithmic.</p>`,
    '<h2>Regret</h2>',
    '<p>Times the best arm of each workload: geometric mean over the workloads, and the worst of them. 1 is best.</p>',
    htmlTable(regretRows(regrets)),
    ...columns.map((column) => columnSection(column, colors)),
    `<h2>Columns</h2><p>${escapeMarkup(legend)}.</p>`,
    '<h2>Arms</h2>',
    htmlTable([['arm', 'kind', 'rule'], ...regrets.map(({ arm, kind, summary }) => [arm, kind, summary])]),
    '</body></html>',
    '',
  ].join('\n')
}
