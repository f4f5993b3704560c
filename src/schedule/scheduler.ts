import type { EndpointPlan, ModelServerPlan, Snapshot } from '#config/snapshot.ts'
import type { PluginDefinition } from '#contracts/plugin.ts'
import { type Candidates, type ExactPorts, profileResult, type ScheduleRequest } from '#contracts/schedule.ts'
import type { Clock, Rng } from '#core/clock.ts'
import { health } from '#core/endpoint.ts'
import { Fault } from '#core/fault.ts'
import { isRefusal, type Refusal, refuse } from '#core/refusal.ts'
import { awaitsProbe } from '#datastore/breaker.ts'
import { addAdapter, type EndpointTable, maxEndpoints } from '#datastore/endpoint-table.ts'
import { acquire, type Lease } from '#datastore/lease.ts'
import { Decision, type Lead } from './decision.ts'
import type { DecisionRecorder } from './explain.ts'
import { noReach, type PrefixReach, reachOf } from './prefix-reach.ts'
import type { Profile, ProfilePorts } from './profile.ts'
import { firstUnchanged, noRanking, type Ranking, rankingBehind } from './ranking.ts'
import { capacitiesOf, compileGroups, compileSchemes, type Group, HandledScheme, type Scheme } from './scheme.ts'
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
export interface EndpointPick extends Choice {
  readonly lease: Lease
}

/** What a decision comes to. */
interface Choice extends PrefixReach {
  readonly endpoint: EndpointPlan
  readonly modelServer: ModelServerPlan
  /** That has placed the request: of a profile with a handler the one that the handler chose. */
  readonly profile: Profile
  readonly decision: Decision
  /** Who would be next, by the decision of `rankedAtMs` (Clock.nowMs). */
  readonly ranking: Ranking
  readonly rankedAtMs: number
  /**
   * Prompt tokens that the one picked has in its cache, as far as known: what lies between `reachableTokens` and these was given
   * away for another advantage. 0 for a probe and where the profile does not know caches.
   */
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
   * Picks for a further try in the same model server, whose slots that failed are all in `excluded`: the next best of the
   * decision before (`previous`) while that is fresh, the endpoint is still ready and in service, the filters leave it and it
   * has hardly a request more than then; otherwise as `pick` does, by what is known now.
   */
  readonly pickNext: (
    previous: EndpointPick,
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

/** What a decision is made about. */
interface Ask {
  readonly request: ScheduleRequest
  readonly excluded: readonly number[]
  /** The decision of the try before, when it is to be used. */
  readonly previous: EndpointPick | undefined
  readonly recorder: DecisionRecorder | undefined
}

const retryAfterS = 1

/** Compiles a scheduler. Throws a Fault when the snapshot has endpoints without a slot or names unknown plug-ins. */
export function createScheduler(ports: SchedulerPorts): Scheduler {
  const scheduler = new GroupScheduler(ports)
  return {
    pick: (modelServerKey, request, excluded, recorder) => scheduler.pick(modelServerKey, request, excluded, recorder),
    pickNext: (previous, request, excluded, recorder) => scheduler.pickNext(previous, request, excluded, recorder),
    isUsable: (modelServerKey, allowResting, excluded) => scheduler.isUsable(modelServerKey, allowResting, excluded),
  }
}

/** The scheduler behind its functions; its candidates serve one decision at a time. */
class GroupScheduler implements Scheduler {
  readonly #table: EndpointTable
  readonly #clock: Clock
  readonly #rng: Rng
  readonly #schemes: ReadonlyMap<string, Scheme>
  readonly #groups: ReadonlyMap<string, Group>
  readonly #endpoints: readonly (EndpointPlan | undefined)[]
  readonly #candidates: Candidates

  constructor(ports: SchedulerPorts) {
    const { table, clock, rng, snapshot } = ports
    this.#table = table
    this.#clock = clock
    this.#rng = rng
    this.#endpoints = endpointsBySlot(snapshot.modelServers)
    this.#schemes = compileSchemes(snapshot.profiles, profilePorts(ports, this.#endpoints))
    this.#groups = compileGroups(snapshot.modelServers, this.#schemes)
    this.#candidates = { slots: new Int32Array(widest(ports)), count: 0, loads: table }
  }

  pick(
    modelServerKey: string,
    request: ScheduleRequest,
    excluded: readonly number[],
    recorder?: DecisionRecorder,
  ): EndpointPick | Refusal {
    return this.#pick(modelServerKey, { request, excluded, previous: undefined, recorder })
  }

  pickNext(
    previous: EndpointPick,
    request: ScheduleRequest,
    excluded: readonly number[],
    recorder?: DecisionRecorder,
  ): EndpointPick | Refusal {
    return this.#pick(previous.modelServer.key, { request, excluded, previous, recorder })
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

  #pick(modelServerKey: string, ask: Ask): EndpointPick | Refusal {
    const group = this.#groups.get(modelServerKey)
    if (group === undefined) return noneUsable()
    const scheme = this.#schemeFor(group, ask.request)
    return scheme instanceof HandledScheme ? this.#pickHandled(group, scheme, ask) : this.#pickBy(group, scheme, ask)
  }

  /** What the request is to be placed with. */
  #schemeFor({ scheme }: Group, { profile: choice }: ScheduleRequest): Scheme {
    if (choice === undefined) return scheme
    const chosen = this.#schemes.get(choice.name)
    if (chosen === undefined) throw new Fault('self', `no profile is named '${choice.name}'`)
    return chosen
  }

  /** Lets a handler say which profiles run, and which of them serves the request. */
  #pickHandled(group: Group, scheme: HandledScheme, ask: Ask): EndpointPick | Refusal {
    const { request, recorder } = ask
    const choices: (Choice | undefined)[] = []
    let refusal: Refusal | undefined
    scheme.begin()
    for (let index = scheme.next(request); index >= 0; index = scheme.next(request)) {
      const choice = this.#choose(group, scheme.profileAt(index), ask)
      if ('lease' in choice) {
        recorder?.settled?.(choice.profile.name)
        return choice
      }
      const isFound = !isRefusal(choice)
      if (isFound) choices[index] = choice
      else refusal = choice
      scheme.found(index, isFound ? choice.endpoint.slot : profileResult.none)
    }
    if (scheme.runs === 0) return noProfile(scheme.names)
    const primary = scheme.primary(request)
    const choice = choices[primary]
    recorder?.settled?.(choice?.profile.name)
    return choice === undefined ? (refusal ?? noneUsable()) : this.#take(group, choice, ask)
  }

