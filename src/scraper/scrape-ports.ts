import type { EndpointPlan } from '#config/snapshot.ts'
import type { Clock, Rng } from '#core/clock.ts'
import type { EndpointTable } from '#datastore/endpoint-table.ts'
import type { CreateGetClient, GetFailure } from './get-port.ts'

/** Why a scrape gave nothing; few values, so that it may be the label of a metric. */
export type ScrapeFailure = GetFailure | 'status' | 'no-metrics'

/** Is told of every scrape; for metrics and the log. Called on the scraper's thread, and must not throw. */
export interface ScrapeObserver {
  /** A page was read: how long it took and its size. Once per page, with the first of the endpoints that share it. */
  scraped(endpoint: EndpointPlan, durationMs: number, bytes: number): void
  failed(endpoint: EndpointPlan, reason: ScrapeFailure): void
  /** The health column has changed to 0 unknown, 1 ready, 2 unready. */
  healthChanged(endpoint: EndpointPlan, health: number, reason: string): void
  /**
   * The engine has been started anew, or was away and does not tell that it has not: its caches are empty. Also once when
   * it is first found ready.
   */
  restarted(endpoint: EndpointPlan): void
}

/** What the scraper works with. */
export interface ScraperPorts {
  readonly table: EndpointTable
  readonly clock: Clock
  readonly rng: Rng
  readonly createGetClient: CreateGetClient
  /** Id of an adapter name, the same on all threads; negative when there is none left. */
  readonly adapterId: (name: string) => number
  readonly observer: ScrapeObserver
}

/** State of one endpoint's scrape, for the status page. */
export interface ScrapeStatus {
  readonly endpointId: string
  readonly modelServer: string
  /** Since the last good page; undefined before the first. */
  readonly ageMs: number | undefined
  /** Whether the last attempt, of the page or else of the health path, was good. */
  readonly ok: boolean
  /** What the last attempt failed of. */
  readonly error: string | undefined
  /** Failed scrapes since the endpoint was added. */
  readonly failures: number
  /** Size of the last page. */
  readonly pageBytes: number
  /** Whether the page is asked for with the wanted names only. */
  readonly narrowed: boolean
  /** How long the last good scrape took. */
  readonly durationMs: number | undefined
  /** Adapters in use or loaded, as the engine says. */
  readonly adapters: readonly string[]
  /** Longest prompt plus output in tokens, as the engine says. */
  readonly maxModelLen: number | undefined
}
