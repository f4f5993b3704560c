import { collectDefaultMetrics, type Metric, Registry } from 'prom-client'
import { allMetrics, metrics } from './catalog.ts'
import { cellsOf, foldedCell, type SeriesAnnouncement } from './metric-columns.ts'
import type { MetricDefinition, Sample } from './metric-definition.ts'

/** A page as Prometheus reads it. */
export interface MetricsPage {
  readonly contentType: string
  readonly body: string
}

/** Name of a thread: its label value and its key here. */
export type ThreadName = string

/** All metrics of the process, in its main thread. */
export interface MetricsRegistry {
  /** Begins to read the columns of a thread. A thread that comes back under the same name gets a new buffer. */
  addThread(thread: ThreadName, buffer: SharedArrayBuffer): void
  /** Notes a series that a thread announced; one of a metric or thread unknown here is ignored. */
  series(thread: ThreadName, announcement: SeriesAnnouncement): void
  /** Stops reading a thread. What it counted stays in the sums, its gauges go. */
  removeThread(thread: ThreadName): void
  /** Adds a source of values that are read at each scrape. A source that throws is left out of that page. */
  addCollector(collect: () => readonly Sample[]): void
  /** The page. Costs about 2 us per line. */
  render(): Promise<MetricsPage>
}

/** What `createMetricsRegistry` may be told. */
export interface MetricsRegistryOptions {
  readonly definitions?: readonly MetricDefinition[]
  /** Whether prom-client's process metrics are on the page (memory, CPU, file descriptors, garbage collection). */
  readonly processMetrics?: boolean
}

/** A line of a metric as prom-client wants it. */
interface Line {
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
  readonly metricName?: string
  /** Labels that many lines share, by identity: prom-client formats them once. */
  readonly sharedLabels?: Readonly<Record<string, string>>
}

/** One series, merged over threads. */
interface MergedSeries {
  readonly labels: Readonly<Record<string, string>>
  /** What threads that are gone have counted. */
  readonly past: Float64Array
  readonly parts: Map<ThreadName, { readonly cells: Float64Array; readonly offset: number }>
}

interface MergedMetric {
  readonly definition: MetricDefinition
  readonly series: Map<string, MergedSeries>
  /** Values collected for the page in the making. */
  collected: Sample[]
}

class MergedRegistry implements MetricsRegistry {
  readonly #metrics = new Map<string, MergedMetric>()
  readonly #threads = new Map<ThreadName, Float64Array>()
  readonly #collectors: (() => readonly Sample[])[] = []
  readonly #registry = new Registry()
  #pastFolded = 0

  constructor(options: MetricsRegistryOptions) {
    for (const definition of options.definitions ?? allMetrics) this.#addMetric(definition)
    if (options.processMetrics === true) collectDefaultMetrics({ register: this.#registry })
  }

  addThread(thread: ThreadName, buffer: SharedArrayBuffer): void {
    this.removeThread(thread)
    this.#threads.set(thread, new Float64Array(buffer))
  }

  series(thread: ThreadName, { metric, labels, offset }: SeriesAnnouncement): void {
    const merged = this.#metrics.get(metric)
    const cells = this.#threads.get(thread)
    if (merged === undefined || cells === undefined) return
    const key = labels.join('\0')
    let series = merged.series.get(key)
    if (series === undefined) {
      const names = merged.definition.labels
      const named = Object.fromEntries(names.map((name, at) => [name, labels[at] ?? '']))
      series = { labels: named, past: new Float64Array(cellsOf(merged.definition)), parts: new Map() }
      merged.series.set(key, series)
    }
    series.parts.set(thread, { cells, offset })
  }

  removeThread(thread: ThreadName): void {
    for (const { definition, series } of this.#metrics.values()) {
      for (const [key, { past, parts }] of series) {
        const part = parts.get(thread)
        if (part === undefined) continue
        parts.delete(thread)
        if (definition.type !== 'gauge') addCells(past, part.cells, part.offset)
        else if (parts.size === 0) series.delete(key)
      }
    }
    this.#pastFolded += this.#threads.get(thread)?.[foldedCell] ?? 0
    this.#threads.delete(thread)
  }

  addCollector(collect: () => readonly Sample[]): void {
    this.#collectors.push(collect)
  }

  async render(): Promise<MetricsPage> {
    this.#collect()
    const text = await this.#registry.metrics()
    // prom-client writes `Nan`, which Go's parser takes but the format does not name.
    const body = text.replace(/^([^#\n].*) Nan$/gm, '$1 NaN')
    return { contentType: this.#registry.contentType, body }
  }

  #addMetric(definition: MetricDefinition): void {
    const merged: MergedMetric = { definition, series: new Map(), collected: [] }
    this.#metrics.set(definition.name, merged)
    const { name, help, type } = definition
    const source = { name, help, type, get: () => ({ name, help, type, values: linesOf(merged) }) }
    // The registry asks of a metric no more than its name and what `get` returns.
    this.#registry.registerMetric(source as unknown as Metric)
  }

  #collect(): void {
    for (const merged of this.#metrics.values()) merged.collected = []
    for (const collect of this.#collectors) for (const sample of samplesOf(collect)) this.#place(sample)
    let folded = this.#pastFolded
    for (const cells of this.#threads.values()) folded += cells[foldedCell] ?? 0
    this.#place({ metric: metrics.seriesFolded, labels: {}, value: folded })
    this.#place({ metric: metrics.threads, labels: {}, value: this.#threads.size })
  }

  #place(sample: Sample): void {
    if (!Number.isNaN(sample.value)) this.#metrics.get(sample.metric.name)?.collected.push(sample)
  }
}

/** A page without the values of one source is worth more than no page. */
function samplesOf(collect: () => readonly Sample[]): readonly Sample[] {
  try {
    return collect()
  } catch {
    return []
  }
}

function addCells(sums: Float64Array, cells: Float64Array, offset: number): void {
  for (let i = 0; i < sums.length; i++) sums[i] = (sums[i] as number) + (cells[offset + i] as number)
}

function linesOf({ definition, series, collected }: MergedMetric): Line[] {
  const lines: Line[] = []
  for (const { labels, past, parts } of series.values()) {
    const sums = past.slice()
    for (const { cells, offset } of parts.values()) addCells(sums, cells, offset)
    if (definition.type === 'histogram') addHistogramLines(lines, definition, labels, sums)
    else lines.push({ labels: {}, sharedLabels: labels, value: sums[0] as number })
  }
  for (const { labels, value } of collected) lines.push({ labels, value })
  return lines
}

function addHistogramLines(
  lines: Line[],
  { name, buckets }: MetricDefinition,
  labels: Readonly<Record<string, string>>,
  sums: Float64Array,
): void {
  const metricName = `${name}_bucket`
  let count = 0
  for (let i = 0; i <= buckets.length; i++) {
    count += sums[i + 1] as number
    lines.push({ labels: { le: buckets[i] ?? '+Inf' }, sharedLabels: labels, value: count, metricName })
  }
  lines.push({ labels: {}, sharedLabels: labels, value: sums[0] as number, metricName: `${name}_sum` })
  lines.push({ labels: {}, sharedLabels: labels, value: count, metricName: `${name}_count` })
}

/** Creates the registry. */
export function createMetricsRegistry(options: MetricsRegistryOptions = {}): MetricsRegistry {
  return new MergedRegistry(options)
}
