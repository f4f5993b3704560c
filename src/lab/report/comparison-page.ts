import type { ArmKind } from '#lab/arm.ts'
import type { Cell, Column, Comparison, Regret } from '#lab/comparison.ts'
import { colorOf, escapeMarkup, type LineChart, smallLineChart } from '#lab/line-chart.ts'
import { rangeChart } from '#lab/range-chart.ts'
import type { Spread } from '#lab/run-metrics.ts'
import { loadOf } from './comparison-text.ts'
import { figures, fixed, ratioText, seconds, titleOf } from './figures.ts'
import { anchorOf, colourKey, figure, kindKey, page, pageTable, paragraph } from './page.ts'

/** Lines of a chart over loads: more cannot be told apart. */
const mostLines = 6

interface Context {
  readonly comparison: Comparison
  /** Regrets in order of e2e. */
  readonly ranking: readonly Regret[]
  readonly kinds: ReadonlyMap<string, ArmKind>
}

/** The comparison as one page that can be read without explanation. */
export function comparisonPage(comparison: Comparison): string {
  const ranking = comparison.regrets.toSorted((a, b) => a.e2e - b.e2e)
  const kinds = new Map(ranking.map(({ arm, kind }) => [arm, kind]))
  const context = { comparison, ranking, kinds }
  const names = [...new Set(comparison.columns.map(({ workload }) => workload))]
  return page('Ways to place requests, compared', [
    paragraph(setupText(comparison), 'soft'),
    inShort(context),
    `<nav>${[...names, 'Arms', 'How to read it'].map((name) => `<a href="#${anchorOf(name)}">${escapeMarkup(name)}</a>`).join('')}</nav>`,
    ...regretSection(context),
    ...names.flatMap((name) => workloadSection(name, context)),
    ...armSection(context),
    ...readingSection(comparison),
  ])
}

