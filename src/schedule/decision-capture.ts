import type { ModelServerPlan } from '#config/snapshot.ts'
import type {
  CandidateRecord,
  DecisionHead,
  DecisionRecord,
  FactColumn,
  LeftOut,
  LoadColumn,
  PromptMarks,
} from '#contracts/decision-record.ts'
import type { Candidates, Facts, ScheduleRequest } from '#contracts/schedule.ts'
import { health } from '#core/endpoint.ts'
import { type ReasonParts, reasonOf } from './decision-reason.ts'
import type { DecisionRecorder, PickedStage, ScoredStage } from './explain.ts'
import { marksOf } from './prompt-marks.ts'

/** Whose decision it is. */
export interface CaptureAsk {
  readonly requestId: string
  /** Which try of the request, from 1. */
  readonly attempt: number
  readonly thread: string
  readonly atWallMs: number
}

/** What a decision is about, of a ModelServerPlan. */
export interface DecidedFor extends Pick<ModelServerPlan, 'key' | 'profile'> {
  readonly endpoints: readonly {
    readonly slot: number
    readonly id: string
    readonly capacity?: number | undefined
  }[]
}

/** The load columns in the order in which they are kept. */
export const loadColumns = [
  'running',
  'waiting',
  'kvUse',
  'reportedAtMs',
  'inFlightAtReport',
  'health',
  'inFlight',
  'prefilling',
  'uncachedTokens',
  'contextTokens',
  'ttftMs',
  'tpotMs',
  'prefillUs',
  'observedAtMs',
  'consecutiveErrors',
  'restUntilMs',
  'ejected',
  'maxAdapters',
  'adapterCount',
  'blockSize',
  'blockCount',
] as const satisfies readonly LoadColumn[]

/** The facts in the order in which they are kept. */
export const factColumns = [
  'cachedTokens',
  'inUseTokens',
  'missHolders',
  'missUses',
  'matchedBlocks',
  'inFlightTokens',
  'requestTokens',
] as const satisfies readonly FactColumn[]

/** The load columns, whether the adapter is there, the facts. */
const width = loadColumns.length + 1 + factColumns.length
const adapterAt = loadColumns.length
const factsAt = adapterAt + 1

const noScalars = { promptTokens: 0, missHash: 0, totalBlocks: 0, blockTokens: 0 }

/** Bytes that a capture takes beside its numbers, about. */
const ownBytes = 1024
/** Of the endpoints and the map of their ids, which is made when somebody asks. */
const bytesPerId = 64
const nothing = new Int32Array(0)
const noNumbers = new Float64Array(0)

/** What one profile has made of the request. */
interface Run {
  readonly profile: string
  slots: Int32Array
  numbers: Float64Array
  facts: Pick<Facts, keyof typeof noScalars>
  factsKnown: readonly (keyof Facts)[]
  marks: PromptMarks | undefined
  readonly filters: { readonly type: string; readonly left: Int32Array }[]
  readonly scorers: { readonly type: string; readonly weight: number; readonly opinions: Float64Array }[]
  left: Int32Array
  totals: Float64Array
  picker: string | undefined
  chosen: number
  fallbacks: readonly number[]
  isProbe: boolean
  isFallback: boolean
}

function emptyRun(profile: string): Run {
  return {
    profile,
    slots: nothing,
    numbers: noNumbers,
    facts: noScalars,
    factsKnown: [],
    marks: undefined,
    filters: [],
    scorers: [],
    left: nothing,
    totals: noNumbers,
    picker: undefined,
    chosen: -1,
    fallbacks: [],
    isProbe: false,
    isFallback: false,
  }
}

function bytesOf({ scorers, filters, left, slots, numbers, marks }: Run): number {
  const scored = scorers.length * left.length * 8 + filters.length * slots.length * 4
  const marked = (marks?.hashes.length ?? 0) * 8
  return numbers.byteLength + scored + marked
}

