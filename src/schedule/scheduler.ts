import type { EndpointPlan, ModelServerPlan, Snapshot } from '#config/snapshot.ts'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { Candidates, ScheduleRequest } from '#contracts/schedule.ts'
import type { Clock, Rng } from '#core/clock.ts'
import { health } from '#core/endpoint.ts'
import { Fault } from '#core/fault.ts'
import { type Refusal, refuse } from '#core/refusal.ts'
import { addAdapter, type EndpointTable, maxEndpoints } from '#datastore/endpoint-table.ts'
import { acquire, type Lease } from '#datastore/lease.ts'
import { Decision } from './decision.ts'
import type { DecisionRecorder } from './explain.ts'
import { Profile } from './profile.ts'

/** What a scheduler is compiled from, and works with. */
export interface SchedulerPorts {
  readonly table: EndpointTable
  /** With its slots assigned (datastore/assign-slots.ts). */
  readonly snapshot: Pick<Snapshot, 'modelServers' | 'profiles'>
  readonly plugins: readonly PluginDefinition[]
  readonly rng: Rng
  readonly clock: Clock
}

/** An endpoint, reserved. Whoever gets it releases the lease. */
export interface EndpointPick {
  readonly endpoint: EndpointPlan
  readonly modelServer: ModelServerPlan
  readonly lease: Lease
  readonly decision: Decision
}

/** Picks endpoints for the model servers of one snapshot, on one thread. Both functions may be passed on unbound. */
export interface Scheduler {
  /**
   * Picks the best endpoint of a model server and reserves it in the same synchronous step, so that a burst spreads.
   * `excluded` are slots on which this request has failed: they are not picked again. Refuses with `no-endpoint`.
   */
  readonly pick: (
    modelServerKey: string,
    request: ScheduleRequest,
    excluded: readonly number[],
    recorder?: DecisionRecorder,
  ) => EndpointPick | Refusal
  /**
   * Whether a model server has an endpoint that is not unready. With `allowResting` false one that does not rest,
   * either; true is the default, because resting endpoints serve when there are no others.
   */
  readonly isUsable: (modelServerKey: string, allowResting?: boolean) => boolean
}

/** A model server, ready to be picked from. */
interface Group {
  readonly modelServer: ModelServerPlan
  readonly slots: Int32Array
  readonly profile: Profile
}

const retryAfterS = 1

/** Compiles a scheduler. Throws a Fault when the snapshot has endpoints without a slot or names unknown plug-ins. */
export function createScheduler(ports: SchedulerPorts): Scheduler {
  const { table, clock } = ports
  const groups = compileGroups(ports)
  const endpoints = endpointsBySlot(ports.snapshot.modelServers)
  const candidates: Candidates = { slots: new Int32Array(widest(ports)), count: 0, loads: table }

  const pick: Scheduler['pick'] = (modelServerKey, request, excluded, recorder) => {
    const group = groups.get(modelServerKey)
    if (group === undefined) return noneUsable()
    const { modelServer, slots, profile } = group
    collect(candidates, slots, excluded)
    recorder?.began(modelServer, candidates)
    if (candidates.count === 0 && slots.length > 0) return allTried()
    profile.filter(request, candidates, recorder)
    const { count } = candidates
    if (count === 0) return noneUsable()
    const isCompared = count > 1 || recorder !== undefined
    const index = isCompared ? profile.pick(request, candidates, recorder) : 0
    const slot = candidates.slots[index] ?? -1
    const endpoint = endpoints[slot]
    if (endpoint === undefined || index >= count) throw new Fault('self', 'the picker chose what was not offered')
    const lease = acquire(table, slot, endpoint.generation, request.promptBytes)
    if (request.adapter >= 0 && !table.hasAdapter(slot, request.adapter)) addAdapter(table, slot, request.adapter)
    const lead = isCompared ? profile.lead(index) : unopposed
    const counts = { candidates: count, endpoints: slots.length, tried: excluded.length }
    return { endpoint, modelServer, lease, decision: new Decision(lead, counts) }
  }

  const isUsable: Scheduler['isUsable'] = (modelServerKey, allowResting = true) => {
    const slots = groups.get(modelServerKey)?.slots
    if (slots === undefined) return false
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i]!
      if (table.health[slot] === health.unready) continue
      const restUntilMs = table.restUntilMs[slot]!
      if (allowResting || restUntilMs === 0 || restUntilMs <= clock.nowMs()) return true
    }
    return false
  }

  return { pick, isUsable }
}

const unopposed = { scorer: undefined, score: Number.NaN }

function noneUsable(): Refusal {
  return refuse('no-endpoint', 'No endpoint that serves this model is usable now. Try again later.', { retryAfterS })
}

function allTried(): Refusal {
  return refuse('no-endpoint', 'Every endpoint that serves this model has failed this request.', { retryAfterS })
}

/** Fills the candidates with the slots that are not excluded, in their order. */
function collect(candidates: Candidates, slots: Int32Array, excluded: readonly number[]): void {
  if (excluded.length === 0) {
    candidates.slots.set(slots)
    candidates.count = slots.length
    return
  }
  let count = 0
  for (let i = 0; i < slots.length; i++) {
    const slot = slots[i]!
    if (!excluded.includes(slot)) candidates.slots[count++] = slot
  }
  candidates.count = count
}

function widest({ snapshot }: SchedulerPorts): number {
  return snapshot.modelServers.reduce((most, { endpoints }) => Math.max(most, endpoints.length), 0)
}

function compileGroups(ports: SchedulerPorts): ReadonlyMap<string, Group> {
  const { snapshot, plugins, rng } = ports
  const profilePorts = { plugins, rng, maxCandidates: widest(ports) }
  const profiles = new Map(
    Object.entries(snapshot.profiles).map(([name, plan]) => [name, new Profile(plan, profilePorts)]),
  )
  return new Map(
    snapshot.modelServers.map((modelServer) => {
      const profile = profiles.get(modelServer.profile)
      if (profile === undefined) throw new Fault('self', `no profile is named '${modelServer.profile}'`)
      const slots = Int32Array.from(modelServer.endpoints, ({ slot }) => slot)
      return [modelServer.key, { modelServer, slots, profile }]
    }),
  )
}

function endpointsBySlot(modelServers: readonly ModelServerPlan[]): readonly (EndpointPlan | undefined)[] {
  const bySlot = Array.from<EndpointPlan | undefined>({ length: maxEndpoints })
  for (const { key, endpoints } of modelServers) {
    for (const endpoint of endpoints) {
      const { slot, id } = endpoint
      if (!(slot >= 0 && slot < maxEndpoints)) throw new Fault('self', `endpoint ${id} of ${key} has no slot`)
      if (bySlot[slot] !== undefined) throw new Fault('self', `endpoint ${id} of ${key} has the slot of another`)
      bySlot[slot] = endpoint
    }
  }
  return bySlot
}
