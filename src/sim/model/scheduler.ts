import { AdapterSlots } from './adapter-slots.ts'
import type { EngineCounters, EngineObserver } from './engine-observer.ts'
import type { Seat } from './engine-request.ts'
import type { EngineSettings } from './engine-settings.ts'
import type { KvCache } from './kv-cache.ts'
import { KvFetches } from './kv-fetches.ts'
import { SeatBlocks } from './seat-blocks.ts'
import type { StepWork } from './step-time.ts'
import { WaitingQueue } from './waiting-queue.ts'

/** What the scheduler of one engine works with. */
export interface SchedulerParts {
  readonly settings: EngineSettings
  readonly cache: KvCache
  readonly observer: EngineObserver
  readonly counters: EngineCounters
}

/**
 * Decides what each step computes, as the scheduler of vLLM V1 does (model-servers.md 6.4): running requests first, in order of
 * admission, each with a decode token or a chunk of its prompt; then waiting ones, while tokens, places, adapters and blocks
 * last. A running request without a block preempts the last one, and then nobody is admitted in this step.
 */
export class Scheduler {
  /** In order of admission. */
  readonly running: Seat[] = []
  readonly waiting: WaitingQueue
  readonly blocks: SeatBlocks
  readonly adapters: AdapterSlots
  readonly fetches: KvFetches
  /** What the step under way computes. */
  readonly work: StepWork = { decodes: 0, contextTokens: 0, chunks: 0, chunkTokens: 0, pairs: 0 }
  /** What loading adapters adds to the step under way. */
  loadMs = 0
  /** Whether the step under way began with a preemption. */
  hasPreempted = false
  /** Requests that wait only because too many other adapters run, as the last step saw it. */
  deferredCount = 0
  /** When the first of the running requests that wait for their prompt's step may compute; infinite when none does. */
  nextPromptMs = Number.POSITIVE_INFINITY
  readonly #settings: EngineSettings
  readonly #cache: KvCache
  readonly #observer: EngineObserver
  readonly #counters: EngineCounters

  constructor({ settings, cache, observer, counters }: SchedulerParts) {
    this.#settings = settings
    this.#cache = cache
    this.#observer = observer
    this.#counters = counters
    this.waiting = new WaitingQueue(settings.scheduling === 'priority')
    this.blocks = new SeatBlocks(cache, settings.blockSize, observer)
    this.adapters = new AdapterSlots(settings.maxAdapters)
    this.fetches = new KvFetches(settings)
  }

  /** Fills the step that begins now. It is empty only when nothing runs. */
  fillStep(atMs: number): void {
    const { work } = this
    work.decodes = work.contextTokens = work.chunks = work.chunkTokens = work.pairs = 0
    this.loadMs = 0
    this.hasPreempted = false
    this.nextPromptMs = Number.POSITIVE_INFINITY
    const budget = this.#scheduleRunning(atMs)
    if (!this.hasPreempted || this.running.length === 0) this.#scheduleWaiting(atMs, budget)
  }

  /** Lets requests whose KV has come by now be scheduled. */
  receiveFetched(atMs: number): void {
    for (let seat = this.fetches.takeArrived(atMs); seat; seat = this.fetches.takeArrived(atMs)) {
      const tokens = Math.max(seat.computed, Math.min(seat.request.remoteTokens ?? 0, seat.known - 1))
      this.blocks.store(seat, tokens - seat.computed, atMs)
      seat.computed = tokens
    }
  }

  /** Takes a running or waiting request out; its blocks stay its own. */
  remove(seat: Seat): void {
    if (seat.phase === 'running') {
      this.running.splice(this.running.indexOf(seat), 1)
      this.adapters.stop(seat.adapter)
      seat.scheduled = 0
    } else if (this.waiting.remove(seat)) {
      this.fetches.leave(seat)
    }
  }

