/**
 * The acceptance report of the scheduler: `scripts/run node bench/lab/acceptance.ts`, or `npm run acceptance`. Runs every arm over
 * every workload of the laboratory and further loads and fleets, with seeds on which nothing was tuned, and rewrites
 * docs/figures/acceptance.{md,csv,svg}. Takes half an hour on two cores. Options:
 *
 *     --seeds <n>       seeds (5)
 *     --columns <a,b>   columns, by title or workload; all without it. Writes nothing but to --out
 *     --arms <a,b>      arms; all without it. Writes nothing but to --out
 *     --jobs <n>        threads (one per core); the figures are the same with any number
 *     --no-hindsight    peers at their published settings only
 *     --quick           one seed, runs of 80 s, no hindsight. Writes nothing but to --out
 *     --store <file>    keeps every run there, and does not run again what is there and depends on the same sources
 *     --out <dir>       writes there instead of to docs/figures
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { catalogueOf } from '#apps/lab-catalogue.ts'
import { startLabPool } from '#apps/lab-pool.ts'
import { LabProgress } from '#apps/lab-progress.ts'
import { systemClock } from '#core/clock.ts'
import { acceptanceColumns } from '#lab/acceptance/columns.ts'
import { evaluate, hindsightMark, scaledArms } from '#lab/acceptance/evaluate.ts'
import { acceptanceLines, type Report } from '#lab/acceptance/lines.ts'
import { acceptancePage, acceptanceSvg } from '#lab/acceptance/page.ts'
import { Results } from '#lab/acceptance/results.ts'
import { rowsCsv } from '#lab/acceptance/rows.ts'
import { type RunStore, storedRunner } from '#lab/acceptance/stored-runner.ts'
import type { RunMetrics } from '#lab/run-metrics.ts'
import { reportedSeeds, searchedSeeds } from '#lab/seeds.ts'
import type { RunTask } from '#lab/task.ts'
import { digestOfSources } from './source-digest.ts'

/** Own arms of the report; the others show what blind rules do through the same scheduler. */
const ownArms: readonly string[] = ['gateway', 'gateway-events', ...scaledArms]
/** Peers that also run at their best setting: those whose settings matter most where their published ones do badly. */
const tunedPeers: readonly string[] = ['llm-d', 'smg', 'dynamo-lmetric']
/** Run with one seed, so that the others may run with five: rules that are never near the best, and a second yardstick. */
const briefArms: readonly string[] = [
  'random',
  'power-of-two',
  'least-tokens',
  'bounded-hash',
  'dualmap',
  'aibrix-kv',
  'aibrix-latency',
  'sees-caches',
]