  #pickBy(group: Group, profile: Profile, ask: Ask): EndpointPick | Refusal {
    const choice = this.#choose(group, profile, ask)
    return isRefusal(choice) || 'lease' in choice ? choice : this.#take(group, choice, ask)
  }

  /** Chooses with one profile and reserves nothing, but for a probe. */
  #choose(group: Group, profile: Profile, ask: Ask): Choice | EndpointPick | Refusal {
    const { excluded, recorder } = ask
    const candidates = this.#candidates
    collect(candidates, group.slots, excluded)
    recorder?.began(group.modelServer, candidates, profile.name)
    if (candidates.count === 0 && group.slots.length > 0) return allTried()
    // A request that has failed elsewhere has no more tries to spend on probing.
    if (excluded.length === 0 && anyEjected(candidates, this.#table)) {
      const probe = this.#probe(group, profile, ask)
      if (probe !== undefined) return probe
    }
    return this.#chooseFrom(group, profile, ask)
  }

  /** The request as the probe of an endpoint whose ejection is over, if there is one that may serve it. */
  #probe(group: Group, profile: Profile, { request, recorder }: Ask): EndpointPick | undefined {
    const { modelServer, slots } = group
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
      const lease = this.#reserve(modelServer, profile, request, endpoint)
      if (lease.claimProbe()) {
        recorder?.filtered('probe', candidates)
        const counts = { candidates: 1, endpoints: slots.length, tried: 0, ejected: 0, isProbe: true }
        const decision = new Decision(unopposed, counts)
        const ranked = { ranking: noRanking, rankedAtMs: nowMs }
        return { endpoint, modelServer, profile, lease, decision, ...ranked, ...noReach, realizedTokens: 0 }
      }
      lease.release()
    }
    collect(candidates, slots, nothing)
    return undefined
  }

  /** Reserves what was chosen. */
  #take({ modelServer }: Group, choice: Choice, { request }: Ask): EndpointPick {
    const { endpoint, profile, decision, ranking, rankedAtMs, reachableTokens, prefixCopies, realizedTokens } = choice
    const lease = this.#reserve(modelServer, profile, request, endpoint)
    const { slot } = endpoint
    const table = this.#table
    if (request.adapter >= 0 && !table.hasAdapter(slot, request.adapter)) addAdapter(table, slot, request.adapter)
    const found = { decision, ranking, rankedAtMs, reachableTokens, prefixCopies, realizedTokens }
    return { endpoint, modelServer, profile, lease, ...found }
  }

  #reserve(modelServer: ModelServerPlan, profile: Profile, request: ScheduleRequest, endpoint: EndpointPlan): Lease {
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

  /** Filters, scores and chooses among the candidates. */
  #chooseFrom(group: Group, profile: Profile, ask: Ask): Choice | Refusal {
    const { modelServer } = group
    const { request, recorder } = ask
    const candidates = this.#candidates
    profile.produce(request, candidates)
    recorder?.produced?.(profile.facts, profile.factsKnown)
    const reach = reachOf(profile, candidates)
    profile.filter(request, candidates, recorder)
    if (candidates.count === 0) return noneUsable()
    if (anyReturned(candidates, this.#table)) this.#startSlowly(modelServer, request, recorder)
    const next = this.#nextBest(profile, ask)
    if (next !== undefined) return this.#choice(group, profile, ask, { ...next, lead: unopposed, reach })
    const isCompared = candidates.count > 1 || recorder !== undefined
    const index = isCompared ? profile.pick(request, candidates, recorder) : 0
    const lead = isCompared ? profile.lead(index) : unopposed
    const ranking = isCompared ? profile.ranking : noRanking
    const slot = candidates.slots[index] ?? -1
    return this.#choice(group, profile, ask, { slot, ranking, rankedAtMs: request.nowMs, lead, reach })
  }

  /** The next best of the decision before, if that is still what it was; recorded. */
  #nextBest(profile: Profile, { previous, request, recorder }: Ask): Ranked | undefined {
    if (previous?.profile !== profile) return undefined
    const { ranking, rankedAtMs } = previous
    const candidates = this.#candidates
    const position = firstUnchanged(ranking, request.nowMs - rankedAtMs, candidates, this.#table)
    const slot = ranking.slots[position]
    if (slot === undefined) return undefined
    const left = rankingBehind(ranking, position)
    recorder?.tookNext?.(slot, left.slots)
    return { slot, ranking: left, rankedAtMs, isFallback: true }
  }

  #choice({ modelServer, slots }: Group, profile: Profile, { excluded }: Ask, found: Found): Choice {
    const { slot, ranking, rankedAtMs, lead, reach, isFallback } = found
    const endpoint = this.#endpoints[slot]
    if (endpoint === undefined) throw new Fault('self', 'the picker chose what was not offered')
    const { count } = this.#candidates
    const ejected = count < slots.length ? countEjected(this.#table, slots) : 0
    const tried = excluded.length
    const counts = { candidates: count, endpoints: slots.length, tried, ejected, isProbe: false, isFallback }
    const realizedTokens = cachedAt(profile, slot)
    const decision = new Decision(lead, counts)
    return { endpoint, modelServer, profile, decision, ranking, rankedAtMs, ...reach, realizedTokens }
  }
}

