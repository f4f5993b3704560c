import { metrics } from '#observe/catalog.ts'
import type { SeriesAnnouncement } from '#observe/metric-columns.ts'

interface ThreadCells {
  readonly cells: Float64Array
  /** Where the connections of each listener are counted. */
  readonly offsets: Map<string, number>
}

/** Open connections per listener and thread, read from where the data threads count them. */
export class OpenConnections {
  readonly #threads = new Map<string, ThreadCells>()

  /** The memory of a thread's metrics; a thread that comes back under its name has new memory. */
  addThread(thread: string, buffer: SharedArrayBuffer): void {
    this.#threads.set(thread, { cells: new Float64Array(buffer), offsets: new Map() })
  }

  /** The connections of a thread that is gone are gone. */
  removeThread(thread: string): void {
    this.#threads.delete(thread)
  }

  /** Notes where a listener's connections are counted; other series are ignored. */
  note(thread: string, { metric, labels, offset }: SeriesAnnouncement): void {
    const [listener] = labels
    if (metric === metrics.connectionsOpen.name && listener !== undefined)
      this.#threads.get(thread)?.offsets.set(listener, offset)
  }

  /** Connections now open on a listener, all threads together. */
  ofListener(listener: string): number {
    let open = 0
    for (const { cells, offsets } of this.#threads.values()) {
      const offset = offsets.get(listener)
      if (offset !== undefined) open += cells[offset] ?? 0
    }
    return open
  }

  /** Connections now open in a thread, all listeners together. */
  ofThread(thread: string): number {
    const { cells, offsets } = this.#threads.get(thread) ?? { cells: new Float64Array(0), offsets: new Map() }
    let open = 0
    for (const offset of offsets.values()) open += cells[offset] ?? 0
    return open
  }
}
