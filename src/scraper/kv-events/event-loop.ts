import type { EndpointPlan, Snapshot } from '#config/snapshot.ts'
import type { Clock, Timer } from '#core/clock.ts'
import type { PrefixIndex } from '#struct/prefix-index.ts'
import { unitsOf } from '#struct/token-chain.ts'
import { EndpointBlocks } from './endpoint-blocks.ts'
import { type EventCounts, EventFollower, type EventState } from './event-follower.ts'
import type { EventSockets, OpenEventSockets } from './event-sockets.ts'

/** What the loop works with. */
export interface EventLoopPorts {
  readonly clock: Clock
  /** The index that the events are put into; of nobody else. */
  readonly index: PrefixIndex
  /**
   * By slot, what can be made of the index: 0 nothing, n that a key stands at every n-th unit (struct/token-chain.ts), -n
   * the same, but that the endpoint may hold more than is known.
   */
  readonly units: Int32Array
  /** Loads the library; called once, when the first endpoint has events. */
  readonly load: () => Promise<OpenEventSockets>
  readonly onState: (endpoint: EndpointPlan, state: EventState, reason: string) => void
  readonly onFault: (message: string) => void
}

/** How the events of one endpoint stand, for the status page and metrics. */
export interface EventStatus extends EventCounts {
  readonly slot: number
  readonly state: EventState
  readonly reason: string
  /** Number of the last batch that is known; -1 before the first. */
  readonly last: number
  /** Since the engine last said anything. */
  readonly silentMs: number
  readonly blocks: number
  readonly unplaced: number
}

interface Followed {
  readonly endpoint: EndpointPlan
  readonly follower: EventFollower
  readonly blocks: EndpointBlocks
  readonly sockets: EventSockets
}

const tickMs = 250

/** Buckets of the index from which what has expired is taken at each tick: a million keys in a minute. */
const sweptBuckets = 512

const notFollowed = {
  state: 'broken',
  last: -1,
  silentMs: 0,
  blocks: 0,
  unplaced: 0,
  batches: 0,
  gaps: 0,
  restarts: 0,
  replays: 0,
  failures: 0,
} as const

/** Follows the KV events of all endpoints that have some, into one index. Main thread. */
export class KvEventLoop {
  readonly #ports: EventLoopPorts
  readonly #followed = new Map<string, Followed>()
  #wanted: ReadonlyMap<string, EndpointPlan> = new Map()
  #open: OpenEventSockets | undefined = undefined
  #isLoading = false
  #problem = 'the library is being loaded'
  #isClosed = false
  #timer: Timer | undefined = undefined

  constructor(ports: EventLoopPorts) {
    this.#ports = ports
  }

  /** Follows a snapshot: endpoints that stay go on undisturbed, others begin or end. */
  apply(snapshot: Pick<Snapshot, 'modelServers'>): void {
    this.#wanted = wantedOf(snapshot)
    for (const [key, followed] of this.#followed) {
      if (this.#wanted.has(key)) continue
      this.#end(followed)
      this.#followed.delete(key)
    }
    if (this.#wanted.size === 0) return
    if (this.#open === undefined) void this.#load()
    else this.#begin(this.#open)
  }

  status(): EventStatus[] {
    return Array.from(this.#wanted, ([key, { slot }]) => {
      const followed = this.#followed.get(key)
      if (followed === undefined) return { ...notFollowed, slot, reason: this.#problem }
      const { follower, blocks } = followed
      return {
        slot,
        state: follower.state,
        reason: follower.reason,
        last: follower.last,
        silentMs: follower.silentMs,
        blocks: blocks.size,
        unplaced: blocks.unplaced,
        ...follower.counts,
      }
    })
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
    for (const followed of this.#followed.values()) this.#end(followed)
    this.#followed.clear()
  }

  async #load(): Promise<void> {
    if (this.#isLoading) return
    this.#isLoading = true
    try {
      this.#open = await this.#ports.load()
    } catch (caught) {
      // Nothing is known of any endpoint then, and prompts are placed by what was sent where.
      this.#problem = caught instanceof Error ? caught.message : String(caught)
      return this.#ports.onFault(this.#problem)
    }
    if (this.#isClosed) return
    this.#begin(this.#open)
    this.#tickLater()
  }

  #begin(open: OpenEventSockets): void {
    for (const [key, endpoint] of this.#wanted) {
      if (!this.#followed.has(key)) this.#followed.set(key, this.#follow(endpoint, open))
    }
  }

  #follow(endpoint: EndpointPlan, open: OpenEventSockets): Followed {
    const { clock, index, onState } = this.#ports
    const { host, slot, kvEvents, rank = 0 } = endpoint
    const { port = 0, replayPort } = kvEvents ?? {}
    const blocks = new EndpointBlocks(index, slot)
    const follower: EventFollower = new EventFollower({
      clock,
      blocks,
      hasReplay: replayPort !== undefined,
      onBatch: () => this.#show(slot, follower.state, blocks),
      onState: (state, reason) => {
        this.#show(slot, state, blocks)
        onState(endpoint, state, reason)
      },
    })
    this.#ports.units[slot] = 0
    const replayAddress = replayPort === undefined ? undefined : addressOf(host, replayPort + rank)
    const sockets = open({ address: addressOf(host, port + rank), replayAddress }, follower)
    follower.use(sockets)
    return { endpoint, follower, blocks, sockets }
  }

  /** Says what may be made of the endpoint's blocks. */
  #show(slot: number, state: EventState, blocks: EndpointBlocks): void {
    // Of an empty cache any size will do.
    const units = blocks.blockTokens === 0 ? 1 : unitsOf(blocks.blockTokens)
    this.#ports.units[slot] = state === 'live' ? units : state === 'partial' ? -units : 0
  }

  #end({ endpoint, blocks, sockets }: Followed): void {
    sockets.close()
    this.#ports.units[endpoint.slot] = 0
    blocks.forget()
  }

  #tickLater(): void {
    this.#timer = this.#ports.clock.after(tickMs, () => {
      const nowMs = this.#ports.clock.nowMs()
      for (const { follower } of this.#followed.values()) follower.tick(nowMs)
      this.#ports.index.sweep(sweptBuckets)
      this.#tickLater()
    })
  }
}

function addressOf(host: string, port: number): string {
  return `tcp://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Endpoints with events, by a key that changes with everything that matters here. */
function wantedOf({ modelServers }: Pick<Snapshot, 'modelServers'>): Map<string, EndpointPlan> {
  const wanted = new Map<string, EndpointPlan>()
  for (const { key, endpoints } of modelServers) {
    for (const endpoint of endpoints) {
      const { kvEvents, slot, generation, host, rank } = endpoint
      if (kvEvents !== undefined) wanted.set(JSON.stringify([key, slot, generation, host, rank, kvEvents]), endpoint)
    }
  }
  return wanted
}
