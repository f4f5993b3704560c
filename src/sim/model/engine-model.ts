import { BlockPhases } from './block-phases.ts'
import { type EngineCounters, type EngineObserver, newCounters } from './engine-observer.ts'
import { type EngineCall, type EngineRequest, type Seat, seatOf } from './engine-request.ts'
import type { EngineSettings } from './engine-settings.ts'
import { KvCache } from './kv-cache.ts'
import { Scheduler } from './scheduler.ts'
import { stepMs } from './step-time.ts'
import { WaitingQueue } from './waiting-queue.ts'

const never = Number.POSITIVE_INFINITY

/** How soon an idle engine that finds a shared pool of blocks full looks again. */
const pooledRetryMs = 5

/** Makes a bound of a sum so much less that rounding cannot put it after the sum. */
const boundShrink = 1 - 1e-9

/**
 * One rank of a continuously batching engine as a discrete-event model, after vLLM V1. It has no clock: the driver says what
 * time it is, in milliseconds from any origin, never going back. The same calls at the same times give the same events, and it
 * does not matter how the driver cuts the time between them into calls of {@link advance} (but for a request that reaches the
 * scheduler at the very time of such a call: only with a front end of 0 ms).
 *
 * Steps follow one another while there is work; what comes during a step is seen by the next one. What a step computes is the
 * {@link Scheduler}'s decision, how long it takes is that of `stepMs`.
 *
 * A driver in virtual time repeats: go to the earlier of the next arrival and {@link nextEventMs}; submit or advance. A driver
 * in real time advances when a timer set for `nextEventMs` fires.
 */
export class EngineModel {
  readonly settings: EngineSettings
  /** Totals since the start; read only. */
  readonly counters: EngineCounters = newCounters()
  readonly #observer: EngineObserver
  readonly #cache: KvCache
  readonly #scheduler: Scheduler
  readonly #phases: BlockPhases
  /** In order of the time they reach the scheduler, and of the end of their hold. */
  readonly #arriving = new WaitingQueue(false)
  readonly #held = new WaitingQueue(false)
  /** Requests of the step under way that have a token or an end to report. */
  readonly #ended: Seat[] = []
  #nowMs = Number.NEGATIVE_INFINITY
  #stepStartMs = 0
  #stepEndMs = never
  /** When an idle engine has to look at its queue again. */
  #retryMs = never
  #clearsCache = false
  /** Steps that can follow the one under way with nothing but decode tokens in them, unless something arrives. */
  #quietSteps = 0
  /** Steps take so many times as long as the settings say. */
  #pace = 1
  /** An idle engine begins no step before this time. */
  #stalledUntilMs = Number.NEGATIVE_INFINITY
  readonly #isPooled: boolean

  /**
   * With a `pool` the engine takes its blocks from there, as other engines do, instead of having `kvBlocks` of its own: what no
   * fleet can do, a bound for what fleets do. Blocks of the pool are announced by no observer as removed.
   */
  constructor(settings: EngineSettings, observer: EngineObserver = {}, pool?: KvCache) {
    this.settings = settings
    this.#observer = observer
    this.#isPooled = pool !== undefined
    this.#cache = pool ?? new KvCache(settings.kvBlocks, (hash) => this.#tellRemoved(hash))
    this.#scheduler = new Scheduler({ settings, cache: this.#cache, observer, counters: this.counters })
    this.#phases = new BlockPhases(this.#cache, this.#scheduler.blocks, settings.blockSize)
  }

  /** The KV blocks, for reading. */
  get cache(): Pick<KvCache, 'totalBlocks' | 'usedBlocks' | 'cachedBlocks' | 'freeBlocks' | 'find' | 'referencesOf'> {
    return this.#cache
  }

  get runningCount(): number {
    return this.#scheduler.running.length
  }

  /** Requests that the scheduler knows and does not run, those deferred or fetching KV included. */
  get waitingCount(): number {
    return this.#scheduler.waiting.length
  }

  /** Waiting only because too many other adapters run, as the last step saw it. */
  get deferredCount(): number {
    return this.#scheduler.deferredCount
  }

  /** Waiting because their KV is on its way from a prefill engine. */
  get fetchingCount(): number {
    return this.#scheduler.fetches.fetchingCount
  }

  /** Used blocks as a part of all. */
  get kvUse(): number {
    return this.#cache.usedBlocks / this.#cache.totalBlocks
  }

  /** Adapters with a running request, and those that are loaded. */
  get runningAdapters(): readonly number[] {
    return this.#scheduler.adapters.running()
  }

  get loadedAdapters(): readonly number[] {
    return this.#scheduler.adapters.loaded()
  }

