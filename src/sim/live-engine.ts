import type { Clock, Timer } from '#core/clock.ts'
import type { AdapterTable } from './adapter-table.ts'
import type { KvEventSink } from './kv-event-sink.ts'
import { LiveTicket, liveRequest, type Ticket, type TicketActions, type Work } from './live-ticket.ts'
import type { EngineModel } from './model/engine-model.ts'
import type { EngineStep, EngineObserver as ModelObserver } from './model/engine-observer.ts'
import type { EngineCall } from './model/engine-request.ts'
import type { EngineSettings } from './model/engine-settings.ts'
import { RankGroup } from './model/rank-group.ts'

const never = Number.POSITIVE_INFINITY

/** Tokens after which one turn of the event loop ends, so that catching up (or a token time of zero) lets others in between. */
const TOKENS_PER_TURN = 512

/** Longer ones overflow Node's timers; one that fires early is set again. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** Most steps whose tokens are told together by an engine that merges tokens. */
const MERGED_STEPS = 16

/** What wants to know what the engine does, for metrics; called in order of the engine's time. */
export interface EngineObserver {
  /** At the first admission only. */
  onAdmitted(ticket: Ticket): void
  /** After each token; `gapMs` is the time since the one before, for the first since arrival. */
  onToken(ticket: Ticket, gapMs: number): void
  onFinished(ticket: Ticket): void
  /** After each step of a rank, with the prompt and output tokens it handled. */
  onStep(tokens: number, rank: number, step: EngineStep): void
}

/** Live numbers of an engine or of one rank of it; the totals count since the start. */
export interface EngineStats {
  readonly running: number
  /** All that wait for the scheduler, `deferred` included; those still in the front end are not here yet. */
  readonly waiting: number
  /** Waiting only because too many other adapters run, or because their KV is on its way. */
  readonly deferred: number
  readonly usedBlocks: number
  /** All KV blocks there are. */
  readonly totalBlocks: number
  /** Used blocks as a part of all. */
  readonly kvUse: number
  readonly submitted: number
  readonly finished: number
  readonly aborted: number
  readonly preemptions: number
  /** Prompt tokens of requests at their first admission, and how many of them were cached. */
  readonly promptTokens: number
  readonly cachedTokens: number
  /** Prompt tokens fetched from prefill engines. */
  readonly fetchedTokens: number
  readonly outputTokens: number
}

/** How a live engine runs its model. */
export interface LiveSettings {
  readonly model: EngineSettings
  /** Data-parallel ranks. */
  readonly ranks: number
  /** How many times faster than the clock the engine's time goes. */
  readonly timeFactor: number
  /** Tokens told at once, but for the first one and the rest at the end, as vLLM's `--stream-interval`. */
  readonly streamInterval: number
  /** Whether tokens that were made in one turn are told at once. */
  readonly mergesTokens: boolean
}

/**
 * The engine model in real time: one timer, set for the model's next event, advances it, and tokens go to those who asked.
 *
 * The engine has a time of its own, in milliseconds since its start, `timeFactor` times as fast as the clock; all times of
 * tickets and observers are of this kind. Late timers do not distort it: a turn that comes late runs all that should have
 * happened, at the times it should have happened. What one turn does is bounded; a rest is done in the next one.
 */
export class LiveEngine {
  readonly settings: LiveSettings
  readonly #clock: Clock
  readonly #adapters: AdapterTable
  readonly #originMs: number
  readonly #startWallMs: number
  readonly #group: RankGroup
  readonly #observers: EngineObserver[] = []
  readonly #sinks: KvEventSink[] = []
  readonly #actions: TicketActions
  /** All that have not ended. */
  readonly #tickets = new Map<EngineCall, LiveTicket>()
  /** Requests that made a token and have not ended, by adapter, in order of the first token. */
  readonly #usedAdapters = new Map<string, number>()
  /** Those with something to tell. */
  readonly #listed: LiveTicket[] = []
  #isTelling = false
  #isAdvancing = false
  #timer: Timer | undefined
  #timerDueMs = never
  #nowMs = 0
  #turnTokens = 0

