/**
 * Serves points of the laboratory by the real gateway over HTTP and compares with virtual time:
 * `scripts/run node bench/lab/agreement.ts [--no-write]`. Takes about a quarter of an hour of a machine that does nothing else, and
 * rewrites docs/figures/agreement.{md,json,svg}.
 */
import { writeFileSync } from 'node:fs'
import { labHttp } from '#apps/lab-http.ts'
import { type AgreementReport, isDisturbed } from '#lab/agreement-report.ts'
import { agreementMarkdown, agreementSvg } from '#lab/report/agreement-markdown.ts'
import { reportJson } from '#lab/report/json.ts'

const common = {
  arm: 'gateway',
  seeds: 2,
  warmUpS: 20,
  seconds: 40,
  streamInterval: 8,
  jobs: 1,
  rate: undefined,
  trace: undefined,
  engines: undefined,
  preset: undefined,
  out: undefined,
}

interface Point {
  readonly workload: string
  /** Of the workload's own. */
  readonly load: number
  readonly timeFactor?: number
  readonly inPicture?: boolean
}

const points: readonly Point[] = [
  { workload: 'zipf', load: 0.5 },
  { workload: 'zipf', load: 0.9, inPicture: true },
  { workload: 'chat', load: 0.75, inPicture: true },
  { workload: 'no-reuse', load: 0.75, inPicture: true },
  // What a faster fleet costs.
  { workload: 'zipf', load: 0.5, timeFactor: 4 },
]

/** Runs of a point. */
const mostTries = 4

const output = { print: (text: string) => void process.stdout.write(text), progress: () => {}, width: 140 }

/** A point, again where the machine was busy with something else, whatever the figures are. */
async function undisturbed({ workload, load, timeFactor = 1 }: Point): Promise<AgreementReport> {
  for (let left = mostTries; ; left--) {
    const report = await labHttp({ ...common, workloads: [workload], loads: [load], timeFactor }, output)
    if (left <= 1 || !report.points.some(isDisturbed)) return report
    console.log('disturbed: once more\n')
  }
}

const reports: AgreementReport[] = []
for (const point of points) reports.push(await undisturbed(point))
const [first] = reports
if (first !== undefined && !process.argv.includes('--no-write')) {
  const json = reportJson({ ...first, points: reports.flatMap((report) => report.points) })
  const rounded = JSON.parse(json) as AgreementReport
  const folder = new URL('../../docs/figures/', import.meta.url)
  writeFileSync(new URL('agreement.json', folder), json)
  writeFileSync(new URL('agreement.md', folder), agreementMarkdown(rounded, 'scripts/run node bench/lab/agreement.ts'))
  writeFileSync(
    new URL('agreement.svg', folder),
    agreementSvg(rounded.points.filter((_, i) => points[i]?.inPicture === true)),
  )
  console.log('wrote docs/figures/agreement.md, .json and .svg')
}
