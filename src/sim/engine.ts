import type { Clock, Timer } from '#core/clock.ts'
import { blockKeys, type KvLease, KvPool } from './kv-pool.ts'

/** Most tokens one request gets in one step, so that a pause of the process or a zero token time cannot stall everybody. */
const MAX_TOKENS_PER_STEP = 64

/** One generation (or, with no output tokens, one pass over a prompt) to be done. */
export interface Work {
  readonly promptTokens: Uint32Array
  /** Output tokens to make, exactly; 0 only reads the prompt (embeddings and the like). */
  readonly outputTokens: number
  /** What the end is counted as: the model stopped, or a token limit was reached. */
  readonly endsBy: 'stop' | 'length'
  readonly adapter: string | undefined
  /** Keeps its prefix blocks apart from those of other salts. */
  readonly cacheSalt: string
  /** Called for each output token, in order, from 0. */
  onToken(index: number): void
  /** Called once after the last token; never after an abort. */
  onDone(): void
}

/** One work's place in the engine. Times are `nowMs` of the clock, 0 while not reached. */
export interface Ticket {
  readonly work: Work
  readonly phase: 'waiting' | 'running' | 'done' | 'aborted'
  /** Output tokens made so far. */
  readonly produced: number
  readonly cachedTokens: number
  /** Prompt tokens in full blocks that were not cached before. */
  readonly newlyCachedTokens: number
  readonly arrivedMs: number
  readonly admittedMs: number
  readonly firstTokenMs: number
  readonly lastTokenMs: number
  /** Takes it out of the engine at once, in any phase; does nothing after the end. */
  abort(): void
  /** Makes no more tokens for it; it keeps its place until aborted. */
  freeze(): void
}

/** What wants to know what the engine does, for metrics. */
export interface EngineObserver {
  onAdmitted(ticket: Ticket): void
  /** After each token; `gapMs` is the time since the one before, for the first since arrival. */
  onToken(ticket: Ticket, gapMs: number): void
  onFinished(ticket: Ticket): void
  /** After each step with the prompt and output tokens it handled. */
  onStep(tokens: number): void
}

/** The part of the settings the engine needs. */
export interface EngineSettings {
  readonly ttftMs: number
  readonly tpotMs: number
  readonly maxNumSeqs: number
  readonly maxLoras: number
  readonly kvBlocks: number
  readonly blockSize: number
}

/** Live numbers of the engine; the totals count since the start. */
export interface EngineStats {
  readonly running: number
  /** All that wait, `deferred` included. */
  readonly waiting: number
  /** Waiting only because too many other adapters run. */
  readonly deferred: number
  readonly usedBlocks: number
  readonly submitted: number
  readonly finished: number
  readonly aborted: number
  /** Prompt tokens of admitted requests, and how many of them were cached. */
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly outputTokens: number
}

interface Seat extends Ticket {
  phase: Ticket['phase']
  produced: number
  cachedTokens: number
  newlyCachedTokens: number
  admittedMs: number
  firstTokenMs: number
  lastTokenMs: number
  dueMs: number
  readonly keys: Float64Array
  lease: KvLease | undefined
}

/**
 * A plain model of a continuously batching engine: the first token comes a fixed time after admission, each further one a fixed
 * time later. Due times are absolute, so late timers do not add up. One timer serves all requests.
 */
export class Engine {
  readonly #settings: EngineSettings
  readonly #clock: Clock
  readonly #observers: EngineObserver[] = []
  readonly #pool: KvPool
  readonly #waiting = new Set<Seat>()
  readonly #running = new Set<Seat>()
  readonly #runningAdapters = new Map<string, number>()
  #timer: Timer | undefined
  #timerDueMs = Number.POSITIVE_INFINITY
  #deferred = 0
  #totals = { submitted: 0, finished: 0, aborted: 0, promptTokens: 0, cachedTokens: 0, outputTokens: 0 }

  constructor(settings: EngineSettings, clock: Clock) {
    this.#settings = settings
    this.#clock = clock
    this.#pool = new KvPool(settings.kvBlocks, settings.blockSize)
  }

  observe(observer: EngineObserver): void {
    this.#observers.push(observer)
  }

  /** Puts work into the queue. Its prompt and output together must fit the KV cache, else it would wait for ever. */
  submit(work: Work): Ticket {
    const seat = this.#seat(work)
    this.#totals.submitted++
    this.#waiting.add(seat)
    this.#admit()
    return seat
  }

  stats(): EngineStats {
    return {
      running: this.#running.size,
      waiting: this.#waiting.size,
      deferred: this.#deferred,
      usedBlocks: this.#pool.usedBlocks,
      ...this.#totals,
    }
  }