  constructor(settings: LiveSettings, clock: Clock, adapters: AdapterTable) {
    this.settings = settings
    this.#clock = clock
    this.#adapters = adapters
    this.#originMs = clock.nowMs()
    this.#startWallMs = clock.wallMs()
    this.#group = new RankGroup(settings.model, settings.ranks, (rank) => this.#modelObserver(rank))
    this.#actions = {
      abort: (ticket) => this.#abort(ticket),
      freeze: (ticket) => this.#freeze(ticket),
      releaseHeld: (ticket) => this.#releaseHeld(ticket),
    }
  }

  /** The engine's time. */
  nowMs(): number {
    this.#nowMs = Math.max(this.#nowMs, (this.#clock.nowMs() - this.#originMs) * this.settings.timeFactor)
    return this.#nowMs
  }

  /** Data-parallel ranks. */
  get rankCount(): number {
    return this.#group.ranks.length
  }

  /** Requests taken that have not ended, those in the front end included: what an admission limit counts. */
  get openCount(): number {
    return this.#tickets.size
  }

  observe(observer: EngineObserver): void {
    this.#observers.push(observer)
  }

  /** Tells a sink of all KV blocks from now on. */
  publishTo(sink: KvEventSink): void {
    this.#sinks.push(sink)
  }

  /** As {@link submitAll}, for one. */
  submit(work: Work): Ticket {
    const [ticket] = this.submitAll([work])
    if (ticket === undefined) throw new RangeError('no ticket for a work')
    return ticket
  }

  /**
   * Hands over works that arrive together. Prompt and output of each must fit the KV cache of one rank. Throws a RangeError for
   * what cannot be, a rank that is not there included.
   */
  submitAll(works: readonly Work[]): readonly Ticket[] {
    const nowMs = this.nowMs()
    const tickets = this.#exclusively(() => works.map((work) => this.#take(work, nowMs)))
    this.#tell()
    this.#arm()
    return tickets
  }

  /** Sums over the ranks now; `kvUse` is their mean. */
  stats(): EngineStats {
    return this.rankStats().reduce(sumOf)
  }

  /** The numbers of each rank, now or, for an observer, when what it is told of happened. */
  rankStats(): readonly EngineStats[] {
    this.#catchUp()
    return this.#group.ranks.map(statsOf)
  }

  /** Adapters with a request that made a token and has not ended, in order of those tokens. */
  activeAdapters(): readonly string[] {
    return [...this.#usedAdapters.keys()]
  }

  /** Forgets all cached blocks when the next step begins. Says whether every rank does: one with blocks in use does not. */
  clearPrefixCache(): boolean {
    this.#catchUp()
    const cleared = this.#group.ranks.map((rank) => rank.clearCache(rank.reachedMs))
    this.#arm()
    return cleared.every(Boolean)
  }

  /** Aborts everything that waits or runs. */
  close(): void {
    for (const ticket of this.#tickets.values()) ticket.abort()
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #take(work: Work, nowMs: number): LiveTicket {
    const adapter = work.adapter === undefined ? undefined : this.#adapters.get(work.adapter)
    const { blockSize } = this.settings.model
    const { request, tokens } = liveRequest(work, blockSize, adapter)
    const { call, rank } = this.#group.submit(request, nowMs, work.rank)
    const ticket = new LiveTicket(work, { rank, call, tokens }, { blockSize, actions: this.#actions })
    this.#tickets.set(call, ticket)
    if (work.isFrozen === true) this.#halt(ticket)
    return ticket
  }

  /** Runs what is due by now, as far as one turn may, and tells of it. */
  #catchUp(): void {
    // While tokens are told the model stands still: who is told may ask for an abort, but not for another turn.
    if (this.#isTelling || this.#isAdvancing) return
    const nowMs = this.nowMs()
    this.#turnTokens = 0
    while (!this.#advance(nowMs) && this.#turnTokens < TOKENS_PER_TURN);
  }

  /** One step of each rank (some, where tokens are merged), and whether that was all there is to do by now. */
  #advance(nowMs: number): boolean {
    const mostSteps = this.settings.mergesTokens ? MERGED_STEPS : 1
    const isCurrent = this.#exclusively(() => {
      let isAll = true
      for (const rank of this.#group.ranks) isAll = rank.advance(nowMs, mostSteps) && isAll
      return isAll
    })
    this.#tell()
    return isCurrent
  }

  /** Does what may advance the model; observers that are told meanwhile find it as it is. */
  #exclusively<T>(run: () => T): T {
    this.#isAdvancing = true
    try {
      return run()
    } finally {
      this.#isAdvancing = false
    }
  }

  #arm(): void {
    // Something is left to tell only when a listener threw.
    const dueMs = this.#listed.length > 0 && !this.#isTelling ? this.#nowMs : this.#group.nextEventMs
    if (dueMs === this.#timerDueMs && this.#timer !== undefined) return
    this.#timer?.cancel()
    this.#timer = undefined
    this.#timerDueMs = dueMs
    if (dueMs === never) return
    const delayMs = Math.min(LONGEST_TIMER_MS, Math.max(0, (dueMs - this.nowMs()) / this.settings.timeFactor))
    this.#timer = this.#clock.after(delayMs, () => {
      this.#timer = undefined
      try {
        this.#catchUp()
      } finally {
        this.#arm()
      }
    })
  }

  #abort(ticket: LiveTicket): void {
    if (!isOpen(ticket)) return
    this.#catchUp()
    const rank = this.#group.ranks[ticket.rank]
    if (isOpen(ticket) && rank !== undefined) {
      rank.cancel(ticket.call, rank.reachedMs)
      this.#forget(ticket)
    }
    this.#arm()
  }

  #freeze(ticket: LiveTicket): void {
    if (!isOpen(ticket)) return
    this.#catchUp()
    this.#halt(ticket)
    this.#arm()
  }

  #halt(ticket: LiveTicket): void {
    const rank = this.#group.ranks[ticket.rank]
    ticket.isFrozen = true
    if (isOpen(ticket)) rank?.freeze(ticket.call, rank.reachedMs)
  }

  #releaseHeld({ rank: index, call }: LiveTicket): void {
    this.#catchUp()
    const rank = this.#group.ranks[index]
    rank?.releaseHeld(call, rank.reachedMs)
    this.#arm()
  }

  #forget(ticket: LiveTicket): void {
    const { adapter } = ticket.work
    this.#tickets.delete(ticket.call)
    if (adapter === undefined || ticket.call.producedTokens === 0) return
    const left = (this.#usedAdapters.get(adapter) ?? 1) - 1
    if (left === 0) this.#usedAdapters.delete(adapter)
    else this.#usedAdapters.set(adapter, left)
  }

  #list(ticket: LiveTicket): void {
    if (ticket.isListed) return
    ticket.isListed = true
    this.#listed.push(ticket)
  }

  /** Tells what the model has made. */
  #tell(): void {
    if (this.#isTelling || this.#isAdvancing) return
    this.#isTelling = true
    let count = 0
    try {
      while (count < this.#listed.length) {
        const ticket = this.#listed[count++]!
        ticket.isListed = false
        this.#tellOne(ticket)
      }
    } finally {
      // Who throws when told does not cost those after it: they are told in the next turn.
      this.#listed.splice(0, count)
      this.#isTelling = false
    }
  }

  #tellOne(ticket: LiveTicket): void {
    const { work } = ticket
    const made = ticket.produced
    while (ticket.told < made && work.onTokens !== undefined && !isCut(ticket)) {
      const count = this.#tokensAtOnce(ticket, made)
      if (count === 0) break
      const first = ticket.told
      ticket.told = ticket.produced = first + count
      work.onTokens(first, count)
    }
    ticket.produced = made
    if (ticket.phase === 'done' && !ticket.isFrozen) work.onDone()
  }

  /** How many of the tokens made are told at once; none as long as more have to come together. */
  #tokensAtOnce({ work, told, phase }: LiveTicket, made: number): number {
    const { streamInterval, mergesTokens } = this.settings
    if (told === 0 || work.isPerToken === true) return 1
    const rest = made - told
    if (rest < streamInterval) return phase === 'done' ? rest : 0
    return mergesTokens ? rest : streamInterval
  }

  #modelObserver(rank: number): ModelObserver {
    return {
      onAdmitted: (call, atMs) => this.#onAdmitted(call, atMs),
      onToken: (call, atMs) => this.#onToken(call, atMs),
      onFinished: (call, atMs) => this.#onFinished(call, atMs),
      onStep: (step) => {
        const { decodes, chunkTokens, endMs } = step
        this.#turnTokens += 1 + decodes
        for (const observer of this.#observers) observer.onStep(decodes + chunkTokens, rank, step)
        for (const sink of this.#sinks) sink.stepEnd(rank, this.#startWallMs + endMs / this.settings.timeFactor)
      },
      onBlocksStored: (call, firstBlock, count) => {
        if (this.#sinks.length > 0) this.#onBlocksStored(call, firstBlock, count)
      },
      onBlockRemoved: (hash) => {
        for (const sink of this.#sinks) sink.removed(rank, hash)
      },
      onCacheCleared: () => {
        for (const sink of this.#sinks) sink.cleared(rank)
      },
    }
  }

  #onAdmitted(call: EngineCall, atMs: number): void {
    const ticket = this.#tickets.get(call)
    if (ticket === undefined || call.preemptions > 0) return
    ticket.admittedMs = atMs
    for (const observer of this.#observers) observer.onAdmitted(ticket)
  }

  #onToken(call: EngineCall, atMs: number): void {
    const ticket = this.#tickets.get(call)
    if (ticket === undefined) return
    const isFirst = ticket.produced++ === 0
    const gapMs = atMs - (isFirst ? ticket.arrivedMs : ticket.lastTokenMs)
    ticket.lastTokenMs = atMs
    if (isFirst) {
      ticket.firstTokenMs = atMs
      const { adapter } = ticket.work
      if (adapter !== undefined) this.#usedAdapters.set(adapter, (this.#usedAdapters.get(adapter) ?? 0) + 1)
    }
    for (const observer of this.#observers) observer.onToken(ticket, gapMs)
    if (ticket.work.onTokens !== undefined) this.#list(ticket)
  }

  #onFinished(call: EngineCall, atMs: number): void {
    const ticket = this.#tickets.get(call)
    if (ticket === undefined) return
    if (ticket.produced === 0) ticket.firstTokenMs = ticket.lastTokenMs = atMs
    this.#forget(ticket)
    for (const observer of this.#observers) observer.onFinished(ticket)
    this.#list(ticket)
  }

  #onBlocksStored(call: EngineCall, firstBlock: number, count: number): void {
    const ticket = this.#tickets.get(call)
    if (ticket === undefined) return
    const { blockSize } = this.settings.model
    const { blockHashes } = call.request
    const { adapter, cacheSalt } = ticket.work
    const end = firstBlock + count
    const blocks = {
      rank: ticket.rank,
      hashes: Array.from(blockHashes.subarray(firstBlock, end)),
      parentHash: firstBlock === 0 ? undefined : blockHashes[firstBlock - 1],
      tokenIds: ticket.tokens.subarray(firstBlock * blockSize, end * blockSize),
      blockSize,
      firstBlock,
      adapter,
      adapterId: adapter === undefined ? undefined : call.request.adapter,
      cacheSalt: cacheSalt === '' ? undefined : cacheSalt,
    }
    for (const sink of this.#sinks) sink.stored(blocks)
  }
}

/** Whether a ticket has not ended. */
function isOpen({ phase }: LiveTicket): boolean {
  return phase === 'waiting' || phase === 'running'
}

/** Whether nothing more of a ticket is to be told. */
function isCut(ticket: LiveTicket): boolean {
  return ticket.isFrozen || ticket.phase === 'aborted'
}

function statsOf(rank: EngineModel): EngineStats {
  const { counters } = rank
  return {
    running: rank.runningCount,
    waiting: rank.waitingCount,
    deferred: rank.deferredCount + rank.fetchingCount,
    usedBlocks: rank.cache.usedBlocks,
    totalBlocks: rank.cache.totalBlocks,
    kvUse: rank.kvUse,
    submitted: counters.submitted,
    finished: counters.finished,
    aborted: counters.cancelled,
    preemptions: counters.preemptions,
    promptTokens: counters.queriedTokens,
    cachedTokens: counters.cachedTokens,
    fetchedTokens: counters.fetchedTokens,
    outputTokens: counters.generatedTokens,
  }
}

function sumOf(a: EngineStats, b: EngineStats, index: number): EngineStats {
  return {
    running: a.running + b.running,
    waiting: a.waiting + b.waiting,
    deferred: a.deferred + b.deferred,
    usedBlocks: a.usedBlocks + b.usedBlocks,
    totalBlocks: a.totalBlocks + b.totalBlocks,
    kvUse: (a.kvUse * index + b.kvUse) / (index + 1),
    submitted: a.submitted + b.submitted,
    finished: a.finished + b.finished,
    aborted: a.aborted + b.aborted,
    preemptions: a.preemptions + b.preemptions,
    promptTokens: a.promptTokens + b.promptTokens,
    cachedTokens: a.cachedTokens + b.cachedTokens,
    fetchedTokens: a.fetchedTokens + b.fetchedTokens,
    outputTokens: a.outputTokens + b.outputTokens,
  }
}
