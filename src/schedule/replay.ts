import type { ProfilePlan } from '#config/snapshot.ts'
import type { CandidateRecord, DecisionRecord } from '#contracts/decision-record.ts'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { Candidates, Facts, KnownEndpoint, ScheduleRequest } from '#contracts/schedule.ts'
import type { Rng } from '#core/clock.ts'
import { createEndpointTable, type EndpointTable, maxEndpoints, setAdapters } from '#datastore/endpoint-table.ts'
import { type DecidedFor, DecisionCapture, factColumns, loadColumns } from './decision-capture.ts'
import { Profile } from './profile.ts'

/** What recorded decisions are made again with. */
export interface ReplayPorts {
  /** Name of the profile, for the records. */
  readonly name: string
  readonly plan: ProfilePlan
  readonly plugins: readonly PluginDefinition[]
  readonly rng: Rng
}

/** Id of the one adapter that a replayed request may ask for. */
const replayedAdapter = 0

const instants = { reportedAtMs: 'reportAgeMs', observedAtMs: 'observedAgeMs' } as const

/**
 * Makes recorded decisions again under another profile, each for itself: with the loads and facts that were recorded, by the
 * filters, scorers and picker of that profile. What its plug-ins would have learned by then (sessions, rates of arrival) and
 * labels of endpoints are not in a record: there they begin with nothing.
 */
export class Replay {
  readonly #name: string
  readonly #profile: Profile
  readonly #table: EndpointTable = createEndpointTable()
  readonly #capacities = new Float64Array(maxEndpoints)
  readonly #reads: ReadonlySet<string>
  readonly #candidates: Candidates
  #replayed: DecisionRecord | undefined = undefined

  constructor({ name, plan, plugins, rng }: ReplayPorts) {
    this.#name = name
    // Facts come from the record: no producer runs.
    const silent = plugins.map((plugin) => ({ ...plugin, writes: [] }))
    const endpointOf = (slot: number): KnownEndpoint | undefined => this.#endpointOf(slot)
    const given = { plugins: silent, rng, endpointOf, capacities: this.#capacities, maxCandidates: maxEndpoints }
    this.#profile = new Profile(name, { ...plan, producers: [] }, given)
    const used = new Set([...plan.filters, ...plan.scorers, plan.picker].map(({ type }) => type))
    this.#reads = new Set(plugins.filter(({ type }) => used.has(type)).flatMap(({ reads }) => reads))
    this.#candidates = { slots: new Int32Array(maxEndpoints), count: 0, loads: this.#table }
  }

  /** Facts that the profile reads and nobody had found out when the decision was made: they count as 0. */
  missingFacts({ request: { factsKnown } }: DecisionRecord): readonly string[] {
    return [...factColumns, 'missHash', 'totalBlocks'].filter(
      (name) => this.#reads.has(name) && !factsKnown.some((known) => known === name),
    )
  }

  /** The decision as this profile makes it; undefined for one that no profile makes: the probe of an ejected endpoint. */
  decide(record: DecisionRecord): DecisionRecord | undefined {
    if (record.isProbe) return undefined
    this.#replayed = record
    const request = requestOf(record)
    const offered = record.candidates.filter(({ removedBy }) => removedBy !== 'slow-start')
    for (const candidate of offered) this.#fill(candidate, request.nowMs)
    const candidates = this.#candidates
    candidates.slots.set(offered.map(({ slot }) => slot))
    candidates.count = offered.length
    const { requestId, attempt, thread, atWallMs, modelServer: key } = record
    const capture = new DecisionCapture({ requestId, attempt, thread, atWallMs }, request)
    capture.began({ key, profile: this.#name, endpoints: endpointsOf(record) }, candidates)
    this.#profile.produce(request, candidates)
    writeFacts(record, this.#profile.facts)
    capture.produced(this.#profile.facts, record.request.factsKnown)
    this.#profile.filter(request, candidates, capture)
    if (candidates.count > 0) this.#profile.pick(request, candidates, capture)
    return capture.record()
  }

  #fill({ slot, capacity = 1, loads, hasAdapter, restMs, ...ages }: CandidateRecord, nowMs: number): void {
    const table = this.#table
    this.#capacities[slot] = capacity
    for (const name of loadColumns) {
      if (name === 'restUntilMs') table.restUntilMs[slot] = restMs > 0 ? nowMs + restMs : 0
      else if (name === 'reportedAtMs' || name === 'observedAtMs') {
        const ageMs = ages[instants[name]]
        table[name][slot] = ageMs === null ? 0 : nowMs - ageMs
      } else table[name][slot] = loads[name] ?? Number.NaN
    }
    setAdapters(table, slot, hasAdapter ? [replayedAdapter] : [])
  }

  #endpointOf(slot: number): KnownEndpoint | undefined {
    const id = this.#replayed?.candidates.find((candidate) => candidate.slot === slot)?.endpoint
    if (id === undefined) return undefined
    const [place = ''] = id.split('#', 1)
    const colon = place.lastIndexOf(':')
    const host = place.slice(0, colon).replace(/^\[|\]$/g, '')
    return { id, host, port: Number(place.slice(colon + 1)), role: 'both', labels: {} }
  }
}

/** Those of a record whose slots are known, which are all but those tried before. */
function endpointsOf({ candidates }: DecisionRecord): DecidedFor['endpoints'] {
  return candidates.map(({ slot, endpoint, capacity }) => ({ slot, id: endpoint, capacity }))
}

/** The request less what is not recorded. */
function requestOf({ model, request, atWallMs }: DecisionRecord): ScheduleRequest {
  return {
    model,
    adapter: request.hasAdapter ? replayedAdapter : -1,
    headers: [],
    body: { slices: [], bytes: 0 },
    promptSpans: [],
    promptBytes: request.promptBytes,
    maxTokens: request.maxTokens,
    session: undefined,
    cacheSalt: undefined,
    stream: request.stream,
    nowMs: atWallMs,
  }
}

function writeFacts({ request, candidates }: DecisionRecord, facts: Facts): void {
  facts.promptTokens = Math.max(1, request.promptTokens)
  facts.missHash = request.missHash
  facts.totalBlocks = request.totalBlocks
  facts.blockTokens = request.blockTokens
  for (const candidate of candidates) {
    for (const name of factColumns) facts[name][candidate.slot] = candidate.facts[name]
  }
}
