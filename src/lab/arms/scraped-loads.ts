import type { Clock } from '#core/clock.ts'
import type { EngineModel } from '#sim/model/engine-model.ts'

/** What metrics pages said last, for arms that are not this gateway. Idle until a page was read. */
export class ScrapedLoads {
  readonly waiting: Float64Array
  readonly kvUse: Float64Array

  constructor(size: number) {
    this.waiting = new Float64Array(size)
    this.kvUse = new Float64Array(size)
  }

  /** Reads all engines at this interval for as long as the clock runs. */
  start(engines: readonly EngineModel[], clock: Clock, intervalMs: number): void {
    clock.after(intervalMs, () => {
      for (let i = 0; i < engines.length; i++) {
        const engine = engines[i]!
        engine.advance(clock.nowMs())
        this.waiting[i] = engine.waitingCount
        this.kvUse[i] = engine.kvUse
      }
      this.start(engines, clock, intervalMs)
    })
  }
}
