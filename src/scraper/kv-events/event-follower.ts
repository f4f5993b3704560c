import type { Clock } from '#core/clock.ts'
import type { EndpointBlocks } from './endpoint-blocks.ts'
import type { EventListener, EventSockets } from './event-sockets.ts'
import { type KvBatch, readBatch } from './read-batch.ts'

/**
 * How far the events of an endpoint can be trusted. `live`: everything in its cache is known. `partial`: what is known is
 * there, but there may be more, because the engine's events no longer reach back to its start or to a gap. `replaying`: what was
 * missed is being fetched. `quiet`: nothing comes and nothing answers. `broken`: not connected, or what comes makes no
 * sense.
 */
export type EventState = 'live' | 'partial' | 'replaying' | 'quiet' | 'broken'

/** What happened since the start, for metrics. */
export interface EventCounts {
  batches: number
  gaps: number
  restarts: number
  replays: number
  failures: number
}

/** What a follower works with. */
export interface FollowerPorts {
  readonly clock: Clock
  readonly blocks: EndpointBlocks
  readonly hasReplay: boolean
  /** A batch has been applied. */
  readonly onBatch: () => void
  /** The state is another one now. */
  readonly onState: (state: EventState, reason: string) => void
}

/** Live messages that wait for the end of a replay; with more the replay is taken to have failed. */
const maxPending = 10_000

/** Without a message for so long the engine is asked whether there is anything: a lost last message is found so. */
const silenceMs = 2_000

/** The same where nothing can be asked. */
const mutedSilenceMs = 60_000

const replayTimeoutMs = 10_000
const coolDownMs = 30_000

interface Pending {
  readonly sequence: number
  readonly payload: Uint8Array
}

type Replay =
  /** From the first batch on, or from the one after the last. */
  | 'missing'
  /** From the last one on, which tells whether the engine is still the same. */
  | 'verify'
  /** From the first one on, of an engine that has not said anything yet. */
  | 'first'
  /** What comes is not what was expected; the end is waited for, then all is asked for. */
  | 'stale'

/**
 * Follows the events of one endpoint: keeps them in order, fetches what was missed, and drops what is known rather than
 * believe in blocks that may be gone (model-servers.md 2.1). Driven by its sockets and by `tick`.
 *
 * Numbers that start over mean a new engine; a message that a replay has brought already is told from that by its time.
 */
export class EventFollower implements EventListener {
  readonly counts: EventCounts = { batches: 0, gaps: 0, restarts: 0, replays: 0, failures: 0 }
  readonly #ports: FollowerPorts
  #sockets: EventSockets | undefined = undefined
  #state: EventState = 'broken'
  #reason = 'not connected yet'
  #isConnected = false
  /** Number and time of the last batch that was applied; -1 before the first. */
  #last = -1
  #lastTimeS = Number.NEGATIVE_INFINITY
  #isPartial = false
  #replay: Replay | undefined = undefined
  #replayDueMs = 0
  #pending: Pending[] = []
  #heardMs: number
  /** When to try again after a failure. */
  #retryMs = Number.POSITIVE_INFINITY

  constructor(ports: FollowerPorts) {
    this.#ports = ports
    this.#heardMs = ports.clock.nowMs()
  }

  get state(): EventState {
    return this.#state
  }

  /** Why the state is what it is. */
  get reason(): string {
    return this.#reason
  }

  /** Number of the last batch that is known; -1 before the first. */
  get last(): number {
    return this.#last
  }

  /** Time since the engine last said anything. */
  get silentMs(): number {
    return this.#ports.clock.nowMs() - this.#heardMs
  }

  /** Must be called once, before anything else. */
  use(sockets: EventSockets): void {
    this.#sockets = sockets
  }