function setupText({ seeds, tuningSeeds, warmUpMs, measuredMs, columns, regrets }: Comparison): string {
  const tuned =
    tuningSeeds.length === 0
      ? ''
      : ` Settings found in hindsight (marked *) come from other seeds: ${tuningSeeds.join(', ')}.`
  const workloads = counted(new Set(columns.map(({ workload }) => workload)).size, 'workload')
  const loads = new Set(columns.map(({ workload }) => workload)).size < columns.length ? ' at several loads' : ''
  return (
    `${counted(regrets.length, 'arm')} served the same requests on a simulated fleet, in virtual time: ${workloads}${loads}, ` +
    `${counted(seeds.length, 'list')} of requests each (${seeds.length === 1 ? 'seed' : 'seeds'} ${seeds.join(', ')}), ` +
    `${measuredMs / 1e3} s of arrivals measured after ${warmUpMs / 1e3} s of warm-up.${tuned}`
  )
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/** The outcome in a few sentences. */
function inShort({ comparison, ranking }: Context): string {
  const real = ranking.filter(({ kind }) => kind !== 'yardstick')
  const [best] = real
  if (best === undefined) return ''
  const count = comparison.columns.length
  const where =
    count === 1
      ? 'this workload'
      : `these ${count} ${new Set(comparison.columns.map(({ workload }) => workload)).size === count ? 'workloads' : 'workloads and loads'}`
  const sentence = ({ arm, e2e, e2eWorst, e2eWorstAt }: Regret): string =>
    `${arm} takes ${fixed(e2e, 2)} times as long as the best arm of each workload` +
    (count === 1 ? '' : ` (geometric mean), and ${fixed(e2eWorst, 2)} times where it is worst, on ${e2eWorstAt}`)
  const own = real.find(({ kind }) => kind === 'own')
  const lines = [`Over ${where}, from arrival to last token: ${sentence(best)}.`]
  if (own !== undefined && own !== best) lines.push(`This gateway's best: ${sentence(own)}.`)
  const blind = real.find(({ kind }) => kind === 'blind')
  if (blind !== undefined && blind !== best) lines.push(`The best that knows nothing of prompts: ${sentence(blind)}.`)
  return `<div class="short">${lines.map((line) => paragraph(line)).join('')}</div>`
}

function regretSection({ comparison, ranking, kinds }: Context): readonly string[] {
  const { columns } = comparison
  const chart = (title: string, of: (regret: Regret) => readonly [number, number]): string =>
    rangeChart({
      title,
      rows: ranking.map((regret) => {
        const [middle, high] = of(regret)
        const hint = `${fixed(middle, 2)}, at worst ${fixed(high, 2)}`
        return { name: regret.arm, kind: regret.kind, low: middle, middle, high, hint }
      }),
    })
  return [
    '<h2>Regret: how much slower than the best</h2>',
    paragraph(
      'The dot is the geometric mean over all workloads of the time an arm took over that of the best arm of the workload; ' +
        'the bar reaches to its worst workload. 1 is best. Yardsticks see what no gateway can and may be below 1.',
    ),
    kindKey(new Set(kinds.values())),
    '<div class="charts">',
    figure(
      chart('from arrival to last token', ({ e2e, e2eWorst }) => [e2e, e2eWorst]),
      'Mean e2e time, times the best.',
    ),
    figure(
      chart('to the first token', ({ ttft, ttftWorst }) => [ttft, ttftWorst]),
      'Mean TTFT, times the best.',
    ),
    '</div>',
    pageTable([
      ['arm', 'e2e', 'worst', ...columns.map((column) => shortName(column, columns))],
      ...ranking.map(({ arm, e2e, e2eWorst }) => [
        arm,
        fixed(e2e, 2),
        fixed(e2eWorst, 2),
        ...columns.map((column) => heatCell(column, arm)),
      ]),
    ]),
    paragraph('Mean e2e time over that of the best arm, workload by workload; the darker, the worse.', 'soft'),
  ]
}

/** The workload, and its load where it runs at several. */
function shortName({ workload, load }: Column, columns: readonly Column[]): string {
  return columns.filter((each) => each.workload === workload).length > 1 ? `${workload} ${load}` : workload
}

function heatCell({ cells }: Column, arm: string): { readonly text: string; readonly attributes: string } {
  const ratio = cells.find((cell) => cell.arm === arm)?.e2eRatio.ratio ?? Number.NaN
  // 1 is no colour, 4 and more is all of it.
  const heat = Math.max(0, Math.min(1, Math.log(ratio) / Math.log(4)))
  const kind = ratio === 1 ? 'best' : 'heat'
  return { text: fixed(ratio, 2), attributes: `class="${kind}" style="--h:${fixed(heat, 2)}"` }
}

function workloadSection(name: string, context: Context): readonly string[] {
  const columns = context.comparison.columns.filter(({ workload }) => workload === name)
  const [first] = columns
  if (first === undefined) return []
  return [
    `<h2 id="${anchorOf(name)}">${escapeMarkup(titleOf(first))}</h2>`,
    paragraph(`${capital(first.summary)}.`),
    ...(columns.length > 1 ? overLoads(columns, context) : []),
    ...columns.flatMap((column) => columnPart(column, columns.length > 1, context)),
  ]
}

function capital(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`
}

/** Lines over the load, of the best of each kind and then of whoever is next. */
function overLoads(columns: readonly Column[], { ranking }: Context): readonly string[] {
  const firstOf = (kind: ArmKind): readonly Regret[] => ranking.filter((each) => each.kind === kind).slice(0, 1)
  const chosen = new Set([
    ...firstOf('own'),
    ...firstOf('peer'),
    ...firstOf('blind'),
    ...firstOf('yardstick'),
    ...ranking,
  ])
  const names = [...chosen].slice(0, mostLines).map(({ arm }) => arm)
  const chart = (title: string, y: LineChart['y'], of: (cell: Cell) => number): string =>
    smallLineChart({
      title,
      x: { label: columns[0]?.unit ?? '' },
      y,
      series: names.map((name) => ({
        name,
        hasMarks: true,
        points: columns
          .toSorted((a, b) => a.load - b.load)
          .flatMap(({ load, cells }) => {
            const cell = cells.find(({ arm }) => arm === name)
            return cell === undefined ? [] : [[load, of(cell)] as const]
          }),
      })),
    })
  return [
    colourKey(names.map((name, i) => ({ name, color: colorOf({}, i) }))),
    '<div class="charts">',
    figure(
      chart(
        'Time to first token',
        { label: 'seconds, mean', isLogarithmic: true },
        ({ mean }) => mean.ttftMs.mean / 1e3,
      ),
      'Lower is better.',
    ),
    figure(
      chart('Arrival to last token', { label: 'seconds, mean' }, ({ mean }) => mean.e2eMs.mean / 1e3),
      'Lower is better.',
    ),
    figure(
      chart('Inside the objective', { label: '% of requests', max: 100 }, ({ mean }) => mean.goodShare * 100),
      'Higher is better.',
    ),
    figure(
      chart('Output', { label: 'tokens per second' }, ({ mean }) => mean.outputTokensPerSecond),
      'Higher is better.',
    ),
    '</div>',
  ]
}

function columnPart(column: Column, isOneOfSeveral: boolean, { kinds }: Context): readonly string[] {
  const cells = column.cells.toSorted((a, b) => a.e2eRatio.ratio - b.e2eRatio.ratio)
  const bars = (title: string, of: (cell: Cell) => Spread): string =>
    rangeChart({
      title,
      rows: cells.map((cell) => {
        const { p50, mean, p99 } = of(cell)
        const hint = `median ${seconds(p50)} s, mean ${seconds(mean)} s, 99th percentile ${seconds(p99)} s`
        return {
          name: cell.arm,
          kind: kinds.get(cell.arm) ?? '',
          low: p50 / 1e3,
          middle: mean / 1e3,
          high: p99 / 1e3,
          hint,
        }
      }),
    })
  const telling = figures.filter(({ of }) => cells.some((cell) => of(cell) !== '-'))
  const table = (shown: typeof figures): string =>
    pageTable(
      [
        ['arm', ...shown.map(({ head }) => head)],
        ...cells.map((cell) => [cell.arm, ...shown.map(({ of }) => of(cell))]),
      ],
      { hints: ['', ...shown.map(({ hint }) => hint)] },
    )
  const part = [
    '<div class="charts">',
    figure(
      bars('Time to first token, s', ({ mean }) => mean.ttftMs),
      caption,
    ),
    figure(
      bars('From arrival to last token, s', ({ mean }) => mean.e2eMs),
      caption,
    ),
    '</div>',
    table(telling.filter(({ rank }) => rank !== undefined && rank <= 10)),
    `<details><summary>All figures, and the settings found in hindsight</summary>${table(telling)}${settingsTable(cells)}</details>`,
    ...tenantPart(cells),
  ]
  const notes = column.notes.map((note) => paragraph(note))
  if (!isOneOfSeveral) return [paragraph(`${loadOf(column)}.`, 'soft'), ...notes, ...part]
  return [`<details><summary>At ${escapeMarkup(loadOf(column))}</summary>`, ...notes, ...part, '</details>']
}

const caption = 'Bars from median to 99th percentile, dot at the mean.'

/** How each tenant fared, where there are several. */
function tenantPart(cells: readonly Cell[]): readonly string[] {
  const count = Math.max(...cells.map(({ mean }) => mean.tenants.length))
  if (count < 2) return []
  const tenants = cells[0]?.mean.tenants.map(({ tenant }) => `tenant ${tenant}`) ?? []
  return [
    '<details><summary>Each tenant: mean TTFT in seconds, and how many times longer requests took than alone</summary>',
    pageTable([
      ['arm', ...tenants],
      ...cells.map(({ arm, mean }) => [
        arm,
        ...mean.tenants.map(({ ttftMs, slowdown }) => `${seconds(ttftMs.mean)} (${fixed(slowdown, 1)})`),
      ]),
    ]),
    '</details>',
  ]
}

function settingsTable(cells: readonly Cell[]): string {
  const tuned = cells.filter(({ values }) => values !== undefined)
  if (tuned.length === 0) return ''
  return pageTable(
    [['arm', 'other than published'], ...tuned.map(({ arm, values }) => [arm, valuesText(values ?? {})])],
    { isProse: true },
  )
}

function valuesText(values: Readonly<Record<string, number>>): string {
  const entries = Object.entries(values)
  return entries.length === 0
    ? 'nothing: published is best'
    : entries.map(([key, value]) => `${key} ${value}`).join(', ')
}

function armSection({ ranking }: Context): readonly string[] {
  return [
    '<h2 id="arms">Arms</h2>',
    paragraph(
      'Peers are formulas that their projects or papers publish, with their published constants, written anew for this ' +
        'laboratory. They are not those programs.',
    ),
    pageTable(
      [
        ['arm', 'kind', 'rule', 'source'],
        ...ranking.map(({ arm, kind, summary, source = '' }) => [arm, kind, summary, source]),
      ],
      { isProse: true },
    ),
  ]
}

function readingSection({ seeds, columns }: Comparison): readonly string[] {
  const example = columns[0]?.cells.find(({ e2eRatio }) => e2eRatio.ratio > 1 && e2eRatio.low !== undefined)
  const interval =
    example === undefined
      ? ''
      : ` ${example.arm} with ${ratioText(example.e2eRatio)} on ${columns[0]?.workload ?? ''} takes ` +
        `${fixed(example.e2eRatio.ratio, 2)} times as long as the best arm, and with 95 % confidence between the two bounds.`
  return [
    '<h2 id="how-to-read-it">How to read it</h2>',
    '<ul>',
    ...[
      'A seed is one list of requests, and all arms get the same. Ratios are taken seed by seed, so an interval is about the ratio, ' +
        `not about how different the seeds are.${interval}`,
      seeds.length < 2
        ? 'One seed gives no interval: run more to tell arms apart.'
        : 'Two arms whose intervals both include 1 are not told apart.',
      'The best arm is the best of those that ran, yardsticks aside: leave arms out and regrets change.',
      'Read hit and max/mean together: sending everything to one engine finds all of the cache and half of the fleet idle.',
      'Engines are a model, calibrated against published measurements. It ranks ways to place requests; it does not predict production.',
    ].map((text) => `<li>${escapeMarkup(text)}</li>`),
    '</ul>',
    pageTable([['column', 'meaning'], ...figures.map(({ head, hint }) => [head, hint])], { isProse: true }),
  ]
}
