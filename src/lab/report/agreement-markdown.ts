import type { AgreementPoint, AgreementReport } from '#lab/agreement-report.ts'
import { lineCharts } from '#lab/line-chart.ts'
import { ttftChart } from './agreement-page.ts'
import {
  agreementHead,
  agreementLine,
  agreementRatio,
  agreementValue,
  chanceText,
  conditionsText,
} from './agreement-text.ts'
import { fixed } from './figures.ts'

function table(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...body.map(line)].join('\n')
}

/** The name of a point: what was served, and how fast. */
function pointName({ workload, load, unit, timeFactor }: AgreementPoint): string {
  const pace = timeFactor === 1 ? '' : `, time factor ${timeFactor}`
  return `${workload}, ${Number(load.toPrecision(3))} ${unit}${pace}`
}

function ratioOf({ agreement }: AgreementPoint, figure: string): string {
  const row = agreement.rows.find((each) => each.figure === figure)
  return row === undefined ? '-' : `${agreementRatio(row)} (${chanceText(row)})`
}

const shown = ['TTFT mean', 'TTFT p50', 'TTFT p99', 'e2e mean', 'e2e p99', 'output'] as const

function percent(part: number): string {
  return `${(part * 100).toFixed(1)} %`
}

/** The committed page about HTTP and virtual time. `command` repeats it. */
export function agreementMarkdown(report: AgreementReport, command: string): string {
  const { points } = report
  return [
    '# How far the real gateway over HTTP and virtual time agree',
    `Written by \`${command}\`. Figures of real processes: another run gives a little others. ${agreementHead(report)}.`,
    'Ratios are HTTP over virtual time, geometric means over the seeds. In brackets is what the same ratio becomes by chance: ' +
      'least and greatest of five runs in virtual time with every arrival up to 2 ms later.',
    table([
      ['', ...shown, 'hit, points apart', 'requests elsewhere'],
      ...points.map((point) => [
        pointName(point),
        ...shown.map((figure) => ratioOf(point, figure)),
        (point.agreement.hitDistance * 100).toFixed(1),
        percent(point.agreement.moved),
      ]),
    ]),
    '![Times to first token, both ways](agreement.svg)',
    ...points.flatMap((point) => [
      `## ${pointName(point)}`,
      `${point.fleet}: ${agreementLine(point.agreement)}.`,
      conditionsText(point).replaceAll('\n', '; '),
      table([
        ['', 'HTTP', 'virtual', 'ratio', 'by chance', 'as placed'],
        ...point.agreement.rows.map((row) => [
          row.figure,
          agreementValue(row.http, row),
          agreementValue(row.virtual, row),
          agreementRatio(row),
          chanceText(row),
          fixed(row.asPlaced, 3),
        ]),
      ]),
    ]),
    '',
  ].join('\n\n')
}

/** The times to first token of some points side by side. */
export function agreementSvg(points: readonly AgreementPoint[]): string {
  return lineCharts(points.map(ttftChart))
}
