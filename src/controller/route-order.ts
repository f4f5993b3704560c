import type { RoutePlan } from '#config/snapshot.ts'

/** A route with what decides its precedence. */
export interface AgedRoute {
  readonly route: RoutePlan
  /** Milliseconds since the epoch; undefined when the document has no creationTimestamp. */
  readonly createdMs: number | undefined
  readonly resourceVersion: string
  /** Position of its document. */
  readonly order: number
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function compare(a: AgedRoute, b: AgedRoute): number {
  if (a.createdMs === undefined || b.createdMs === undefined) {
    if (a.createdMs !== undefined) return -1
    if (b.createdMs !== undefined) return 1
    return a.order - b.order
  }
  return (
    a.createdMs - b.createdMs ||
    compareText(a.resourceVersion, b.resourceVersion) ||
    compareText(a.route.name, b.route.name)
  )
}

/**
 * Routes in order of precedence (kthena-router.md 2.3): oldest creationTimestamp first, then resourceVersion as text,
 * then namespace/name. Routes without a timestamp were never created in a cluster: they come after the others, in the
 * order of their files and documents.
 */
export function orderRoutes(routes: readonly AgedRoute[]): RoutePlan[] {
  return routes.toSorted(compare).map(({ route }) => route)
}
