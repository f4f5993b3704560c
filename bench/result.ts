/** A benchmark result as it is committed: no host names and no paths, so that it can be read anywhere. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Who answers: nginx and the gateway in front of the backend, or the backend itself. */
export type Target = 'direct' | 'nginx' | 'gateway'

interface RowBase {
  readonly case: string
  readonly title: string
  /** What makes the row invalid: failed requests, missing frames, a log that was not written. */
  readonly problems: readonly string[]
}

export interface CpuRow extends RowBase {
  readonly kind: 'cpu'
  /** Microseconds of CPU per request, least of the rounds; null when no round is valid. */
  readonly nginxUs: number | null
  readonly gatewayUs: number | null
  /** Times nginx. */
  readonly target: number
  readonly rounds: { readonly nginx: readonly number[]; readonly gateway: readonly number[] }
}

/** Milliseconds. */
export interface Latency {
  readonly p50Ms: number
  readonly p99Ms: number
  /** Longest answer, or of streams the longest pause between two frames. */
  readonly longestMs: number
}

export interface LatencyRow extends RowBase {
  readonly kind: 'latency'
  readonly what: 'last byte' | 'first token'
  /** Least of the rounds, each figure by itself. */
  readonly direct: Latency
  readonly nginx: Latency
  readonly gateway: Latency
  /** What the gateway may add. */
  readonly targetP50Ms: number
  readonly targetP99Ms: number
}

/** Resident memory in MiB. */
export interface Memory {
  readonly beforeMiB: number
  readonly withStreamsMiB: number
  readonly perStreamKiB: number
}

export interface MemoryRow extends RowBase {
  readonly kind: 'memory'
  readonly streams: number
  readonly nginx: Memory
  readonly gateway: Memory
}

export type ResultRow = CpuRow | LatencyRow | MemoryRow

export interface Environment {
  readonly node: string
  readonly nginx: string
  readonly kernel: string
  readonly architecture: string
  readonly cores: number
  /** Whether latencies were taken under SCHED_FIFO. */
  readonly realtime: boolean
  /** Whether the processes ran at a raised priority. */
  readonly raisedPriority: boolean
}

export interface BenchResult {
  /** Day of the run, YYYY-MM-DD. */
  readonly date: string
  readonly environment: Environment
  readonly rounds: number
  /** Length of one sample. */
  readonly seconds: number
  readonly rows: readonly ResultRow[]
}

const folder = new URL('./results/', import.meta.url)

/** Writes `results/DATE-NAME.json`; its path relative to the repository. */
export function saveResult(result: BenchResult, name: string): string {
  const file = `${result.date}-${name}.json`
  mkdirSync(folder, { recursive: true })
  writeFileSync(new URL(file, folder), `${JSON.stringify(result, null, 2)}\n`)
  return `bench/results/${file}`
}

/** The newest committed result by its date and name; throws when there is none. */
export function latestResult(): { readonly file: string; readonly result: BenchResult } {
  const file = readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .toSorted()
    .at(-1)
  if (file === undefined) throw new Error('bench/results has no result: npm run bench writes one')
  return { file: `bench/results/${file}`, result: readResult(fileURLToPath(new URL(file, folder))) }
}

export function readResult(path: string): BenchResult {
  return JSON.parse(readFileSync(path, 'utf8')) as BenchResult
}
