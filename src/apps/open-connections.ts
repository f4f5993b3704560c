import { metrics } from '#observe/catalog.ts'
import type { SeriesAnnouncement } from '#observe/metric-columns.ts'

/** Open connections per listener, read from where the data thread counts them. */
export class OpenConnections {
  #cells: Float64Array = new Float64Array(0)
  readonly #offsets = new Map<string, number>()

  /** The memory of the data thread's metrics. */
  addThread(buffer: SharedArrayBuffer): void {
    this.#cells = new Float64Array(buffer)
    this.#offsets.clear()
  }

  /** Notes where a listener's connections are counted; other series are ignored. */
  note(series: SeriesAnnouncement): void {
    const [listener] = series.labels
    if (series.metric === metrics.connectionsOpen.name && listener !== undefined)
      this.#offsets.set(listener, series.offset)
  }

  /** Connections now open on a listener. */
  of(listener: string): number {
    const offset = this.#offsets.get(listener)
    return offset === undefined ? 0 : (this.#cells[offset] ?? 0)
  }

  /** Connections now open on all listeners. */
  total(): number {
    let total = 0
    for (const listener of this.#offsets.keys()) total += this.of(listener)
    return total
  }
}
