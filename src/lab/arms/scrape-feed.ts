import type { EndpointPlan } from '#config/snapshot.ts'
import type { Clock } from '#core/clock.ts'
import { health } from '#core/endpoint.ts'
import type { EndpointTable } from '#datastore/endpoint-table.ts'
import type { FleetView } from '#lab/virtual-fleet.ts'
import { LoadWriter } from '#scraper/load-writer.ts'

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
  readonly fleet: FleetView
  readonly timing: ScrapeTiming
  /** Gives the id of an adapter's name. */
  readonly adapterId: (name: string) => number
}

const adapterPrefix = 'adapter-'

/** The number of an adapter, which requests ask for, from the name that pages have. */
export function adapterOf(name: string): number {
  return Number(name.slice(adapterPrefix.length))
}

/** Scrapes simulated engines into an endpoint table for as long as the clock runs, as late and as seldom as pages are read. */
export function startScrapeFeed(ports: ScrapeFeedPorts): void {
  const { table, clock, endpoints, fleet, timing } = ports
  endpoints.forEach((endpoint, index) => {
    if (fleet.engines[endpoint.slot] === undefined) throw new RangeError(`there is no engine ${endpoint.slot}`)
    const writer = new LoadWriter(table, endpoint, ports.adapterId)
    writeListing(writer, ports)
    clock.after(timing.intervalMs * ((index * goldenRatio) % 1), () => scrape(writer, ports))
  })
}

/** An endpoint that is no longer listed is not ready, whatever its page says. */
function writeListing(writer: LoadWriter, { fleet, clock }: ScrapeFeedPorts): void {
  const value = fleet.isListed(writer.endpoint.slot) ? health.ready : health.unready
  if (writer.health !== value) writer.writeHealth(value, clock.nowMs())
}

function scrape(writer: LoadWriter, ports: ScrapeFeedPorts): void {
  const { clock, timing, fleet } = ports
  clock.after(timing.intervalMs, () => scrape(writer, ports))
  writeListing(writer, ports)
  const { outage } = timing
  const nowMs = clock.nowMs()
  if (outage !== undefined && nowMs >= outage.fromMs && nowMs < outage.untilMs) return decayOld(writer, ports)
  writer.begin()
  const { slot } = writer.endpoint
  clock.after(timing.delayMs / 2, () => {
    const page = fleet.pageOf(slot, clock.nowMs())
    const settings = fleet.engines[slot]?.settings
    if (page === undefined || settings === undefined) return decayOld(writer, ports)
    const hasAdapters = settings.maxAdapters > 1
    const reading = {
      running: page.running,
      waiting: page.waiting,
      kvUse: page.kvUse,
      blockSize: settings.blockSize,
      blockCount: settings.kvBlocks,
      maxAdapters: hasAdapters ? settings.maxAdapters : Number.NaN,
      adapterCount: hasAdapters ? page.adapters.length : Number.NaN,
      adapters: hasAdapters ? page.adapters.map((adapter) => `${adapterPrefix}${adapter}`) : undefined,
    }
    clock.after(timing.delayMs / 2, () => writer.writeReading(reading, clock.nowMs()))
  })
}

function decayOld(writer: LoadWriter, { table, clock, timing }: ScrapeFeedPorts): void {
  const ageMs = clock.nowMs() - (table.reportedAtMs[writer.endpoint.slot] ?? 0)
  if (ageMs > timing.staleAfterMs) writer.decay()
}
