import type { EndpointPlan, ModelServerPlan, ScrapePlan, Snapshot } from '#config/snapshot.ts'
import type { EngineName } from '#core/endpoint.ts'
import type { GetTarget } from './get-port.ts'

/** One address that is asked for load and health: all ranks behind it share its pages. */
export interface SourcePlan {
  readonly modelServer: string
  readonly engine: EngineName
  /** Where the engine serves requests. */
  readonly main: GetTarget
  /** Put before the paths of health and models. */
  readonly basePath: string
  readonly page: PagePlan | undefined
}

/** Where the metrics page is. */
export interface PagePlan {
  /** Equal to `main` unless the page has a port of its own. */
  readonly target: GetTarget
  readonly path: string
  readonly intervalMs: number
}

/** A source and the endpoints it tells about. */
export interface PlannedSource {
  readonly plan: SourcePlan
  readonly endpoints: readonly EndpointPlan[]
}

/**
 * What has to be asked under a snapshot, by a key that changes with everything but the endpoints. Sources about which
 * nothing can be learned (`openai` without a scrape plan) are left out.
 */
export function sourcesOf(snapshot: Snapshot): Map<string, PlannedSource> {
  const sources = new Map<string, { readonly plan: SourcePlan; readonly endpoints: EndpointPlan[] }>()
  for (const server of snapshot.modelServers) {
    for (const endpoint of server.endpoints) {
      if (endpoint.engine === 'openai' && endpoint.scrape === undefined) continue
      const plan = sourcePlan(server, endpoint)
      const key = JSON.stringify(plan)
      const source = sources.get(key)
      if (source === undefined) sources.set(key, { plan, endpoints: [endpoint] })
      else source.endpoints.push(endpoint)
    }
  }
  return sources
}

function sourcePlan(server: ModelServerPlan, endpoint: EndpointPlan): SourcePlan {
  const main = { host: endpoint.host, port: endpoint.port, tls: server.tls, headers: server.setHeaders }
  return {
    modelServer: server.key,
    engine: endpoint.engine,
    main,
    basePath: server.basePath,
    page: endpoint.scrape === undefined ? undefined : pagePlan(endpoint.scrape, main),
  }
}

/** A port of its own is not the API: it speaks plain HTTP in every engine, and gets no credential. */
function pagePlan({ path, port, intervalMs }: ScrapePlan, main: GetTarget): PagePlan {
  const isOwn = port !== undefined && port !== main.port
  return { target: isOwn ? { host: main.host, port, tls: undefined, headers: [] } : main, path, intervalMs }
}
