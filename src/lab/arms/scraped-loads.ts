import type { Clock } from '#core/clock.ts'
import type { FleetView } from '#lab/virtual-fleet.ts'

/** What metrics pages said last, for arms that are not this gateway. Idle until a page was read. */
export class ScrapedLoads {
  readonly running: Float64Array
  readonly waiting: Float64Array
  readonly kvUse: Float64Array

  constructor(size: number) {
    this.running = new Float64Array(size)
    this.waiting = new Float64Array(size)
    this.kvUse = new Float64Array(size)
  }

  /** Reads the pages of all engines at this interval for as long as the clock runs; what no longer answers stays as it was. */
  start(fleet: FleetView, clock: Clock, intervalMs: number): void {
    clock.after(intervalMs, () => {
      for (let i = 0; i < this.waiting.length; i++) {
        const page = fleet.pageOf(i, clock.nowMs())
        if (page === undefined) continue
        this.running[i] = page.running
        this.waiting[i] = page.waiting
        this.kvUse[i] = page.kvUse
      }
      this.start(fleet, clock, intervalMs)
    })
  }
}