const { values: flags } = parseArgs({
  options: {
    seeds: { type: 'string', default: '5' },
    columns: { type: 'string' },
    arms: { type: 'string' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    'no-hindsight': { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    store: { type: 'string' },
    out: { type: 'string' },
  },
})

const root = fileURLToPath(new URL('../../', import.meta.url))
const isWhole = flags.columns === undefined && flags.arms === undefined && !flags.quick
const folder = flags.out ?? (isWhole ? join(root, 'docs/figures') : undefined)

/** What runs of every arm are made of, and what those of own arms are made of besides. */
const commonSources: readonly string[] = [
  'lab/run.ts',
  'lab/oracle.ts',
  'lab/placements.ts',
  'lab/workload-table.ts',
  'lab/acceptance/workloads.ts',
  'lab/arms/blind.ts',
  'lab/arms/peers.ts',
]
const ownSources: readonly string[] = ['lab/arms/own-profiles.ts', 'lab/arms/own-variants.ts']

function openStore(file: string): RunStore {
  const known = new Map<string, RunMetrics>()
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []
  for (const line of lines) {
    if (!line.endsWith('}')) continue
    const { key, metrics } = JSON.parse(line) as { readonly key: string; readonly metrics: RunMetrics }
    known.set(key, metrics)
  }
  return {
    get: (key) => known.get(key),
    put: (key, metrics) => appendFileSync(file, `${JSON.stringify({ key, metrics })}\n`),
  }
}

const sources = {
  trace: undefined,
  counts: { searched: 0, reported: 1 },
  engines: undefined,
  preset: undefined,
  forAcceptance: true,
}
const catalogue = catalogueOf(sources)
const named = (text: string | undefined): readonly string[] | undefined => text?.split(',').map((each) => each.trim())
const wantedColumns = named(flags.columns)
const wantedArms = named(flags.arms)
const columns = acceptanceColumns.filter(
  ({ title, workload }) =>
    wantedColumns === undefined || wantedColumns.includes(title) || wantedColumns.includes(workload),
)
const arms = catalogue.arms.filter(
  ({ name, kind }) =>
    (kind !== 'own' || ownArms.includes(name)) &&
    (wantedArms === undefined || wantedArms.includes(name) || wantedArms.includes(kind)),
)
if (columns.length === 0 || arms.length === 0) {
  const titles = acceptanceColumns.map(({ title }) => title)
  console.error(`no column or no arm has such a name; columns are ${titles.join(', ')}`)
  process.exit(2)
}
const hindsight =
  flags['no-hindsight'] || flags.quick ? [] : tunedPeers.filter((name) => arms.some((arm) => arm.name === name))
const briefly = briefArms.filter((name) => arms.some((arm) => arm.name === name))
const [warmUpS, seconds] = flags.quick ? [20, 80] : [60, 120]
const tuningSeeds = searchedSeeds(1)
const evaluation = {
  columns,
  arms,
  briefly,
  hindsight,
  tuningSeeds,
  seeds: reportedSeeds(flags.quick ? 1 : Number(flags.seeds)),
  warmUpMs: warmUpS * 1e3,
  measuredMs: seconds * 1e3,
}

const clock = systemClock()
const startedMs = clock.nowMs()
let shownMs = startedMs
/** One line that the next one replaces on a terminal; elsewhere one every half minute. */
function show(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${line.slice(0, (process.stderr.columns || 140) - 1)}`)
  else if (clock.nowMs() - shownMs > 30_000) {
    shownMs = clock.nowMs()
    process.stderr.write(`${line}\n`)
  }
}

const pool = startLabPool(Number(flags.jobs), sources)
const sourceFolder = new URL('../../src/', import.meta.url)
const common = digestOfSources(sourceFolder, commonSources)
const own = digestOfSources(sourceFolder, [...commonSources, ...ownSources])
const kinds = new Map(catalogue.arms.map(({ name, kind }) => [name, kind]))
const keyOf = (task: RunTask): string => JSON.stringify([kinds.get(task.arm.name) === 'own' ? own : common, task])
const runner = flags.store === undefined ? pool : storedRunner(pool, openStore(flags.store), keyOf)
try {
  const rows = await evaluate(evaluation, { runner, progress: new LabProgress(show, clock) })
  show('')
  const counted = columns.filter(({ counts }) => counts)
  const ofKind = (kind: string): readonly string[] => arms.filter((arm) => arm.kind === kind).map(({ name }) => name)
  const report: Report = {
    results: new Results(rows),
    counted: counted.map(({ title }) => title),
    reference: counted.filter(({ isReference }) => isReference).map(({ title }) => title),
    policies: arms
      .filter(({ kind, name }) => kind !== 'yardstick' && !scaledArms.includes(name))
      .map(({ name }) => name),
    peers: ofKind('peer'),
    blind: ofKind('blind'),
  }
  const tuned = hindsight.map((name) => `${name}${hindsightMark}`)
  const page = acceptancePage(report, {
    columns,
    seeds: evaluation.seeds,
    tuningSeeds,
    warmUpS,
    seconds,
    arms: arms.map(({ name }) => name).filter((name) => !scaledArms.includes(name)),
    briefly,
    tuned,
    command: 'scripts/run node bench/lab/acceptance.ts',
  })
  for (const { test, bar, judge } of acceptanceLines) {
    const { reached, isMet } = judge(report)
    console.log(`${isMet === undefined ? '-' : isMet ? 'yes' : 'NO'}\t${test} (${bar}): ${reached}`)
  }
  if (folder !== undefined) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'acceptance.md'), page)
    writeFileSync(join(folder, 'acceptance.csv'), rowsCsv(rows))
    writeFileSync(join(folder, 'acceptance.svg'), acceptanceSvg(report))
    console.log(`wrote acceptance.md, .csv and .svg to ${folder}`)
  }
  console.log(`${rows.length} rows in ${((clock.nowMs() - startedMs) / 60_000).toFixed(1)} minutes`)
} finally {
  await pool.close()
}
