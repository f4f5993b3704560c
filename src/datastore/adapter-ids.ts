import type { Snapshot } from '#config/snapshot.ts'
import type { InternedNames } from './interned-names.ts'

/**
 * Adapter name -> id, the number of its bit in the endpoint table. Made by the main thread, which owns the names, and
 * handed to the data threads along with each snapshot (a Map crosses threads by structured clone).
 */
export type AdapterIds = ReadonlyMap<string, number>

/** Numbers the adapters of a snapshot, in the order of its routes. Names beyond the limit stay without a number. */
export function assignAdapterIds(names: InternedNames, snapshot: Pick<Snapshot, 'routes'>): AdapterIds {
  for (const route of snapshot.routes) for (const adapter of route.adapters) names.idOf(adapter)
  return names.ids()
}

/** The id of an adapter, or -1 when it has none: it is then routed like any other, without knowing where it is loaded. */
export function adapterIdOf(ids: AdapterIds, name: string): number {
  return ids.get(name) ?? -1
}
