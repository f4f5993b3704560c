import type { EngineModel } from '#sim/model/engine-model.ts'
import type { Arrival, EnginePage, FleetView } from './virtual-fleet.ts'

/** A fleet as one gateway sees it: only the requests it has placed itself are in flight. */
export class GatewayView implements FleetView {
  readonly inFlight: Int32Array
  readonly #fleet: FleetView

  constructor(fleet: FleetView) {
    this.#fleet = fleet
    this.inFlight = new Int32Array(fleet.engines.length)
  }

  /** One request more (1) or less (-1) of this gateway is at an engine. */
  count(index: number, by: 1 | -1): void {
    this.inFlight[index] = (this.inFlight[index] ?? 0) + by
  }

  get engines(): readonly EngineModel[] {
    return this.#fleet.engines
  }

  get nowMs(): number {
    return this.#fleet.nowMs
  }

  mayPlace(index: number, arrival: Arrival): boolean {
    return this.#fleet.mayPlace(index, arrival)
  }

  mayDecode(index: number, arrival: Arrival): boolean {
    return this.#fleet.mayDecode(index, arrival)
  }

  isListed(index: number): boolean {
    return this.#fleet.isListed(index)
  }

  pageOf(index: number, nowMs: number): EnginePage | undefined {
    return this.#fleet.pageOf(index, nowMs)
  }

  announcedBlocks(index: number, hashes: Float64Array, most: number): number {
    return this.#fleet.announcedBlocks(index, hashes, most)
  }
}
