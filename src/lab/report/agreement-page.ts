import type { AgreementPoint, AgreementReport } from '#lab/agreement-report.ts'
import { smallLineChart } from '#lab/line-chart.ts'
import {
  agreementHead,
  agreementLine,
  agreementRatio,
  agreementValue,
  chanceText,
  conditionsText,
} from './agreement-text.ts'
import { fixed } from './figures.ts'
import { figure, page, pageTable, paragraph } from './page.ts'

/** The times to first token of both ways, over the part of the requests that had theirs sooner. */
export function ttftChart({ workload, load, unit, agreement }: AgreementPoint) {
  const { http, virtual } = agreement.ttftCurvesMs
  const points = (curve: readonly number[]) => curve.map((ms, i) => [i + 1, ms / 1e3] as const)
  return {
    title: `${workload}, ${Number(load.toPrecision(3))} ${unit}`,
    x: { label: 'part of the requests, %', min: 0, max: 100 },
    y: { label: 'time to first token, s', isLogarithmic: true },
    series: [
      { name: 'real gateway over HTTP', points: points(http) },
      { name: 'virtual time', points: points(virtual) },
    ],
  }
}

/** The report as a page in one file. */
export function agreementPage(report: AgreementReport): string {
  return page('The real gateway over HTTP, and virtual time', [
    paragraph(agreementHead(report)),
    paragraph(
      'The same requests, twice. `By chance` is what the ratio to virtual time is when the same requests come up to 2 ms later ' +
        'in virtual time: what lies inside is no difference between the two.',
    ),
    ...report.points.flatMap((point) => [
      `<h2>${point.workload}</h2>`,
      paragraph(`${point.load} ${point.unit}, ${point.fleet}: ${agreementLine(point.agreement)}.`),
      paragraph(conditionsText(point), 'soft'),
      figure(smallLineChart(ttftChart(point)), 'First seed. The upper line is slower.'),
      pageTable([
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
  ])
}