/**
 * Keeps one decision as the numbers it was made from: to take it costs a copy of them, and words and records are made when
 * somebody asks. Use a new one for each decision.
 */
export class DecisionCapture implements DecisionRecorder {
  readonly #ask: CaptureAsk
  readonly #request: ScheduleRequest
  #modelServer = ''
  #endpoints: DecidedFor['endpoints'] = []
  #idBySlot: ReadonlyMap<number, string> | undefined = undefined
  #capacityBySlot: ReadonlyMap<number, number> | undefined = undefined
  /** The run under way, or the one that serves the request. */
  #run: Run = emptyRun('')
  /** Runs of other profiles before it. */
  readonly #earlier: Run[] = []
  readonly #hasSession: boolean

  constructor(ask: CaptureAsk, request: ScheduleRequest) {
    this.#ask = ask
    // The prompt and what else the client sent must not live as long as this does.
    const body = { slices: [], bytes: 0 }
    this.#request = { ...request, headers: [], body, promptSpans: [], session: undefined, cacheSalt: undefined }
    this.#hasSession = request.session !== undefined
  }

  get requestId(): string {
    return this.#ask.requestId
  }

  get model(): string {
    return this.#request.model
  }

  get modelServer(): string {
    return this.#modelServer
  }

  get profile(): string {
    return this.#run.profile
  }

  /** Id of the endpoint picked; undefined when the request was refused. */
  get chosen(): string | undefined {
    return this.#ids.get(this.#run.chosen)
  }

  /** Candidates that a record of it has. */
  get candidates(): number {
    return this.#run.slots.length
  }

