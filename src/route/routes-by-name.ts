import type { RoutePlan } from '#config/snapshot.ts'

/** The routes that own a name, in order of precedence. */
export interface NamedRoutes {
  readonly routes: readonly RoutePlan[]
  /** Whether they own it as an adapter. */
  readonly isAdapter: boolean
}

/**
 * Who owns which value of the body's `model` (kthena-router.md 2.3, step 1): the routes with this base name, oldest
 * first; only when there is none, those that list it as an adapter. Routes attached to a Gateway take no part.
 */
export function routesByName(routes: readonly RoutePlan[]): ReadonlyMap<string, NamedRoutes> {
  const plain = routes.filter(({ attached }) => !attached)
  const owners = new Map<string, { readonly routes: RoutePlan[]; readonly isAdapter: boolean }>()
  for (const route of plain) {
    if (route.modelName === undefined) continue
    const known = owners.get(route.modelName)
    if (known === undefined) owners.set(route.modelName, { routes: [route], isAdapter: false })
    else known.routes.push(route)
  }
  for (const route of plain) {
    for (const adapter of new Set(route.adapters)) {
      const known = owners.get(adapter)
      if (known === undefined) owners.set(adapter, { routes: [route], isAdapter: true })
      else if (known.isAdapter) known.routes.push(route)
    }
  }
  return owners
}
