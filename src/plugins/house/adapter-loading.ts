import type { LoadColumns } from '#contracts/load.ts'

/**
 * Where adapters are being loaded because of requests of this thread: from the first request that went to an endpoint without
 * the adapter until an answer comes from there.
 */
export class AdapterLoading {
  /** Endpoints by adapter; as many entries as such requests are in flight, at most. */
  readonly #counts = new Map<number, number>()
  #loads: Pick<LoadColumns, 'hasAdapter'> | undefined = undefined

  /** What is known of the endpoints, at the decision under way. */
  seen(loads: Pick<LoadColumns, 'hasAdapter'>): void {
    this.#loads = loads
  }

  /** How many endpoints are loading an adapter. */
  count(adapter: number): number {
    return this.#counts.get(adapter) ?? 0
  }

  /**
   * A request goes to `slot`: when that makes the engine load an adapter, returns what is to be called when it has done so, or
   * given up.
   */
  placed(adapter: number, slot: number): (() => void) | undefined {
    if (adapter < 0 || this.#loads === undefined || this.#loads.hasAdapter(slot, adapter)) return undefined
    this.#counts.set(adapter, this.count(adapter) + 1)
    let isLoading = true
    return () => {
      if (!isLoading) return
      isLoading = false
      const left = this.count(adapter) - 1
      if (left > 0) this.#counts.set(adapter, left)
      else this.#counts.delete(adapter)
    }
  }
}