  /** Adapters with a running request that made a token already, in order of admission. */
  activeAdapters(): readonly string[] {
    const names = new Set<string>()
    for (const seat of this.#running)
      if (seat.work.adapter !== undefined && seat.produced > 0) names.add(seat.work.adapter)
    return [...names]
  }

  clearPrefixCache(): void {
    this.#pool.clearCache()
  }

  /** Aborts everything that waits or runs. */
  close(): void {
    for (const seat of [...this.#waiting, ...this.#running]) seat.abort()
    this.#timer?.cancel()
  }

  #seat(work: Work): Seat {
    const salt = `${work.adapter ?? ''}\n${work.cacheSalt}`
    const seat: Seat = {
      work,
      phase: 'waiting',
      produced: 0,
      cachedTokens: 0,
      newlyCachedTokens: 0,
      arrivedMs: this.#clock.nowMs(),
      admittedMs: 0,
      firstTokenMs: 0,
      lastTokenMs: 0,
      dueMs: Number.POSITIVE_INFINITY,
      keys: blockKeys(work.promptTokens, this.#settings.blockSize, salt),
      lease: undefined,
      abort: () => this.#leave(seat, 'aborted'),
      freeze: () => {
        seat.dueMs = Number.NEGATIVE_INFINITY
      },
    }
    return seat
  }

  /** First come, first served; only a request whose adapter has no room lets others pass. */
  #admit(): void {
    this.#deferred = 0
    for (const seat of this.#waiting) {
      if (this.#running.size >= this.#settings.maxNumSeqs) break
      if (!this.#hasAdapterRoom(seat.work.adapter)) {
        this.#deferred++
        continue
      }
      const lease = this.#pool.admit(seat.keys, seat.work.promptTokens.length, seat.work.outputTokens)
      if (lease === undefined) break
      this.#start(seat, lease)
    }
    this.#arm()
  }

  #hasAdapterRoom(adapter: string | undefined): boolean {
    return (
      adapter === undefined ||
      this.#runningAdapters.has(adapter) ||
      this.#runningAdapters.size < this.#settings.maxLoras
    )
  }

  #start(seat: Seat, lease: KvLease): void {
    const { adapter, promptTokens } = seat.work
    this.#waiting.delete(seat)
    this.#running.add(seat)
    if (adapter !== undefined) this.#runningAdapters.set(adapter, (this.#runningAdapters.get(adapter) ?? 0) + 1)
    seat.phase = 'running'
    seat.lease = lease
    seat.cachedTokens = lease.cachedTokens
    seat.newlyCachedTokens = seat.keys.length * this.#settings.blockSize - lease.cachedTokens
    seat.admittedMs = this.#clock.nowMs()
    if (seat.dueMs > 0) seat.dueMs = seat.admittedMs + this.#settings.ttftMs
    this.#totals.promptTokens += promptTokens.length
    this.#totals.cachedTokens += lease.cachedTokens
    for (const observer of this.#observers) observer.onAdmitted(seat)
  }

  #arm(): void {
    let dueMs = Number.POSITIVE_INFINITY
    for (const seat of this.#running)
      if (seat.dueMs < dueMs && seat.dueMs > Number.NEGATIVE_INFINITY) dueMs = seat.dueMs
    if (dueMs === this.#timerDueMs) return
    this.#timer?.cancel()
    this.#timerDueMs = dueMs
    this.#timer = undefined
    if (dueMs === Number.POSITIVE_INFINITY) return
    this.#timer = this.#clock.after(Math.max(0, dueMs - this.#clock.nowMs()), () => {
      this.#timerDueMs = Number.POSITIVE_INFINITY
      this.#step()
    })
  }

  #step(): void {
    const nowMs = this.#clock.nowMs()
    let tokens = 0
    for (const seat of this.#running) tokens += this.#advance(seat, nowMs)
    if (tokens > 0) for (const observer of this.#observers) observer.onStep(tokens)
    this.#admit()
  }

  /** Makes the tokens that are due by `nowMs`; returns the prompt and output tokens handled. */
  #advance(seat: Seat, nowMs: number): number {
    let handled = 0
    for (let made = 0; made < MAX_TOKENS_PER_STEP && this.#isDue(seat, nowMs); made++) {
      if (seat.produced === 0) handled += seat.work.promptTokens.length - seat.cachedTokens
      if (seat.work.outputTokens > 0) {
        this.#makeToken(seat, nowMs)
        handled++
      } else if (seat.firstTokenMs === 0) {
        seat.firstTokenMs = nowMs
        seat.lastTokenMs = nowMs
      }
      if (seat.phase === 'running' && seat.produced >= seat.work.outputTokens) this.#finish(seat)
    }
    return handled
  }

  #isDue(seat: Seat, nowMs: number): boolean {
    return seat.phase === 'running' && seat.dueMs <= nowMs && seat.dueMs > Number.NEGATIVE_INFINITY
  }

  #makeToken(seat: Seat, nowMs: number): void {
    const gapMs = nowMs - (seat.produced === 0 ? seat.arrivedMs : seat.lastTokenMs)
    const index = seat.produced++
    if (index === 0) seat.firstTokenMs = nowMs
    seat.lastTokenMs = nowMs
    seat.dueMs += this.#settings.tpotMs
    seat.lease?.grow(seat.work.promptTokens.length + seat.produced)
    this.#totals.outputTokens++
    for (const observer of this.#observers) observer.onToken(seat, gapMs)
    seat.work.onToken(index)
  }

  #finish(seat: Seat): void {
    this.#leave(seat, 'done')
    for (const observer of this.#observers) observer.onFinished(seat)
    seat.work.onDone()
  }

  #leave(seat: Seat, phase: 'done' | 'aborted'): void {
    if (seat.phase === 'done' || seat.phase === 'aborted') return
    const wasRunning = seat.phase === 'running'
    seat.phase = phase
    this.#waiting.delete(seat)
    this.#running.delete(seat)
    if (phase === 'done') this.#totals.finished++
    else this.#totals.aborted++
    seat.lease?.release()
    seat.lease = undefined
    if (wasRunning) this.#releaseAdapter(seat.work.adapter)
    if (phase === 'aborted') this.#admit()
  }

  #releaseAdapter(adapter: string | undefined): void {
    if (adapter === undefined) return
    const left = (this.#runningAdapters.get(adapter) ?? 1) - 1
    if (left === 0) this.#runningAdapters.delete(adapter)
    else this.#runningAdapters.set(adapter, left)
  }
}
