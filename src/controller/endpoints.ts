import { hostPort } from '#config/base-url.ts'
import type { ScrapeConfig } from '#config/schema/model-schema.ts'
import { defaultScrapeIntervalMs, scrapeDefaults } from '#config/scrape-defaults.ts'
import type { EndpointPlan, KvEventPlan, ScrapePlan } from '#config/snapshot.ts'
import type { EndpointRole, EngineName } from '#core/endpoint.ts'
import { complain, type Findings, type Spot } from './findings.ts'

/** One address, before ranks are told apart. */
export interface Address {
  readonly host: string
  readonly port: number
  readonly engine: EngineName
  readonly scrape: ScrapePlan | undefined
  readonly kvEvents?: KvEventPlan | undefined
  readonly rank: number | undefined
  readonly role: EndpointRole
  readonly labels: Readonly<Record<string, string>>
  readonly capacity?: number | undefined
}

/**
 * The endpoints of one address: one, or under data parallelism one per rank. Slots are given out later, by the
 * datastore: -1 and generation 0 until then.
 */
export function endpointsOf(address: Address, ranks: number): EndpointPlan[] {
  const id = hostPort(address.host, address.port)
  const plan = (rank: number | undefined): EndpointPlan => ({
    id: rank === undefined ? id : `${id}#${rank}`,
    slot: -1,
    generation: 0,
    ...address,
    rank,
  })
  if (ranks === 1) return [plan(address.rank)]
  return Array.from({ length: ranks }, (_, rank) => plan(rank))
}

/** What a configuration says of KV events, in either form. */
interface KvEventsConfig {
  readonly discover: boolean
  readonly port: number
  readonly replayPort?: number | undefined
}

/** The event plan of an address under what was configured. */
export function kvEventsOf(config: KvEventsConfig | undefined): Pick<Address, 'kvEvents'> {
  if (config === undefined) return {}
  const { discover, port, replayPort } = config
  return { kvEvents: { port, replayPort, ...(discover ? { discover } : {}) } }
}

/** The scrape plan of an engine under what was configured; `undefined` asks for the engine's usual page. */
export function scrapePlanOf(
  engine: EngineName,
  config: ScrapeConfig | undefined,
  spot: Spot,
  findings: Findings,
): ScrapePlan | undefined {
  if (config === false) return undefined
  const usual = scrapeDefaults[engine]
  if (config === undefined) return usual === undefined ? undefined : { ...usual, intervalMs: defaultScrapeIntervalMs }
  const path = config.path ?? usual?.path
  if (path === undefined) {
    const hint = "name the page with 'path', or write 'scrape: false'"
    complain(findings, spot, `engine '${engine}' has no metrics page of its own`, { hint })
    return undefined
  }
  return { path, port: config.port ?? usual?.port, intervalMs: config.interval }
}