  /** Gives each running request its tokens of this step; returns how many tokens are left for others. */
  #scheduleRunning(atMs: number): number {
    const running = this.running
    let budget = this.#settings.maxBatchedTokens
    let i = 0
    while (i < running.length && budget > 0) {
      const seat = running[i]!
      if (seat.idleUntilMs > atMs) {
        this.nextPromptMs = Math.min(this.nextPromptMs, seat.idleUntilMs)
        i++
        continue
      }
      const tokens = Math.min(seat.known - seat.computed, budget)
      const missing = this.blocks.missingFor(seat, seat.computed + tokens)
      while (missing > this.#cache.availableBlocks && seat.phase === 'running') {
        const victim = this.#victimIndex()
        budget += this.#preempt(victim, atMs)
        if (victim < i) i--
      }
      if (seat.phase !== 'running') continue
      this.blocks.grow(seat, missing)
      seat.scheduled = tokens
      budget -= tokens
      i++
    }
    for (i = 0; i < running.length; i++) this.#count(running[i]!, atMs)
    return budget
  }

  /** Adds a request's tokens of this step to the work, and announces the blocks they fill. */
  #count(seat: Seat, atMs: number): void {
    const tokens = seat.scheduled
    if (tokens === 0) return
    this.blocks.store(seat, tokens, atMs)
    if (seat.known - seat.computed === 1) {
      this.work.decodes++
      this.work.contextTokens += seat.known
    } else {
      this.work.chunks++
      this.work.chunkTokens += tokens
      this.work.pairs += tokens * (seat.computed + tokens / 2)
    }
  }

  /** The running request to preempt next: the last one, or the last among those of the greatest priority number. */
  #victimIndex(): number {
    let victim = this.running.length - 1
    if (this.#settings.scheduling === 'fcfs') return victim
    for (let i = victim - 1; i >= 0; i--) {
      const seat = this.running[i]!
      const worst = this.running[victim]!
      if (seat.priority > worst.priority || (seat.priority === worst.priority && seat.number > worst.number)) victim = i
    }
    return victim
  }

  /** Sends a running request back to wait; returns the tokens it had in this step. */
  #preempt(index: number, atMs: number): number {
    const seat = this.running[index]!
    this.running.splice(index, 1)
    const tokens = seat.scheduled
    this.blocks.release(seat)
    this.adapters.stop(seat.adapter)
    seat.scheduled = 0
    seat.phase = 'waiting'
    seat.preemptions++
    this.#counters.preemptions++
    this.hasPreempted = true
    this.waiting.addAgain(seat)
    this.#observer.onPreempted?.(seat, atMs)
    return tokens
  }

  /** Admits in order; the first without blocks blocks those behind it, but for those whose fetched KV takes blocks already. */
  #scheduleWaiting(atMs: number, tokens: number): void {
    let budget = tokens
    let index = 0
    let isBlocked = false
    this.deferredCount = 0
    this.blocks.missingHash = Number.NaN
    while (budget > 0 && this.running.length < this.#settings.maxNumSeqs) {
      const seat = this.waiting.at(index)
      if (seat === undefined) return
      if (!this.adapters.hasRoom(seat.adapter)) {
        this.deferredCount++
        index++
        continue
      }
      if (seat.blockCount === 0 && (isBlocked || !this.blocks.reserve(seat))) {
        if (this.fetches.arrivedCount === 0) return
        isBlocked = true
        index++
        continue
      }
      if (seat.remoteTokens > 0) {
        this.#fetch(seat, atMs)
        index++
        continue
      }
      this.waiting.removeAt(index)
      this.#admit(seat, budget, atMs)
      budget -= seat.scheduled
    }
  }

  /** Begins to fetch a request's KV, if that has not begun; it keeps its place in the queue and lets others pass. */
  #fetch(seat: Seat, atMs: number): void {
    if (!Number.isNaN(seat.fetchedMs)) return
    const tokens = Math.max(0, seat.remoteTokens - seat.computed)
    this.#countQuery(seat)
    this.#counters.fetchedTokens += tokens
    this.fetches.begin(seat, tokens, atMs)
  }

  #countQuery(seat: Seat): void {
    if (seat.preemptions > 0 || !Number.isNaN(seat.fetchedMs)) return
    seat.cachedTokens = seat.computed
    this.#counters.queriedTokens += seat.request.promptTokens
    this.#counters.cachedTokens += seat.computed
  }

  #admit(seat: Seat, budget: number, atMs: number): void {
    this.#countQuery(seat)
    this.fetches.leave(seat)
    if (Number.isNaN(seat.admittedMs)) seat.admittedMs = atMs
    const isLoad = this.adapters.start(seat.adapter)
    const loadMs = isLoad ? this.#settings.adapterLoadMs : 0
    if (isLoad) this.#counters.adapterLoads++
    const { promptDelayMs } = this.#settings
    if (promptDelayMs > 0) seat.idleUntilMs = Math.max(seat.idleUntilMs, atMs + promptDelayMs + loadMs)
    else this.loadMs += loadMs
    seat.phase = 'running'
    seat.scheduled = 0
    if (seat.idleUntilMs > atMs) this.nextPromptMs = Math.min(this.nextPromptMs, seat.idleUntilMs)
    else seat.scheduled = Math.min(seat.known - seat.computed, budget)
    this.running.push(seat)
    this.#observer.onAdmitted?.(seat, atMs)
    this.#count(seat, atMs)
  }
}