  /** Calls the model knows, those in the front end and held ones included. */
  calls(): readonly EngineCall[] {
    const queued = [this.#arriving, this.#scheduler.waiting, this.#held].flatMap((queue) => queue.list())
    return [...this.#scheduler.running, ...queued]
  }

  /**
   * Until this time no request gets its first token or ends, unless one is submitted, cancelled or released: `Infinity` when
   * there is nothing to do. It may lie before the event: then advance to it and ask again.
   */
  get nextEventMs(): number {
    if (this.#stepEndMs === never) return this.#wakeMs()
    const steps = this.#sureQuietSteps()
    if (steps <= 0) return this.#stepEndMs
    const quietMs = steps * (this.#stepEndMs - this.#stepStartMs) * boundShrink
    return Math.max(this.#stepEndMs, Math.min(this.#stepEndMs + quietMs, this.#interruptMs()))
  }

  /** Quiet steps that need no block of another request and let nobody in; each takes no less than the one before. */
  #sureQuietSteps(): number {
    if (this.#quietSteps === 0 || !Number.isNaN(this.#scheduler.blocks.missingHash)) return 0
    const blocksEach = Math.floor(this.#cache.availableBlocks / this.#scheduler.running.length)
    return Math.min(this.#quietSteps, (blocksEach - 1) * this.settings.blockSize)
  }

  /** Hands over a request; how many may wait is for the driver to limit. Throws a RangeError when it could never run. */
  submit(request: EngineRequest, nowMs: number): EngineCall {
    if (nowMs < this.#nowMs) throw new RangeError(`time goes back from ${this.#nowMs} to ${nowMs}`)
    const blocks = this.#scheduler.blocks.blocksOf(request.promptTokens + request.outputTokens)
    if (request.promptTokens < 1) throw new RangeError('a prompt has at least one token')
    if (blocks > this.settings.kvBlocks) {
      throw new RangeError(`the request needs ${blocks} blocks of ${this.settings.kvBlocks}`)
    }
    const seat = seatOf(request, {
      number: this.counters.submitted++,
      arrivedMs: nowMs,
      dueMs: nowMs + this.settings.frontEndMs,
      isPrefillOnly: this.settings.role === 'prefill',
    })
    this.#arriving.add(seat)
    return seat
  }

  /** Takes a request out at once, wherever it is; its blocks are free at once. Does nothing after its end. */
  cancel(call: EngineCall, nowMs: number): void {
    this.advance(nowMs)
    const seat = this.#seatOf(call)
    if (seat.phase === 'finished' || seat.phase === 'cancelled') return
    if (seat.phase === 'arriving') this.#arriving.remove(seat)
    else if (seat.phase === 'held') this.#held.remove(seat)
    else this.#scheduler.remove(seat)
    if (seat.phase !== 'held') this.counters.cancelled++
    this.#giveBack(seat, 'cancelled', nowMs)
  }

  /** Ends the hold of a request's blocks: the decoding engine has them. Does nothing when it is not held. */
  releaseHeld(call: EngineCall, nowMs: number): void {
    this.advance(nowMs)
    const seat = this.#seatOf(call)
    if (this.#held.remove(seat)) this.#giveBack(seat, 'finished', nowMs)
  }

  /**
   * Forgets all cached blocks when the next step begins: engines do what they are told between steps, and tell of it with the
   * step that follows (real-engine.md 3, 5). Says false, and forgets nothing, while any request holds blocks, as vLLM does.
   */
  clearCache(nowMs: number): boolean {
    this.advance(nowMs)
    if (this.#cache.usedBlocks > 0) return false
    this.#clearsCache = true
    this.#quietSteps = 0
    return true
  }

  /** Computes nothing more for a request; it keeps its place and its blocks, or waits for them, until it is cancelled. */
  freeze(call: EngineCall, nowMs: number): void {
    this.advance(nowMs)
    this.#seatOf(call).idleUntilMs = never
    this.#quietSteps = 0
  }

  get pace(): number {
    return this.#pace
  }

  /** From the next step on, steps take `factor` (more than 0) times as long as the settings say: another machine's pace. */
  setPace(factor: number, nowMs: number): void {
    this.advance(nowMs)
    this.#pace = factor
    this.#quietSteps = 0
  }

  /** Computes nothing until a time: the step under way ends so much later. What is submitted meanwhile waits. */
  stall(untilMs: number, nowMs: number): void {
    this.advance(nowMs)
    if (untilMs <= nowMs) return
    if (this.#stepEndMs === never) this.#stalledUntilMs = Math.max(this.#stalledUntilMs, untilMs)
    else this.#stepEndMs += untilMs - nowMs
    this.#quietSteps = 0
  }

  /**
   * The process dies and another takes its place: every request is taken out (and counts as cancelled), the step under way is
   * lost, blocks and adapters are forgotten. The pace stays, a stall is over.
   */
  crash(nowMs: number): void {
    this.advance(nowMs)
    for (const call of this.calls()) this.cancel(call, nowMs)
    this.#clearsCache = false
    if (!this.#isPooled) this.#cache.clear()
    this.#scheduler.adapters.forget()
    this.#stepEndMs = this.#retryMs = never
    this.#stalledUntilMs = Number.NEGATIVE_INFINITY
    this.#quietSteps = 0
  }

  /** Up to when everything that happens has happened. */
  get reachedMs(): number {
    return this.#nowMs
  }

  /**
   * Runs all steps that end by `untilMs` and begins those that begin by then. An engine that steps one by one ends at most
   * `mostSteps`; returns whether that was enough.
   */
  advance(untilMs: number, mostSteps = never): boolean {
    let steps = 0
    for (;;) {
      if (this.#stepEndMs === never) {
        const wakeMs = this.#wakeMs()
        if (wakeMs > untilMs || wakeMs === never) break
        this.#beginStep(Math.max(wakeMs, this.#nowMs))
        continue
      }
      if (this.#quietSteps > 0) this.#runQuietSteps(untilMs)
      if (this.#stepEndMs > untilMs) break
      if (steps++ >= mostSteps) return false
      this.#endStep()
      this.#beginStep(this.#stepEndMs)
    }
    if (untilMs !== never && untilMs > this.#nowMs) this.#nowMs = untilMs
    if (this.#stepEndMs === never) this.#endHolds(this.#nowMs)
    return true
  }

  #tellRemoved(hash: number): void {
    if (this.#clearsCache && this.#observer.onCacheCleared !== undefined) return
    this.#observer.onBlockRemoved?.(hash, this.#nowMs)
  }

  #seatOf(call: EngineCall): Seat {
    return call as Seat
  }

  /** After blocks came back outside of a step. */
  #giveBack(seat: Seat, phase: 'cancelled' | 'finished', nowMs: number): void {
    this.#scheduler.blocks.release(seat)
    seat.phase = phase
    this.#quietSteps = 0
    if (this.#stepEndMs === never && this.#scheduler.waiting.length > 0) this.#retryMs = nowMs
  }

  /** When something comes in from outside the steps: an arrival, a fetch that ends, a hold that ends. */
  #interruptMs(): number {
    const arrivingMs = this.#arriving.at(0)?.dueMs ?? never
    return Math.min(arrivingMs, this.#scheduler.fetches.nextMs, this.#held.at(0)?.dueMs ?? never)
  }

  /** When an idle engine begins its next step. */
  #wakeMs(): number {
    const arrivingMs = this.#arriving.at(0)?.dueMs ?? never
    const wakeMs =
      this.#scheduler.waiting.length + this.#scheduler.running.length === 0
        ? arrivingMs
        : Math.min(this.#interruptMs(), this.#retryMs)
    return Math.max(wakeMs, this.#stalledUntilMs)
  }

  #beginStep(atMs: number): void {
    this.#nowMs = atMs
    this.#stepStartMs = atMs
    this.#retryMs = never
    this.#receive(atMs)
    if (this.#clearsCache) this.#clearCache(atMs)
    this.#scheduler.fillStep(atMs)
    const { work, waiting, nextPromptMs } = this.#scheduler
    const isIdle = work.decodes + work.chunks === 0
    this.#stepEndMs = isIdle ? never : atMs + this.#stepMs() + this.#scheduler.loadMs
    if (isIdle) this.#retryMs = nextPromptMs
    if (isIdle && this.#isPooled && waiting.length > 0) this.#retryMs = Math.min(nextPromptMs, atMs + pooledRetryMs)
    this.#quietSteps = this.#plannedQuietSteps()
  }

  #clearCache(atMs: number): void {
    this.#observer.onCacheCleared?.(atMs)
    this.#cache.clear()
    this.#clearsCache = false
  }

  #stepMs(): number {
    return stepMs(this.settings.cost, this.#scheduler.work) * this.#pace
  }

  /** Lets in what has come by now, in order of time. */
  #receive(atMs: number): void {
    for (let seat = this.#arriving.at(0); seat && seat.dueMs <= atMs; seat = this.#arriving.at(0)) {
      this.#arriving.removeAt(0)
      seat.phase = 'waiting'
      this.#scheduler.waiting.add(seat)
    }
    this.#scheduler.receiveFetched(atMs)
    this.#endHolds(atMs)
  }

  #endHolds(atMs: number): void {
    for (let seat = this.#held.at(0); seat && seat.dueMs <= atMs; seat = this.#held.at(0)) {
      this.#held.removeAt(0)
      this.#scheduler.blocks.release(seat)
      seat.phase = 'finished'
    }
  }

  /** Applies what the step under way has computed, at its end. */
  #endStep(): void {
    const atMs = this.#stepEndMs
    this.#nowMs = atMs
    this.#countStep()
    const running = this.#scheduler.running
    const reportsAll = this.#observer.onToken !== undefined
    let kept = 0
    for (let i = 0; i < running.length; i++) {
      const seat = running[i]!
      if (seat.idleUntilMs === never) seat.scheduled = 0
      seat.computed += seat.scheduled
      seat.scheduled = 0
      const isSampled = seat.computed === seat.known
      if (isSampled && this.#sample(seat, atMs)) this.#ended.push(seat)
      else running[kept++] = seat
      if (isSampled && seat.phase === 'running' && (reportsAll || seat.firstTokenMs === atMs)) this.#ended.push(seat)
    }
    running.length = kept
    for (const seat of this.#ended) this.#report(seat, atMs)
    this.#ended.length = 0
    this.#tellStep()
  }

  /** Adds the output token of a request that has computed all it knows; returns whether that ends it. */
  #sample(seat: Seat, atMs: number): boolean {
    if (seat.outputTokens > 0) {
      seat.known++
      seat.producedTokens++
      this.counters.generatedTokens++
      if (seat.producedTokens === 1) seat.firstTokenMs = atMs
      seat.lastTokenMs = atMs
    }
    if (seat.producedTokens < seat.outputTokens) return false
    seat.phase = seat.holdsBlocks ? 'held' : 'finished'
    return true
  }

  #report(seat: Seat, atMs: number): void {
    if (seat.firstTokenMs === atMs) this.#observer.onFirstToken?.(seat, atMs)
    if (seat.lastTokenMs === atMs) this.#observer.onToken?.(seat, atMs)
    if (seat.phase === 'running') return
    this.counters.finished++
    this.#scheduler.adapters.stop(seat.adapter)
    if (seat.phase === 'held') {
      seat.dueMs = atMs + this.settings.holdMs
      this.#held.add(seat)
    } else {
      this.#scheduler.blocks.release(seat)
    }
    this.#observer.onFinished?.(seat, atMs)
  }

  #countStep(): void {
    const { decodes, chunkTokens } = this.#scheduler.work
    this.counters.steps++
    this.counters.busyMs += this.#stepEndMs - this.#stepStartMs
    this.counters.chunkTokens += chunkTokens
    this.counters.decodedTokens += decodes
  }

  #tellStep(): void {
    const { decodes, chunkTokens } = this.#scheduler.work
    this.#observer.onStep?.({ startMs: this.#stepStartMs, endMs: this.#stepEndMs, decodes, chunkTokens })
  }

  /**
   * Steps that can follow in which every running request gets one token and nothing else changes: as many as the request with
   * the fewest tokens to go allows. What waits goes on waiting: blocks only get fewer, and places and adapters stay taken.
   */
  #plannedQuietSteps(): number {
    // What other engines do to a shared pool may change any step.
    if (this.#isPooled) return 0
    const isPlain = this.#scheduler.work.chunks === 0 && this.#scheduler.work.decodes === this.#scheduler.running.length
    if (!isPlain || this.#scheduler.hasPreempted || this.#scheduler.loadMs > 0 || this.#observer.onToken !== undefined)
      return 0
    let least = never
    for (let i = 0; i < this.#scheduler.running.length; i++) {
      const seat = this.#scheduler.running[i]!
      if (seat.producedTokens === 0) return 0
      least = Math.min(least, seat.outputTokens - seat.producedTokens)
    }
    return least === never ? 0 : least - 1
  }

  /** Ends steps and begins the following ones, up to `untilMs`, while they are quiet: exactly what single steps would do. */
  #runQuietSteps(untilMs: number): void {
    if (this.#stepEndMs > untilMs) return
    const interruptMs = this.#interruptMs()
    const work = this.#scheduler.work
    this.#phases.group(this.#scheduler.running)
    let steps = 0
    while (steps < this.#quietSteps && this.#stepEndMs <= untilMs && this.#stepEndMs < interruptMs) {
      if (!this.#phases.canTurn(steps + 1)) break
      steps++
      this.#countStep()
      this.#tellStep()
      this.#nowMs = this.#stepStartMs = this.#stepEndMs
      this.#phases.turn(steps, this.#nowMs)
      work.contextTokens += work.decodes
      this.#stepEndMs += this.#stepMs()
    }
    if (steps === 0) return
    this.#quietSteps -= steps
    this.counters.generatedTokens += steps * work.decodes
    for (let i = 0; i < this.#scheduler.running.length; i++) {
      const seat = this.#scheduler.running[i]!
      seat.computed += steps
      seat.known += steps
      seat.producedTokens += steps
      seat.lastTokenMs = this.#stepStartMs
    }
  }
}
