/**
 * Memory of the gateway over many faulty requests: the chaos load in laps, each followed by a rest in which everything
 * that may be freed is freed. Writes docs/figures/chaos-memory.json and .svg. `--requests N --seed N --laps N`.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { lineChart } from '#lab/line-chart.ts'
import { slopeOf } from '#scripts/plot/slope.ts'
import { type ChaosSample, runChaos } from './chaos.ts'
import { endWithoutCleanup } from './processes.ts'
import { endingTable, summaryOf, violationText } from './report.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '100' },
    requests: { type: 'string', default: '100000' },
    seconds: { type: 'string', default: '900' },
    clients: { type: 'string', default: '150' },
  },
})

const mebibyte = 1024 * 1024
const seed = Number(values.seed)
const samples: ChaosSample[] = []
const result = await runChaos({
  seed,
  seconds: Number(values.seconds),
  requests: Number(values.requests),
  clients: Number(values.clients),
  onSample: (sample) => {
    samples.push(sample)
    if (samples.length % 15 === 0)
      console.log(`${sample.requests} requests, ${(sample.rssBytes / mebibyte).toFixed(0)} MiB resident`)
  },
})
const resident = samples.map(({ requests, rssBytes }) => [requests, rssBytes / mebibyte] as const)
const heap = samples.map(({ requests, heapBytes }) => [requests, heapBytes / mebibyte] as const)
// The first third is the gateway finding its size: code being compiled, pools and tables growing to what the load needs.
const settled = ([requests]: readonly [number, number]): boolean => requests > result.requests / 3
const perMillion = (points: readonly (readonly [number, number])[]): number =>
  Math.round(slopeOf(points.filter(settled)) * 1e6 * 10) / 10
const figures = {
  seed,
  requests: result.requests,
  clients: result.sessions,
  violations: result.violations,
  engineRestarts: result.restarts,
  residentMiBPerMillionRequests: perMillion(resident),
  heapMiBPerMillionRequests: perMillion(heap),
  endings: Object.fromEntries([...result.endings].map(([fault, counts]) => [fault, Object.fromEntries(counts)])),
  samples: samples.map(({ requests, rssBytes, heapBytes }) => ({
    requests,
    residentMiB: Math.round((rssBytes / mebibyte) * 10) / 10,
    heapMiB: Math.round((heapBytes / mebibyte) * 10) / 10,
  })),
}
mkdirSync('docs/figures', { recursive: true })
writeFileSync('docs/figures/chaos-memory.json', `${JSON.stringify(figures, undefined, 1)}\n`)
writeFileSync(
  'docs/figures/chaos-memory.svg',
  lineChart({
    title: `Memory of the gateway over ${result.requests.toLocaleString('en-US')} faulty requests`,
    subtitle: `One data thread; ${result.restarts} engine restarts, ${result.violations} violations of an invariant`,
    x: { label: 'requests so far' },
    y: { label: 'MiB' },
    series: [
      { name: 'resident memory', points: resident },
      { name: 'heap of the data thread', points: heap },
    ],
  }),
)
console.log(endingTable(result))
for (const violation of result.firstViolations) console.log(`\n${violationText(violation, seed)}`)
console.log(`\n${summaryOf(seed, result)}`)
console.log(
  `slope over the last two thirds: ${figures.residentMiBPerMillionRequests} MiB resident and ` +
    `${figures.heapMiBPerMillionRequests} MiB heap per million requests`,
)
process.exitCode = result.violations > 0 ? 1 : 0
endWithoutCleanup()
