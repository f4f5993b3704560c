import type { EndpointPlan, ModelServerPlan, Snapshot } from '#config/snapshot.ts'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { Candidates, ExactPorts, ScheduleRequest } from '#contracts/schedule.ts'
import type { Clock, Rng } from '#core/clock.ts'
import { health } from '#core/endpoint.ts'
import { Fault } from '#core/fault.ts'
import { type Refusal, refuse } from '#core/refusal.ts'
import { awaitsProbe } from '#datastore/breaker.ts'
import { addAdapter, type EndpointTable, maxEndpoints } from '#datastore/endpoint-table.ts'
import { acquire, type Lease } from '#datastore/lease.ts'
import { Decision } from './decision.ts'
import type { DecisionRecorder } from './explain.ts'
import { Profile } from './profile.ts'
import { anyReturned, thinSlowStarters } from './slow-start.ts'

/** What a scheduler is compiled from, and works with. */
export interface SchedulerPorts {
  readonly table: EndpointTable
  /** With its slots assigned (datastore/assign-slots.ts). */
  readonly snapshot: Pick<Snapshot, 'modelServers' | 'profiles'>
  readonly plugins: readonly PluginDefinition[]
  readonly rng: Rng
  readonly clock: Clock
  /** See PluginPorts. */
  readonly prefixMemory?: { readonly buffer: SharedArrayBuffer } | undefined
  readonly sessionMemory?: SharedArrayBuffer | undefined
  readonly exact?: ExactPorts | undefined
}

/** An endpoint, reserved. Whoever gets it releases the lease. */
export interface EndpointPick {
  readonly endpoint: EndpointPlan
  readonly modelServer: ModelServerPlan
  readonly lease: Lease
  readonly decision: Decision
  /**
   * Prompt tokens that the best endpoint in service has in its cache, and those that the one picked has, as far as known: what
   * lies between them was given away for another advantage. 0 for a probe and where the profile does not know caches.
   */
  readonly reachableTokens: number
  readonly realizedTokens: number
}

/** Picks endpoints for the model servers of one snapshot, on one thread. Both functions may be passed on unbound. */
export interface Scheduler {
  /**
   * Picks the best endpoint of a model server and reserves it in the same synchronous step, so that a burst spreads.
   * `excluded` are slots on which this request has failed: they are not picked again. Refuses with `no-endpoint`. When
   * the ejection of an endpoint is over, the next request that has not failed anywhere goes there as its probe.
   */
  readonly pick: (
    modelServerKey: string,
    request: ScheduleRequest,
    excluded: readonly number[],
    recorder?: DecisionRecorder,
  ) => EndpointPick | Refusal
  /**
   * Whether a model server has an endpoint that is not unready and not `excluded`. With `allowResting` false one that
   * neither rests nor is ejected, or one that this request may probe; true is the default, because resting and ejected
   * endpoints serve when there are no others.
   */
  readonly isUsable: (modelServerKey: string, allowResting?: boolean, excluded?: readonly number[]) => boolean
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
  const scheduler = new GroupScheduler(ports)
  return {
    pick: (modelServerKey, request, excluded, recorder) => scheduler.pick(modelServerKey, request, excluded, recorder),
    isUsable: (modelServerKey, allowResting, excluded) => scheduler.isUsable(modelServerKey, allowResting, excluded),
  }
}

/** The scheduler behind its two functions; its candidates serve one decision at a time. */
class GroupScheduler implements Scheduler {
  readonly #table: EndpointTable
  readonly #clock: Clock
  readonly #rng: Rng
  readonly #profiles: ReadonlyMap<string, Profile>
  readonly #groups: ReadonlyMap<string, Group>
  readonly #endpoints: readonly (EndpointPlan | undefined)[]
  readonly #candidates: Candidates

  constructor(ports: SchedulerPorts) {
    const { table, clock, rng } = ports
    this.#table = table
    this.#clock = clock
    this.#rng = rng
    this.#endpoints = endpointsBySlot(ports.snapshot.modelServers)
    this.#profiles = compileProfiles(ports, this.#endpoints)
    this.#groups = compileGroups(ports.snapshot.modelServers, this.#profiles)
    this.#candidates = { slots: new Int32Array(widest(ports)), count: 0, loads: table }
  }