/** A slot, and who would be next. */
interface Ranked extends Pick<Choice, 'ranking' | 'rankedAtMs'> {
  readonly slot: number
  /** It comes from the ranking of the try before. */
  readonly isFallback?: boolean
}

interface Found extends Ranked {
  readonly lead: Lead
  readonly reach: PrefixReach
}

const nothing: readonly number[] = []

const unopposed = { scorer: undefined, score: Number.NaN }

function noneUsable(): Refusal {
  return refuse('no-endpoint', 'No endpoint that serves this model is usable now. Try again later.', { retryAfterS })
}

function noProfile(names: readonly string[]): Refusal {
  return refuse(
    'unknown-profile',
    `The request asks for a scheduling profile that there is not. There are: ${names.join(', ')}.`,
  )
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

function profilePorts(ports: SchedulerPorts, endpoints: readonly (EndpointPlan | undefined)[]): ProfilePorts {
  const { plugins, rng, prefixMemory, sessionMemory, exact, clock } = ports
  return {
    plugins,
    rng,
    prefixMemory,
    sessionMemory,
    exact,
    endpointOf: (slot) => endpoints[slot],
    wallMs: () => clock.wallMs(),
    capacities: capacitiesOf(endpoints),
    hasKvEvents: endpoints.some((endpoint) => endpoint?.kvEvents !== undefined),
    maxCandidates: widest(ports),
  }
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