  /** Memory that it keeps, about. */
  get bytes(): number {
    const runs = [this.#run, ...this.#earlier].reduce((sum, run) => sum + bytesOf(run), 0)
    return ownBytes + runs + this.#endpoints.length * bytesPerId
  }

  began(modelServer: DecidedFor, candidates: Candidates, profile = modelServer.profile): void {
    if (this.#modelServer !== '') this.#earlier.push(this.#run)
    this.#modelServer = modelServer.key
    this.#endpoints = modelServer.endpoints
    const run = emptyRun(profile)
    const { count, loads } = candidates
    const slots = candidates.slots.slice(0, count)
    const numbers = new Float64Array(count * width)
    for (let column = 0; column < loadColumns.length; column++) {
      const values = loads[loadColumns[column]!]
      for (let i = 0; i < count; i++) numbers[i * width + column] = values[slots[i]!]!
    }
    const { adapter } = this.#request
    const asking = adapter >= 0 ? count : 0
    for (let i = 0; i < asking; i++) {
      numbers[i * width + adapterAt] = loads.hasAdapter(slots[i]!, adapter) ? 1 : 0
    }
    run.slots = slots
    run.left = slots
    run.numbers = numbers
    this.#run = run
  }

  produced(facts: Facts, known: readonly (keyof Facts)[]): void {
    const run = this.#run
    const { promptTokens, missHash, totalBlocks, blockTokens } = facts
    run.facts = { promptTokens, missHash, totalBlocks, blockTokens }
    run.factsKnown = known
    run.marks = facts.promptChain === undefined ? undefined : marksOf(facts.promptChain)
    const { slots, numbers } = run
    for (let column = 0; column < factColumns.length; column++) {
      const name = factColumns[column]!
      if (!known.includes(name)) continue
      const values = facts[name]
      for (let i = 0; i < slots.length; i++) numbers[i * width + factsAt + column] = values[slots[i]!]!
    }
  }

  filtered(type: string, candidates: Candidates): void {
    const run = this.#run
    if (candidates.count !== run.left.length) run.left = candidates.slots.slice(0, candidates.count)
    run.filters.push({ type, left: run.left })
    if (type === 'probe') {
      run.isProbe = true
      run.chosen = candidates.slots[0] ?? -1
    }
  }

  scored({ type, weight, candidates, opinions }: ScoredStage): void {
    this.#run.scorers.push({ type, weight, opinions: opinions.slice(0, candidates.count) })
  }

  picked({ type, candidates, totals, index, fallbacks }: PickedStage): void {
    const run = this.#run
    run.picker = type
    run.totals = totals.slice(0, candidates.count)
    run.chosen = candidates.slots[index] ?? -1
    run.fallbacks = fallbacks
  }

  tookNext(slot: number, fallbacks: readonly number[]): void {
    const run = this.#run
    run.isFallback = true
    run.chosen = slot
    run.fallbacks = fallbacks
  }

  settled(profile: string | undefined): void {
    this.#run = [this.#run, ...this.#earlier].find((run) => run.profile === profile) ?? this.#run
    this.#earlier.length = 0
  }

  /** Number of an endpoint in the order of the configuration, from 1. */
  numberOf(endpoint: string): number {
    return [...this.#ids.values()].indexOf(endpoint) + 1
  }

  /** The decision with everything it was made from. */
  record(): DecisionRecord {
    const records = this.#candidates()
    return { ...this.head(), candidates: records }
  }

  /** The decision in short. */
  head(): DecisionHead {
    const { chosenCandidate: _chosen, runnerUpCandidate: _other, compared: _compared, ...head } = this.#parts()
    return { ...head, reason: this.reason((endpoint) => endpoint) }
  }

  /** The reason in one line, with endpoints called as `nameOf` says. */
  reason(nameOf: (endpoint: string) => string): string {
    return reasonOf(this.#parts(), nameOf)
  }

  #parts(): ReasonParts {
    const run = this.#run
    const runnerUp = run.fallbacks[0] ?? -1
    const { promptBytes, maxTokens, stream, adapter, model } = this.#request
    const present = new Set(this.#run.slots)
    return {
      ...this.#ask,
      model,
      modelServer: this.#modelServer,
      profile: this.#run.profile,
      endpoints: this.#ids.size,
      tried: [...this.#ids].filter(([slot]) => !present.has(slot)).map(([, id]) => id),
      filters: this.#removed().map(({ type, slots }) => ({ type, removed: slots.map((slot) => this.#idOf(slot)) })),
      scorers: this.#run.scorers.map(({ type, weight }) => ({ type, weight })),
      picker: this.#run.picker,
      isProbe: this.#run.isProbe,
      chosen: this.chosen,
      runnerUp: this.#ids.get(runnerUp),
      fallbacks: run.fallbacks.map((slot) => this.#idOf(slot)),
      isFallback: run.isFallback,
      request: {
        promptBytes,
        maxTokens,
        stream,
        hasSession: this.#hasSession,
        hasAdapter: adapter >= 0,
        ...this.#run.facts,
        factsKnown: this.#run.factsKnown,
        ...(run.marks === undefined ? {} : { promptMarks: run.marks }),
      },
      chosenCandidate: this.#candidateOf(this.#run.chosen),
      runnerUpCandidate: this.#candidateOf(runnerUp),
      compared: this.#run.left.length,
    }
  }

  /** Who was removed by each filter. */
  #removed(): { readonly type: string; readonly slots: readonly number[] }[] {
    let before: Int32Array = this.#run.slots
    return this.#run.filters.map(({ type, left }) => {
      const kept = new Set(left)
      const slots = left.length === before.length ? [] : [...before].filter((slot) => !kept.has(slot))
      before = left
      return { type, slots }
    })
  }

  #candidates(): CandidateRecord[] {
    const removedBy = new Map(this.#removed().flatMap(({ type, slots }) => slots.map((slot) => [slot, type] as const)))
    const means = this.#means()
    return Array.from(this.#run.slots, (slot, row) =>
      this.#candidate(slot, row, { removedBy: removedBy.get(slot), means }),
    )
  }

  #candidateOf(slot: number): CandidateRecord | undefined {
    const row = this.#run.slots.indexOf(slot)
    return row < 0 ? undefined : this.#candidate(slot, row, { removedBy: undefined, means: this.#means() })
  }

  #candidate(
    slot: number,
    row: number,
    { removedBy, means }: { readonly removedBy: string | undefined; readonly means: readonly number[] },
  ): CandidateRecord {
    const at = this.#run.totals.length === 0 ? -1 : this.#run.left.indexOf(slot)
    const { nowMs } = this.#request
    const value = (name: LoadColumn): number => this.#run.numbers[row * width + loadColumns.indexOf(name)] ?? Number.NaN
    const age = (atMs: number): number | null => (atMs > 0 ? Math.max(0, nowMs - atMs) : null)
    const {
      reportedAtMs: _r,
      observedAtMs: _o,
      restUntilMs: _u,
      ...loads
    } = Object.fromEntries(loadColumns.map((name) => [name, numberOrNull(value(name))])) as Record<
      LoadColumn,
      number | null
    >
    return {
      endpoint: this.#idOf(slot),
      slot,
      ...this.#declaredAt(slot),
      removedBy,
      leftOut: removedBy === undefined ? undefined : leftOutOf(removedBy, value('health'), value('ejected')),
      scores: at < 0 ? [] : this.#run.scorers.map(({ opinions }) => opinionOf(opinions[at])),
      weighted:
        at < 0 ? [] : this.#run.scorers.map(({ opinions, weight }, s) => weight * counted(opinions[at], means[s])),
      total: at < 0 ? null : numberOrNull(this.#run.totals[at] ?? Number.NaN),
      reportAgeMs: age(value('reportedAtMs')),
      observedAgeMs: age(value('observedAtMs')),
      restMs: Math.max(0, value('restUntilMs') - nowMs),
      loads,
      hasAdapter: this.#run.numbers[row * width + adapterAt] === 1,
      facts: Object.fromEntries(
        factColumns.map((name, column) => [name, this.#run.numbers[row * width + factsAt + column] ?? 0]),
      ) as Record<FactColumn, number>,
    }
  }

  /** Mean of the opinions by scorer, which counts for those without; 0 when nobody has one. */
  #means(): number[] {
    return this.#run.scorers.map(({ opinions }) => {
      const given = opinions.filter((opinion) => opinion >= 0 && opinion <= 1)
      return given.length === 0 ? 0 : given.reduce((sum, opinion) => sum + opinion, 0) / given.length
    })
  }

  /** Ids of the model server's endpoints by slot. */
  get #ids(): ReadonlyMap<number, string> {
    this.#idBySlot ??= new Map(this.#endpoints.map(({ slot, id }) => [slot, id]))
    return this.#idBySlot
  }

  #declaredAt(slot: number): Pick<CandidateRecord, 'capacity'> {
    this.#capacityBySlot ??= new Map(
      this.#endpoints.flatMap((endpoint) =>
        endpoint.capacity === undefined ? [] : [[endpoint.slot, endpoint.capacity]],
      ),
    )
    const capacity = this.#capacityBySlot.get(slot)
    return capacity === undefined ? {} : { capacity }
  }

  #idOf(slot: number): string {
    return this.#ids.get(slot) ?? ''
  }
}

function numberOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null
}

function opinionOf(score: number | undefined): number | null {
  return score !== undefined && score >= 0 && score <= 1 ? score : null
}

function counted(score: number | undefined, mean: number | undefined): number {
  return opinionOf(score) ?? mean ?? 0
}

/** Why an endpoint was left out at a stage of the decision. */
export function leftOutOf(stage: string, healthValue: number | undefined, ejected: number | undefined): LeftOut {
  if (stage === 'slow-start') return 'starting'
  if (stage !== 'usable') return 'filtered'
  if (healthValue === health.unready) return 'unready'
  return ejected === 0 ? 'resting' : 'ejected'
}
