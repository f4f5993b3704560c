/**
 * Renders a benchmark result as Markdown tables.
 *
 *   scripts/run node bench/table.ts [bench/results/FILE.json]     without a file: the newest result
 */
import { stallMs } from './cases.ts'
import {
  type BenchResult,
  type CpuRow,
  type LatencyRow,
  latestResult,
  type MemoryRow,
  type ResultRow,
  readResult,
} from './result.ts'

/** All tables of a result, without a heading. */
export function renderResult(result: BenchResult): string {
  const cpu = result.rows.filter((row) => row.kind === 'cpu')
  const latency = result.rows.filter((row) => row.kind === 'latency')
  const memory = result.rows.filter((row) => row.kind === 'memory')
  const parts = [
    cpuTable(cpu),
    latencyTable(latency),
    longestTable(latency),
    memoryTable(memory),
    problemList(result.rows),
    conditions(result),
  ]
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

/** The tables of the newest committed result and where they come from; `toRoot` leads from the page to the repository. */
export function renderLatest(toRoot = ''): string {
  const { file, result } = latestResult()
  return `${renderResult(result)}\nFrom [${file}](${toRoot}${file}); \`npm run bench\` takes them again.\n`
}

function cpuTable(rows: readonly CpuRow[]): string {
  if (rows.length === 0) return ''
  const lines = rows.map((row) => {
    const ratio = row.nginxUs !== null && row.gatewayUs !== null ? row.gatewayUs / row.nginxUs : undefined
    return [
      name(row),
      row.nginxUs === null ? '-' : micros(row.nginxUs),
      row.gatewayUs === null ? '-' : micros(row.gatewayUs),
      ratio === undefined ? '-' : verdict(ratio, row.target, ratio.toFixed(2)),
      row.target.toFixed(1),
    ]
  })
  return markdownTable(['CPU µs per request', 'nginx', 'gateway', 'times nginx', 'target'], lines)
}

function latencyTable(rows: readonly LatencyRow[]): string {
  if (rows.length === 0) return ''
  const lines = rows.flatMap((row) => {
    const target = { p50: row.targetP50Ms, p99: row.targetP99Ms }
    const line = (quantile: 'p50' | 'p99'): string[] => {
      const key = quantile === 'p50' ? 'p50Ms' : 'p99Ms'
      const added = row.gateway[key] - row.direct[key]
      return [
        `${name(row)}, ${quantile}`,
        row.direct[key].toFixed(2),
        `+${(row.nginx[key] - row.direct[key]).toFixed(2)}`,
        verdict(added, target[quantile], `+${added.toFixed(2)}`),
        `+${target[quantile].toFixed(1)}`,
      ]
    }
    return [line('p50'), line('p99')]
  })
  return markdownTable(['milliseconds', 'direct', 'nginx adds', 'gateway adds', 'target'], lines)
}

function longestTable(rows: readonly LatencyRow[]): string {
  if (rows.length === 0) return ''
  const lines = rows.map((row) => [
    invalidMark(row) + (row.what === 'first token' ? 'pause in a stream paced at 5 ms' : 'answer, small JSON'),
    row.direct.longestMs.toFixed(1),
    row.nginx.longestMs.toFixed(1),
    verdict(row.gateway.longestMs, stallMs, row.gateway.longestMs.toFixed(1)),
    `below ${stallMs}`,
  ])
  return markdownTable(['longest, milliseconds', 'direct', 'nginx', 'gateway', 'target'], lines)
}

function memoryTable(rows: readonly MemoryRow[]): string {
  if (rows.length === 0) return ''
  const lines = rows.flatMap((row) =>
    (['nginx', 'gateway'] as const).map((target) => {
      const { beforeMiB, withStreamsMiB, perStreamKiB } = row[target]
      return [
        `${invalidMark(row)}${target}`,
        `${beforeMiB.toFixed(1)} MiB`,
        `${withStreamsMiB.toFixed(1)} MiB`,
        `${perStreamKiB.toFixed(1)} KiB`,
      ]
    }),
  )
  const streams = rows[0]?.streams.toLocaleString('en') ?? ''
  return markdownTable(['resident memory', 'without streams', `with ${streams} open streams`, 'per stream'], lines)
}

function problemList(rows: readonly ResultRow[]): string {
  return rows.flatMap((row) => row.problems.map((problem) => `* Invalid: ${row.title}: ${problem}`)).join('\n')
}

function conditions({ date, environment, rounds, seconds }: BenchResult): string {
  const { node, nginx, kernel, architecture, cores, realtime, raisedPriority } = environment
  const notes = [
    raisedPriority ? 'raised priority' : 'normal priority',
    realtime ? 'latencies under SCHED_FIFO' : 'latencies under normal scheduling',
  ]
  return (
    `${date}: Node ${node.replace(/^v/, '')}, nginx ${nginx}, Linux ${kernel} on ${architecture}, ${cores} cores; ` +
    `least of ${rounds} rounds of ${seconds} s, nginx and gateway in turn; ${notes.join(', ')}.`
  )
}

function name(row: ResultRow): string {
  return invalidMark(row) + row.title
}

function invalidMark(row: ResultRow): string {
  return row.problems.length > 0 ? '(invalid) ' : ''
}

/** Bold when the target is missed: what is not reached should be what the eye finds. */
function verdict(value: number, target: number, text: string): string {
  return value <= target ? text : `**${text}**`
}

function micros(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(1)
}

/** A Markdown table with aligned columns; all but the first are numbers, to the right. */
export function markdownTable(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...lines.map((line) => line[column]?.length ?? 0)))
  const row = (cells: readonly string[]): string =>
    `| ${cells.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join(' | ')} |`
  const rule = widths.map((width, at) => (at === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  return [row(head), `| ${rule.join(' | ')} |`, ...lines.map(row)].join('\n')
}

if (import.meta.main) {
  const [path] = process.argv.slice(2)
  process.stdout.write(path === undefined ? renderLatest() : renderResult(readResult(path)))
}
