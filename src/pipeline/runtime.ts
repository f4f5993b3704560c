import type { Snapshot } from '#config/snapshot.ts'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { Clock, Rng } from '#core/clock.ts'
import type { AdapterIds } from '#datastore/adapter-ids.ts'
import type { EndpointTable } from '#datastore/endpoint-table.ts'
import { compileRoutes, type RouteTable } from '#route/compile-routes.ts'
import { listModels } from '#route/list-models.ts'
import { createScheduler, type Scheduler } from '#schedule/scheduler.ts'
import { type Cors, compileCors } from './cors.ts'
import { type ModelsPage, renderModels } from './models.ts'

/** What a snapshot is compiled with. */
export interface RuntimePorts {
  readonly table: EndpointTable
  readonly plugins: readonly PluginDefinition[]
  readonly clock: Clock
  readonly rng: Rng
}

/** A snapshot compiled for one thread: everything a decision needs, by index. Replaced as a whole. */
export interface Runtime {
  readonly snapshot: Snapshot
  readonly routes: RouteTable
  readonly scheduler: Scheduler
  readonly models: ModelsPage
  readonly adapterIds: AdapterIds
  /** What browsers are told; undefined: nothing. */
  readonly cors: Cors | undefined
  /** The one model of the configuration, for bodies that name none; undefined when there are several. */
  readonly onlyModel: string | undefined
}

/** Compiles a snapshot. */
export function compileRuntime(snapshot: Snapshot, adapterIds: AdapterIds, ports: RuntimePorts): Runtime {
  const listed = listModels(snapshot)
  const bases = listed.filter((model) => model.parent === undefined)
  return {
    snapshot,
    routes: compileRoutes(snapshot),
    scheduler: createScheduler({ ...ports, snapshot }),
    models: renderModels(listed, Math.floor(ports.clock.wallMs() / 1000)),
    adapterIds,
    cors: snapshot.cors === undefined ? undefined : compileCors(snapshot.cors),
    onlyModel: bases.length === 1 ? bases[0]?.id : undefined,
  }
}
