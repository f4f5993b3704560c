import type { SessionSource, Snapshot } from '#config/snapshot.ts'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { ExactPorts } from '#contracts/schedule.ts'
import type { Clock, Rng } from '#core/clock.ts'
import type { AdapterIds } from '#datastore/adapter-ids.ts'
import type { EndpointTable } from '#datastore/endpoint-table.ts'
import { compileRoutes, type RouteTable } from '#route/compile-routes.ts'
import { listModels } from '#route/list-models.ts'
import { createScheduler, type Scheduler } from '#schedule/scheduler.ts'
import { type ChooseProfile, compileChoice } from './choose-profile.ts'
import { type Cors, compileCors } from './cors.ts'
import { type ModelsPage, renderModels } from './models.ts'
import { compileSessionOf, type SessionOf } from './session-source.ts'

/** What a snapshot is compiled with. */
export interface RuntimePorts {
  readonly table: EndpointTable
  readonly plugins: readonly PluginDefinition[]
  readonly clock: Clock
  readonly rng: Rng
  /** See PluginPorts. */
  readonly prefixMemory?: { readonly buffer: SharedArrayBuffer } | undefined
  readonly sessionMemory?: SharedArrayBuffer | undefined
  readonly exact?: ExactPorts | undefined
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
  /** What the headers of a request choose; undefined: they choose nothing. */
  readonly choose: ChooseProfile | undefined
  /** Finds the session of a request whose rule has these sources, or none of its own. */
  readonly sessionOf: (sources: readonly SessionSource[] | undefined) => SessionOf
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
    sessionOf: compileSessions(snapshot),
    choose: snapshot.choice === undefined ? undefined : compileChoice(snapshot.choice),
  }
}

/** One reader for the gateway and one for each rule with sources of its own. */
function compileSessions({ sessions, routes }: Snapshot): Runtime['sessionOf'] {
  const usual = compileSessionOf(sessions)
  const own = routes.flatMap(({ rules }) =>
    rules.flatMap((rule) => (rule.sessions === undefined ? [] : [rule.sessions])),
  )
  const readers = new Map(own.map((sources) => [sources, compileSessionOf(sources)]))
  return (sources) => (sources === undefined ? usual : (readers.get(sources) ?? usual))
}
