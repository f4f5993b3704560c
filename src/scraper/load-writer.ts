import type { EndpointPlan } from '#config/snapshot.ts'
import { health } from '#core/endpoint.ts'
import { endpointReturned } from '#datastore/breaker.ts'
import { type EndpointTable, setAdapters } from '#datastore/endpoint-table.ts'
import type { LoadReading } from './load-reading.ts'

/** Value of the health column. */
export type Health = (typeof health)[keyof typeof health]

/** Writes what is learned of one endpoint into its row, as long as the row is still that endpoint's. */
export class LoadWriter {
  readonly endpoint: EndpointPlan
  readonly #table: EndpointTable
  readonly #adapterId: (name: string) => number
  #inUse: readonly string[] | undefined = undefined
  #loaded: readonly string[] | undefined = undefined
  #inFlightAtStart = 0

  /** `adapterId` gives the id of an adapter name, or a negative number when there is none left. */
  constructor(table: EndpointTable, endpoint: EndpointPlan, adapterId: (name: string) => number) {
    this.endpoint = endpoint
    this.#table = table
    this.#adapterId = adapterId
  }

  get health(): Health {
    return this.#isMine() ? (Atomics.load(this.#table.health, this.endpoint.slot) as Health) : 0
  }

  /** Adapters in use or loaded, as far as known. */
  get adapters(): readonly string[] {
    return [...new Set([...(this.#inUse ?? []), ...(this.#loaded ?? [])])]
  }

  /** A page is being asked for: notes how many requests are ours. */
  begin(): void {
    this.#inFlightAtStart = this.#inFlight()
  }

  /**
   * Writes what a page said. The engine counted some moment between `begin` and now, so the greater number of ours is
   * taken as the part of its numbers that is ours.
   */
  writeReading(reading: LoadReading, atMs: number): void {
    if (!this.#isMine()) return
    const table = this.#table
    const { slot } = this.endpoint
    table.inFlightAtReport[slot] = Math.max(this.#inFlightAtStart, this.#inFlight())
    table.running[slot] = reading.running
    table.waiting[slot] = reading.waiting
    table.kvUse[slot] = reading.kvUse
    table.blockSize[slot] = reading.blockSize
    table.blockCount[slot] = reading.blockCount
    table.maxAdapters[slot] = reading.maxAdapters
    table.adapterCount[slot] = Number.isNaN(reading.adapterCount) ? (this.#loaded?.length ?? NaN) : reading.adapterCount
    if (!sameNames(this.#inUse, reading.adapters)) {
      this.#inUse = reading.adapters
      this.#writeAdapters()
    }
    table.reportedAtMs[slot] = atMs
  }

  /** Takes the adapters an engine lists as loaded, idle ones included; undefined forgets them. */
  writeLoaded(adapters: readonly string[] | undefined): void {
    if (adapters === undefined && this.#loaded === undefined) return
    this.#loaded = adapters
    this.#writeAdapters()
  }

  /** An endpoint that was unready and is ready starts slowly, and an ejection gives way to a probe at once. */
  writeHealth(value: Health, nowMs: number): void {
    if (!this.#isMine()) return
    const { slot } = this.endpoint
    const before = Atomics.exchange(this.#table.health, slot, value)
    if (before === health.unready && value === health.ready) endpointReturned(this.#table, slot, nowMs)
  }

  /** What was reported is too old to act on: unknown, not idle. What an engine is configured with stays. */
  decay(): void {
    if (!this.#isMine()) return
    const table = this.#table
    const { slot } = this.endpoint
    table.running[slot] = Number.NaN
    table.waiting[slot] = Number.NaN
    table.kvUse[slot] = Number.NaN
    table.adapterCount[slot] = Number.NaN
    table.inFlightAtReport[slot] = Number.NaN
  }

  #writeAdapters(): void {
    if (!this.#isMine() || (this.#inUse === undefined && this.#loaded === undefined)) return
    setAdapters(this.#table, this.endpoint.slot, this.adapters.map(this.#adapterId))
  }

  #inFlight(): number {
    return Atomics.load(this.#table.inFlight, this.endpoint.slot)
  }

  #isMine(): boolean {
    return this.#table.generation[this.endpoint.slot] === this.endpoint.generation
  }
}

function sameNames(a: readonly string[] | undefined, b: readonly string[] | undefined): boolean {
  if (a === undefined || b === undefined || a.length !== b.length) return a === b
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
