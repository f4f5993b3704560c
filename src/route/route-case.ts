import type { RoutePlan, RulePlan, Snapshot } from '#config/snapshot.ts'

/** A rule to one model server with all conditions absent, but for what is given; for tests. */
export function rulePlan(target: string, given: Partial<RulePlan> = {}): RulePlan {
  return {
    name: undefined,
    headers: [],
    path: undefined,
    model: undefined,
    targets: [{ modelServer: target, weight: 100 }],
    ...given,
  }
}

/** A route that is attached to no Gateway; for tests. */
export function routePlan(name: string, given: Partial<RoutePlan>): RoutePlan {
  return { name, modelName: undefined, adapters: [], attached: false, rules: [], ...given }
}

/** The part of a snapshot that routes are compiled from, model servers given as key -> served model; for tests. */
export function routingPlan(
  routes: readonly RoutePlan[],
  served: Readonly<Record<string, string | undefined>>,
): Pick<Snapshot, 'routes' | 'modelServers'> {
  const modelServers = Object.entries(served).map(([key, servedModel]) => ({ key, servedModel }))
  return { routes, modelServers: modelServers as unknown as Snapshot['modelServers'] }
}
