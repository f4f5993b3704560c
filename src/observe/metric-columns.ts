import { otherLabel } from './catalog.ts'
import type { LabelsOf, MetricDefinition } from './metric-definition.ts'
import { Counter, Gauge, Histogram } from './metric-handles.ts'

/** Says where the values of a new series lie. Plain data: it may cross threads. */
export interface SeriesAnnouncement {
  /** Name of the metric. */
  readonly metric: string
  /** Label values in the order of the definition's label names. */
  readonly labels: readonly string[]
  /** Index of the first cell in the buffer's Float64Array. */
  readonly offset: number
}

/** What `createMetricColumns` needs. */
export interface MetricColumnsPlan {
  /** Memory for the values, zeroed: `metricBufferBytes` is plenty. Written by one thread only, read by any. */
  readonly buffer: SharedArrayBuffer
  readonly definitions: readonly MetricDefinition[]
  /** Called once for each series, before its first value is written. */
  readonly onSeries: (series: SeriesAnnouncement) => void
  /** Most series of one metric in this thread; further ones share the series whose labels are all `other`. */
  readonly maxSeriesPerMetric?: number
}

/**
 * The metrics of one thread: numbers in shared memory, read by the main thread at each scrape. Asking for a child costs
 * a look-up by string (about 0.2 us), so callers keep their children; updating one costs 2-10 ns.
 * Asking never fails: a series for which there is no room is the shared one whose labels are all `other`.
 */
export interface MetricColumns {
  counter<D extends MetricDefinition<'counter'>>(definition: D, labels: LabelsOf<D>): Counter
  gauge<D extends MetricDefinition<'gauge'>>(definition: D, labels: LabelsOf<D>): Gauge
  histogram<D extends MetricDefinition<'histogram'>>(definition: D, labels: LabelsOf<D>): Histogram
}

/** Room for some 8,000 histogram series per thread. Pages that are not used cost no memory. */
export const metricBufferBytes = 1 << 20

/** Index of the cell that counts the series for which there was no room. */
export const foldedCell = 0

const firstFreeCell = 1
const defaultMaxSeries = 2000

/** Cells that one series takes: a histogram has its sum, then one count per bucket and one for +Inf. */
export function cellsOf(definition: MetricDefinition): number {
  return definition.type === 'histogram' ? definition.buckets.length + 2 : 1
}

type Handle = Counter | Gauge | Histogram

/** What is known of one metric: its children by label values, and the shared series that is always there. */
interface Family {
  readonly definition: MetricDefinition
  readonly bounds: Float64Array
  readonly shared: number
  readonly children: Map<string, Handle>
}

class Columns implements MetricColumns {
  readonly #cells: Float64Array
  readonly #families = new Map<string, Family>()
  readonly #onSeries: (series: SeriesAnnouncement) => void
  readonly #maxSeries: number
  #nextCell = firstFreeCell

  constructor(plan: MetricColumnsPlan) {
    this.#cells = new Float64Array(plan.buffer)
    this.#onSeries = plan.onSeries
    this.#maxSeries = plan.maxSeriesPerMetric ?? defaultMaxSeries
    for (const definition of plan.definitions) {
      const bounds = Float64Array.from(definition.buckets)
      this.#families.set(definition.name, { definition, bounds, shared: this.#nextCell, children: new Map() })
      this.#nextCell += cellsOf(definition)
    }
    if (this.#nextCell > this.#cells.length) throw new RangeError(`metrics need ${this.#nextCell * 8} bytes at least`)
  }

  counter(definition: MetricDefinition, labels: Readonly<Record<string, string>>): Counter {
    return this.#child(definition, labels) as Counter
  }

  gauge(definition: MetricDefinition, labels: Readonly<Record<string, string>>): Gauge {
    return this.#child(definition, labels) as Gauge
  }

  histogram(definition: MetricDefinition, labels: Readonly<Record<string, string>>): Histogram {
    return this.#child(definition, labels) as Histogram
  }

  #child(definition: MetricDefinition, labels: Readonly<Record<string, string>>): Handle {
    const family = this.#families.get(definition.name)
    if (family === undefined) throw new RangeError(`${definition.name} is not among the definitions of these columns`)
    const values = definition.labels.map((label) => labels[label] ?? '')
    const key = values.join('\0')
    return family.children.get(key) ?? this.#addChild(family, values, key)
  }

  /** A metric without labels lives in its shared cells; one with labels gets cells of its own while there are some. */
  #addChild(family: Family, values: readonly string[], key: string): Handle {
    const needed = cellsOf(family.definition)
    const isShared = values.every((value) => value === otherLabel)
    if (isShared) return this.#announce(family, values, key, family.shared)
    if (family.children.size >= this.#maxSeries || this.#nextCell + needed > this.#cells.length) {
      this.#cells[foldedCell] = (this.#cells[foldedCell] ?? 0) + 1
      const shared = values.map(() => otherLabel)
      return family.children.get(shared.join('\0')) ?? this.#addChild(family, shared, shared.join('\0'))
    }
    const offset = this.#nextCell
    this.#nextCell += needed
    return this.#announce(family, values, key, offset)
  }

  #announce(family: Family, labels: readonly string[], key: string, offset: number): Handle {
    const handle = handleOf(this.#cells, family, offset)
    family.children.set(key, handle)
    this.#onSeries({ metric: family.definition.name, labels, offset })
    return handle
  }
}

function handleOf(cells: Float64Array, { definition, bounds }: Family, offset: number): Handle {
  if (definition.type === 'counter') return new Counter(cells, offset)
  if (definition.type === 'gauge') return new Gauge(cells, offset)
  return new Histogram(cells, offset, bounds)
}

/** Creates the columns of one thread. Throws RangeError when the buffer is too small for one series of each metric. */
export function createMetricColumns(plan: MetricColumnsPlan): MetricColumns {
  return new Columns(plan)
}