  pick(
    modelServerKey: string,
    request: ScheduleRequest,
    excluded: readonly number[],
    recorder?: DecisionRecorder,
  ): EndpointPick | Refusal {
    const group = this.#groupFor(modelServerKey, request)
    if (group === undefined) return noneUsable()
    const candidates = this.#candidates
    collect(candidates, group.slots, excluded)
    recorder?.began(group.modelServer, candidates, request.profile?.name)
    if (candidates.count === 0 && group.slots.length > 0) return allTried()
    // A request that has failed elsewhere has no more tries to spend on probing.
    if (excluded.length === 0 && anyEjected(candidates, this.#table)) {
      const probe = this.#probe(group, request, recorder)
      if (probe !== undefined) return probe
    }
    return this.#pickFrom(group, request, excluded.length, recorder)
  }

  isUsable(modelServerKey: string, allowResting = true, excluded: readonly number[] = nothing): boolean {
    const table = this.#table
    const slots = this.#groups.get(modelServerKey)?.slots
    if (slots === undefined) return false
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i]!
      if (table.health[slot] === health.unready || excluded.includes(slot)) continue
      if (allowResting || isAwake(table, slot, this.#clock)) return true
      if (excluded.length === 0 && awaitsProbe(table, slot, this.#clock.nowMs())) return true
    }
    return false
  }

  /** The group of a model server, with the profile that the request is to be placed with. */
  #groupFor(modelServerKey: string, { profile: choice }: ScheduleRequest): Group | undefined {
    const group = this.#groups.get(modelServerKey)
    if (choice === undefined || group === undefined) return group
    const profile = this.#profiles.get(choice.name)
    if (profile === undefined) throw new Fault('self', `no profile is named '${choice.name}'`)
    return profile === group.profile ? group : { ...group, profile }
  }

  /** The request as the probe of an endpoint whose ejection is over, if there is one that may serve it. */
  #probe(group: Group, request: ScheduleRequest, recorder: DecisionRecorder | undefined): EndpointPick | undefined {
    const { modelServer, slots, profile } = group
    const candidates = this.#candidates
    const nowMs = this.#clock.nowMs()
    // One that may not serve this request must not stand before another one that may.
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i]!
      const endpoint = this.#endpoints[slot]
      if (endpoint === undefined || !awaitsProbe(this.#table, slot, nowMs)) continue
      candidates.slots[0] = slot
      candidates.count = 1
      profile.produce(request, candidates)
      profile.filter(request, candidates, undefined)
      if (candidates.count === 0) continue
      const lease = this.#reserve(group, request, endpoint)
      if (lease.claimProbe()) {
        recorder?.filtered('probe', candidates)
        const counts = { candidates: 1, endpoints: slots.length, tried: 0, ejected: 0, isProbe: true }
        const decision = new Decision(unopposed, counts)
        return { endpoint, modelServer, lease, decision, reachableTokens: 0, realizedTokens: 0 }
      }
      lease.release()
    }
    collect(candidates, slots, nothing)
    return undefined
  }

  #reserve({ modelServer, profile }: Group, request: ScheduleRequest, endpoint: EndpointPlan): Lease {
    const { promptTokens, cachedTokens } = profile.facts
    const uncachedTokens = Math.max(1, promptTokens - (cachedTokens[endpoint.slot] ?? 0))
    const ask = { promptTokens, uncachedTokens, placement: profile.placed(request, endpoint.slot) }
    return acquire(this.#table, endpoint, ask, modelServer.ejection)
  }

  #startSlowly(
    { ejection }: ModelServerPlan,
    { nowMs }: ScheduleRequest,
    recorder: DecisionRecorder | undefined,
  ): void {
    const ports = { table: this.#table, slowStartMs: ejection.slowStartMs, nowMs, rng: this.#rng }
    if (thinSlowStarters(this.#candidates, ports)) recorder?.filtered('slow-start', this.#candidates)
  }

  /** Filters, scores and picks among the candidates. `tried` is how many were left out before. */
  #pickFrom(
    group: Group,
    request: ScheduleRequest,
    tried: number,
    recorder: DecisionRecorder | undefined,
  ): EndpointPick | Refusal {
    const { modelServer, slots, profile } = group
    const table = this.#table
    const candidates = this.#candidates
    profile.produce(request, candidates)
    recorder?.produced?.(profile.facts, profile.factsKnown)
    const reachableTokens = mostCached(profile, candidates)
    profile.filter(request, candidates, recorder)
    if (candidates.count === 0) return noneUsable()
    if (anyReturned(candidates, table)) this.#startSlowly(modelServer, request, recorder)
    const { count } = candidates
    const isCompared = count > 1 || recorder !== undefined
    const index = isCompared ? profile.pick(request, candidates, recorder) : 0
    const slot = candidates.slots[index] ?? -1
    const endpoint = this.#endpoints[slot]
    if (endpoint === undefined || index >= count) throw new Fault('self', 'the picker chose what was not offered')
    const lease = this.#reserve(group, request, endpoint)
    if (request.adapter >= 0 && !table.hasAdapter(slot, request.adapter)) addAdapter(table, slot, request.adapter)
    const lead = isCompared ? profile.lead(index) : unopposed
    const ejected = count < slots.length ? countEjected(table, slots) : 0
    const counts = { candidates: count, endpoints: slots.length, tried, ejected, isProbe: false }
    const realizedTokens = cachedAt(profile, slot)
    return { endpoint, modelServer, lease, decision: new Decision(lead, counts), reachableTokens, realizedTokens }
  }
}

const nothing: readonly number[] = []

const unopposed = { scorer: undefined, score: Number.NaN }

function noneUsable(): Refusal {
  return refuse('no-endpoint', 'No endpoint that serves this model is usable now. Try again later.', { retryAfterS })
}

function allTried(): Refusal {
  return refuse('no-endpoint', 'Every endpoint that serves this model has failed this request.', { retryAfterS })
}

/** Neither resting nor ejected. */
function isAwake(table: EndpointTable, slot: number, clock: Clock): boolean {
  const restUntilMs = table.restUntilMs[slot]!
  return table.ejected[slot] === 0 && (restUntilMs === 0 || restUntilMs <= clock.nowMs())
}

function anyEjected({ slots, count }: Candidates, { ejected }: EndpointTable): boolean {
  for (let i = 0; i < count; i++) if (ejected[slots[i]!] !== 0) return true
  return false
}

/** The most prompt tokens that a candidate in service has in its cache; 0 where the profile does not know caches. */
function mostCached({ facts, knowsCache }: Profile, { slots, count, loads }: Candidates): number {
  if (!knowsCache) return 0
  const { cachedTokens } = facts
  let most = 0
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!
    if (cachedTokens[slot]! > most && loads.ejected[slot] === 0 && loads.health[slot] !== health.unready)
      most = cachedTokens[slot]!
  }
  return most
}

/** The prompt tokens that one endpoint has in its cache; 0 where the profile does not know caches. */
function cachedAt({ facts, knowsCache }: Profile, slot: number): number {
  return knowsCache ? facts.cachedTokens[slot]! : 0
}

function countEjected({ ejected }: EndpointTable, slots: Int32Array): number {
  let count = 0
  for (let i = 0; i < slots.length; i++) if (ejected[slots[i]!] !== 0) count++
  return count
}

/** Fills the candidates with the slots that are not excluded, in their order. */
function collect(candidates: Candidates, slots: Int32Array, excluded: readonly number[]): void {
  const into = candidates.slots
  const isWhole = excluded.length === 0
  let count = 0
  for (let i = 0; i < slots.length; i++) {
    const slot = slots[i]!
    if (isWhole || !excluded.includes(slot)) into[count++] = slot
  }
  candidates.count = count
}

function widest({ snapshot }: SchedulerPorts): number {
  return snapshot.modelServers.reduce((most, { endpoints }) => Math.max(most, endpoints.length), 0)
}

function compileProfiles(
  ports: SchedulerPorts,
  endpoints: readonly (EndpointPlan | undefined)[],
): ReadonlyMap<string, Profile> {
  const { snapshot, plugins, rng, prefixMemory, sessionMemory, exact, clock } = ports
  const endpointOf = (slot: number): EndpointPlan | undefined => endpoints[slot]
  const memory = { prefixMemory, sessionMemory, exact }
  const wallMs = (): number => clock.wallMs()
  const hasKvEvents = endpoints.some((endpoint) => endpoint?.kvEvents !== undefined)
  const profilePorts = { hasKvEvents, plugins, rng, ...memory, endpointOf, wallMs, maxCandidates: widest(ports) }
  return new Map(Object.entries(snapshot.profiles).map(([name, plan]) => [name, new Profile(plan, profilePorts)]))
}

function compileGroups(
  modelServers: readonly ModelServerPlan[],
  profiles: ReadonlyMap<string, Profile>,
): ReadonlyMap<string, Group> {
  return new Map(
    modelServers.map((modelServer) => {
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
