import type { RoutePlan, Snapshot } from '#config/snapshot.ts'
import { routesByName } from './routes-by-name.ts'

/** A model name that clients can use. */
export interface ListedModel {
  readonly id: string
  /** The base model of an adapter, by the name that clients use for it; undefined for a base model or when unknown. */
  readonly parent: string | undefined
}

/** Whether some rule of the route can send a request for this name somewhere. */
function isReachable(route: RoutePlan, name: string): boolean {
  return route.rules.some(
    (rule) => (rule.model === undefined || rule.model === name) && rule.targets.some(({ weight }) => weight > 0),
  )
}

/**
 * Every model and adapter that a request can reach, each once, in order of code units. A name that is both is a base
 * model, as in routing. Headers and paths that rules ask for are not considered: some request satisfies them.
 */
export function listModels(snapshot: Pick<Snapshot, 'routes'>): ListedModel[] {
  const listed: ListedModel[] = []
  for (const [id, { routes, isAdapter }] of routesByName(snapshot.routes)) {
    const reachable = routes.filter((route) => isReachable(route, id))
    const [oldest] = reachable
    if (oldest !== undefined) listed.push({ id, parent: isAdapter ? oldest.modelName : undefined })
  }
  return listed.toSorted((a, b) => (a.id < b.id ? -1 : 1))
}
