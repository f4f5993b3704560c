import type { EndpointPlan, KvEventPlan, ModelServerPlan, Snapshot } from '#config/snapshot.ts'
import type { Clock, Timer } from '#core/clock.ts'
import type { CreateGetClient } from '#scraper/get-port.ts'
import type { PrefixIndex } from '#struct/prefix-index.ts'
import { unitsOf } from '#struct/token-chain.ts'
import { EndpointBlocks } from './endpoint-blocks.ts'
import { type EventCounts, EventFollower, type EventState } from './event-follower.ts'
import { EventPortQuery, type FoundPorts } from './event-ports.ts'
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
  /** Asks engines for their ports. */
  readonly createGetClient: CreateGetClient
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

interface Wanted {
  readonly endpoint: EndpointPlan
  readonly modelServer: ModelServerPlan
}

/** An engine that is asked for its ports. */
interface Asked {
  readonly query: EventPortQuery
  problem: string
}

interface Followed {
  readonly endpoint: EndpointPlan
  readonly ports: KvEventPlan
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
  readonly #asked = new Map<string, Asked>()
  #wanted: ReadonlyMap<string, Wanted> = new Map()
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
    for (const [key, { query }] of this.#asked) {
      if (this.#wanted.has(key)) continue
      query.close()
      this.#asked.delete(key)
    }
    if (this.#wanted.size === 0) return
    if (this.#open === undefined) void this.#load()
    else this.#begin(this.#open)
  }

  status(): EventStatus[] {
    return Array.from(this.#wanted, ([key, { endpoint }]) => {
      const { slot } = endpoint
      const followed = this.#followed.get(key)
      if (followed === undefined)
        return { ...notFollowed, slot, reason: this.#asked.get(key)?.problem ?? this.#problem }
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
    for (const { query } of this.#asked.values()) query.close()
    this.#followed.clear()
    this.#asked.clear()
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
    for (const [key, { endpoint, modelServer }] of this.#wanted) {
      const { kvEvents } = endpoint
      if (kvEvents === undefined || this.#followed.has(key) || this.#asked.has(key)) continue
      if (kvEvents.discover !== true) this.#followed.set(key, this.#follow(endpoint, kvEvents, open))
      else {
        const query = new EventPortQuery(endpoint, modelServer, this.#ports.createGetClient)
        this.#asked.set(key, { query, problem: 'the engine is being asked for its ports' })
      }
    }
    this.#ask(open)
  }

  /** Asks for ports where none are known yet, or nothing answers at those that are. */
  #ask(open: OpenEventSockets): void {
    const nowMs = this.#ports.clock.nowMs()
    for (const [key, { query }] of this.#asked) {
      const isWanted = (this.#followed.get(key)?.follower.state ?? 'broken') === 'broken'
      query.tick(nowMs, isWanted, (found) => this.#found(key, found, open))
    }
  }

  #found(key: string, found: FoundPorts, open: OpenEventSockets): void {
    const endpoint = this.#wanted.get(key)?.endpoint
    const asked = this.#asked.get(key)
    if (endpoint?.kvEvents === undefined || asked === undefined) return
    if (found.kind === 'none') return void (asked.problem = found.reason)
    const ports = found.kind === 'found' ? found.ports : perRank(endpoint.kvEvents, endpoint.rank)
    const followed = this.#followed.get(key)
    if (followed?.ports.port === ports.port && followed.ports.replayPort === ports.replayPort) return
    if (followed !== undefined) this.#end(followed)
    this.#followed.set(key, this.#follow({ ...endpoint, rank: undefined }, ports, open))
  }

  /** `ports` are those of rank 0 of the endpoint. */
  #follow(endpoint: EndpointPlan, ports: KvEventPlan, open: OpenEventSockets): Followed {
    const { clock, index, onState } = this.#ports
    const { host, slot, rank } = endpoint
    const { port, replayPort } = perRank(ports, rank)
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
    const replayAddress = replayPort === undefined ? undefined : addressOf(host, replayPort)
    const sockets = open({ address: addressOf(host, port), replayAddress }, follower)
    follower.use(sockets)
    return { endpoint, ports, follower, blocks, sockets }
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
      if (this.#open !== undefined) this.#ask(this.#open)
      this.#ports.index.sweep(sweptBuckets)
      this.#tickLater()
    })
  }
}

function addressOf(host: string, port: number): string {
  return `tcp://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** The ports of one rank. */
function perRank({ port, replayPort }: KvEventPlan, rank = 0): KvEventPlan {
  return { port: port + rank, replayPort: replayPort === undefined ? undefined : replayPort + rank }
}

/** Endpoints with events, by a key that changes with everything that matters here. */
function wantedOf({ modelServers }: Pick<Snapshot, 'modelServers'>): Map<string, Wanted> {
  const wanted = new Map<string, Wanted>()
  for (const modelServer of modelServers) {
    const { key, endpoints, basePath, setHeaders } = modelServer
    for (const endpoint of endpoints) {
      const { kvEvents, slot, generation, host, port, rank } = endpoint
      if (kvEvents === undefined) continue
      const asks = kvEvents.discover === true ? [port, basePath, setHeaders] : []
      const name = JSON.stringify([key, slot, generation, host, rank, kvEvents, ...asks])
      wanted.set(name, { endpoint, modelServer })
    }
  }
  return wanted
}