  tick(nowMs: number): void {
    if (!this.#isConnected) return
    if (this.#replay !== undefined) {
      if (nowMs >= this.#replayDueMs) this.replayFailed('no end of the replay in time')
      return
    }
    if (nowMs >= this.#retryMs) return this.#tryAgain()
    if (this.#retryMs !== Number.POSITIVE_INFINITY) return
    const silent = nowMs - this.#heardMs
    if (this.#ports.hasReplay && silent >= silenceMs) this.#ask(this.#last < 0 ? 'first' : 'verify')
    else if (!this.#ports.hasReplay && silent >= mutedSilenceMs) this.#be('quiet', 'nothing has come for a minute')
  }

  connected(): void {
    if (this.#isConnected) return
    this.#isConnected = true
    this.#heard()
    this.#retryMs = Number.POSITIVE_INFINITY
    if (this.#last >= 0) {
      if (this.#ports.hasReplay) return this.#ask('verify')
      this.#forget()
    }
    if (this.#ports.hasReplay) return this.#startOver()
    this.#isPartial = true
    this.#be('partial', 'connected; there are no past events')
  }

  disconnected(): void {
    if (!this.#isConnected) return
    this.#isConnected = false
    this.#endReplay()
    this.#be('broken', 'the connection has ended')
  }

  live(sequence: number, payload: Uint8Array): void {
    this.#heard()
    // The connection is there before the library says so.
    this.connected()
    if (this.#retryMs !== Number.POSITIVE_INFINITY) return
    if (this.#replay === undefined) return this.#take({ sequence, payload })
    if (this.#pending.length >= maxPending) return this.replayFailed('more events than can wait for a replay')
    this.#pending.push({ sequence, payload })
  }

  replayed(sequence: number, payload: Uint8Array): void {
    this.#heard()
    if (this.#replay === undefined || this.#replay === 'stale') return
    this.#replayDueMs = this.#ports.clock.nowMs() + replayTimeoutMs
    const batch = this.#read(payload)
    if (batch === undefined) return
    if (this.#replay === 'verify') {
      const isSame = sequence === this.#last && batch.timeS === this.#lastTimeS
      this.#replay = isSame ? 'missing' : 'stale'
      return
    }
    if (sequence <= this.#last) return
    if (sequence > this.#last + 1) this.#lose()
    this.#apply(sequence, batch)
  }

  replayEnded(): void {
    this.#heard()
    const replay = this.#replay
    if (replay === undefined) return
    this.#replay = undefined
    if (replay === 'verify' || replay === 'stale') {
      // Another engine than before, or one that no longer knows what it last said: all of it is asked for.
      this.counts.restarts++
      this.#forget()
      return this.#ask('missing')
    }
    const pending = this.#pending
    this.#pending = []
    for (let i = 0; i < pending.length; i++) {
      this.#take(pending[i]!, true)
      if (this.#replay !== undefined) {
        this.#pending.push(...pending.slice(i + 1))
        return
      }
      if (this.#retryMs !== Number.POSITIVE_INFINITY) return
    }
    this.#trust('all events are known')
  }

  replayFailed(reason: string): void {
    if (this.#replay === undefined) return
    this.#fail(this.#replay === 'verify' || this.#replay === 'first' ? 'quiet' : 'broken', reason)
  }

  /** A batch in order, or what to do when it is not. `isLate`: its gap has been asked for already. */
  #take({ sequence, payload }: Pending, isLate = false): void {
    const batch = this.#read(payload)
    if (batch === undefined) return
    if (sequence === this.#last + 1) return this.#applyLive(sequence, batch)
    if (sequence <= this.#last) {
      if (batch.timeS <= this.#lastTimeS) return
      this.counts.restarts++
      this.#forget()
      if (sequence === 0) return this.#applyLive(sequence, batch)
      if (this.#ports.hasReplay) return this.#askAgain({ sequence, payload })
    } else if (this.#last >= 0) this.counts.gaps++
    if (this.#ports.hasReplay && !isLate) return this.#askAgain({ sequence, payload })
    this.#lose()
    this.#applyLive(sequence, batch)
  }

  #askAgain(pending: Pending): void {
    this.#ask('missing')
    this.#pending.push(pending)
  }

  #applyLive(sequence: number, batch: KvBatch): void {
    this.#apply(sequence, batch)
    this.#trust('events come in order')
  }

  #apply(sequence: number, batch: KvBatch): void {
    this.#last = sequence
    this.#lastTimeS = batch.timeS
    this.counts.batches++
    this.#ports.blocks.apply(batch)
    // Of an empty cache everything is known.
    if (batch.events.some(({ type }) => type === 'cleared')) this.#isPartial = false
    this.#ports.onBatch()
  }

  /** Batches are missing for good: blocks may be gone, or there, that nobody knows of. */
  #lose(): void {
    this.#ports.blocks.forget()
    this.#isPartial = true
  }

  #forget(): void {
    this.#ports.blocks.forget()
    this.#last = -1
    this.#lastTimeS = Number.NEGATIVE_INFINITY
    this.#isPartial = false
  }

  #startOver(): void {
    this.#forget()
    this.#ask('missing')
  }

  #tryAgain(): void {
    if (this.#ports.hasReplay) return this.#startOver()
    this.#retryMs = Number.POSITIVE_INFINITY
    this.#be('partial', 'trying again')
  }

  #ask(replay: Replay): void {
    this.#replay = replay
    this.#pending = []
    this.#retryMs = Number.POSITIVE_INFINITY
    this.#replayDueMs = this.#ports.clock.nowMs() + replayTimeoutMs
    this.counts.replays++
    // While only looking whether there is more, what is known stays good.
    if (replay === 'missing' || this.#state === 'broken') this.#be('replaying', 'events are missing')
    this.#sockets?.replay(replay === 'verify' ? this.#last : this.#last + 1)
  }

  #endReplay(): void {
    this.#replay = undefined
    this.#pending = []
    this.#sockets?.endReplay()
  }

  #read(payload: Uint8Array): KvBatch | undefined {
    try {
      return readBatch(payload)
    } catch (caught) {
      this.#fail('broken', caught instanceof Error ? caught.message : String(caught))
      return undefined
    }
  }

  #fail(state: 'quiet' | 'broken', reason: string): void {
    this.counts.failures++
    this.#endReplay()
    this.#forget()
    this.#retryMs = this.#ports.clock.nowMs() + coolDownMs
    if (!this.#ports.hasReplay) this.#isPartial = true
    this.#be(state, reason)
  }

  #heard(): void {
    this.#heardMs = this.#ports.clock.nowMs()
  }

  #trust(reason: string): void {
    this.#be(this.#isPartial ? 'partial' : 'live', reason)
  }

  #be(state: EventState, reason: string): void {
    if (this.#state === state) return
    this.#state = state
    this.#reason = reason
    this.#ports.onState(state, reason)
  }
}
