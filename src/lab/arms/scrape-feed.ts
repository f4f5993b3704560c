import type { EndpointPlan } from '#config/snapshot.ts'
import type { Clock } from '#core/clock.ts'
import { health } from '#core/endpoint.ts'
import type { EndpointTable } from '#datastore/endpoint-table.ts'
import { LoadWriter } from '#scraper/load-writer.ts'
import type { EngineModel } from '#sim/model/engine-model.ts'

/** How metrics pages reach the table. */
export interface ScrapeTiming {
  readonly intervalMs: number
  /** From asking for a page to having read it; the engine writes it half way. */
  readonly delayMs: number
  /** Age at which what a page said is forgotten. */
  readonly staleAfterMs: number
  /** A time in which pages are not answered. */
  readonly outage?: { readonly fromMs: number; readonly untilMs: number }
}

/** The gateway's defaults (config/scrape-defaults.ts, scraper/scrape-source.ts), with a page that takes 5 ms. */
export const defaultScrapeTiming: ScrapeTiming = { intervalMs: 200, delayMs: 5, staleAfterMs: 2_000 }

/** Multiples of the golden ratio, modulo one, stay evenly spread however many there are. */
const goldenRatio = 0.618_033_988_749_895

/** Where a feed reads and writes. */
export interface ScrapeFeedPorts {
  readonly table: EndpointTable
  readonly clock: Clock
  readonly endpoints: readonly EndpointPlan[]
  readonly engines: readonly EngineModel[]
  readonly timing: ScrapeTiming
}

/** Scrapes simulated engines into an endpoint table for as long as the clock runs, as late and as seldom as pages are read. */
export function startScrapeFeed(ports: ScrapeFeedPorts): void {
  const { table, clock, endpoints, engines, timing } = ports
  endpoints.forEach((endpoint, index) => {
    const engine = engines[index]
    if (engine === undefined) throw new RangeError(`there is no engine ${index}`)
    const writer = new LoadWriter(table, endpoint, () => -1)
    writer.writeHealth(health.ready, clock.nowMs())
    clock.after(timing.intervalMs * ((index * goldenRatio) % 1), () => scrape(writer, engine, ports))
  })
}

function scrape(writer: LoadWriter, engine: EngineModel, ports: ScrapeFeedPorts): void {
  const { clock, timing } = ports
  clock.after(timing.intervalMs, () => scrape(writer, engine, ports))
  const { outage } = timing
  const nowMs = clock.nowMs()
  if (outage !== undefined && nowMs >= outage.fromMs && nowMs < outage.untilMs) return decayOld(writer, ports)
  writer.begin()
  clock.after(timing.delayMs / 2, () => {
    engine.advance(clock.nowMs())
    const reading = {
      running: engine.runningCount,
      waiting: engine.waitingCount,
      kvUse: engine.kvUse,
      blockSize: engine.settings.blockSize,
      blockCount: engine.settings.kvBlocks,
      maxAdapters: Number.NaN,
      adapterCount: Number.NaN,
      adapters: undefined,
    }
    clock.after(timing.delayMs / 2, () => writer.writeReading(reading, clock.nowMs()))
  })
}

function decayOld(writer: LoadWriter, { table, clock, timing }: ScrapeFeedPorts): void {
  const ageMs = clock.nowMs() - (table.reportedAtMs[writer.endpoint.slot] ?? 0)
  if (ageMs > timing.staleAfterMs) writer.decay()
}
