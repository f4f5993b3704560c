import assert from 'node:assert/strict'
import type { EndpointPlan, ModelServerPlan } from '#config/snapshot.ts'
import { createFacts } from '#contracts/facts.ts'
import type { Facts, Producer, ScheduleRequest } from '#contracts/schedule.ts'
import { systemClock } from '#core/clock.ts'
import { createEndpointTable, maxEndpoints } from '#datastore/endpoint-table.ts'
import { JsonReader } from '#parse/read-json.ts'
import { precisePrefix } from '#plugins/producer/precise-prefix.ts'
import { createHttpGet } from '#scraper/http-get.ts'
import { KvEventLoop } from '#scraper/kv-events/event-loop.ts'
import type { EventListener, EventSource, OpenEventSockets } from '#scraper/kv-events/event-sockets.ts'
import { PromptTokens } from '#scraper/kv-events/prompt-tokens.ts'
import { loadEventSockets } from '#scraper/kv-events/zeromq-sockets.ts'
import type { SimOptions } from '#sim/options.ts'
import { type Sim, startSim } from '#sim/server.ts'
import { LearnedPrompts } from '#struct/learned-prompts.ts'
import { PrefixIndex, prefixIndexMemory } from '#struct/prefix-index.ts'
import { freePorts } from './ports.ts'
import { waitFor } from './wait.ts'

/** What was foretold of a request, and what the engine said of it. */
export interface Foretold {
  readonly foretold: number
  readonly cached: number
  readonly prompt: number
}

/** An engine whose events are followed. */
export interface FollowedEngine {
  /** Where it serves. */
  readonly url: string
  readonly events: EventSource
  /** Numbers of messages that do not arrive. */
  readonly lost?: ReadonlySet<number>
  /** Number of its next message; undefined when it does not say: it is given some time then. */
  next(): number | undefined
  close(): Promise<void>
  /** After `close`: another one in its place, with an empty cache. */
  startAgain?(): Promise<void>
}

/** A simulated one that can be started again. */
class SimulatedEngine implements FollowedEngine {
  readonly events: EventSource
  readonly #options: SimOptions
  #sim: Sim

  private constructor(options: SimOptions, events: EventSource, sim: Sim) {
    this.#options = options
    this.events = events
    this.#sim = sim
  }

  static async start(given: SimOptions): Promise<SimulatedEngine> {
    const [port, replayPort] = [await freePorts.take(), await freePorts.take()]
    const kvEvents = { port, replayPort, ...given.kvEvents }
    const options = { models: ['tiny'], ttftMs: 1, tpotMs: 1, ...given, kvEvents }
    const events = { address: `tcp://127.0.0.1:${port}`, replayAddress: `tcp://127.0.0.1:${replayPort}` }
    return new SimulatedEngine(options, events, await startSim(options))
  }

  get url(): string {
    return this.#sim.url
  }

  next(): number | undefined {
    return this.#sim.kvEventSources()[0]?.nextSequence
  }

  close(): Promise<void> {
    return this.#sim.close()
  }

  async startAgain(): Promise<void> {
    this.#sim = await startSim({ ...this.#options, port: this.#sim.port })
  }
}

/** Stands for the engines' own addresses, by slot. */
const firstEventPort = 40_000

/** What an engine may take to tell of a request it has answered, and until it is asked for what got lost. */
const settleMs = 500
const lossMs = 2_600

/**
 * Engines, and everything of the gateway that knows their caches, without the gateway: followers of their events, the
 * producer, and the prompts it has learned.
 */
export class PreciseFleet {
  readonly loop: KvEventLoop
  readonly tokens: PromptTokens
  readonly prompts = new LearnedPrompts({ blockBytes: 256 })
  readonly #engines: readonly FollowedEngine[]
  readonly #facts: Facts = createFacts(maxEndpoints)
  readonly #producer: Producer
  readonly #reader = new JsonReader()
  readonly #table = createEndpointTable()
  #asked = 0

  private constructor(engines: readonly FollowedEngine[]) {
    this.#engines = engines
    const memory = prefixIndexMemory({ blocks: 65_536, blockTokens: 16, maxChainBlocks: 16_384 })
    const units = new Int32Array(maxEndpoints)
    const clock = systemClock()
    this.tokens = new PromptTokens({
      clock,
      endpointOf: (slot) => ({ endpoint: this.#plan(slot), modelServer: this.#server }),
      onLearned: (prompt) => this.prompts.learn(prompt),
    })
    this.loop = new KvEventLoop({
      clock,
      index: new PrefixIndex(memory),
      units,
      load: () => this.#openers(),
      createGetClient: createHttpGet(),
      onState: () => {},
      onFault: (message) => assert.fail(message),
    })
    this.#producer = precisePrefix.create(
      {},
      {
        rng: () => 0,
        facts: this.#facts,
        endpointOf: () => undefined,
        exact: {
          memory,
          units,
          prompts: this.prompts,
          ask: (question) => {
            this.#asked++
            this.tokens.ask(question)
          },
        },
      },
    )
  }

  static async start(fleet: readonly SimOptions[]): Promise<PreciseFleet> {
    return PreciseFleet.of(await Promise.all(fleet.map((options) => SimulatedEngine.start(options))))
  }

  static async of(engines: readonly FollowedEngine[]): Promise<PreciseFleet> {
    const fleet = new PreciseFleet(engines)
    fleet.loop.apply({ modelServers: [fleet.#server] })
    await fleet.#settled()
    return fleet
  }

  /** Sends a request to one engine; what was foretold is looked up before. The engine's events are in when this returns. */
  async complete(slot: number, body: Readonly<Record<string, unknown>>): Promise<Foretold> {
    const text = JSON.stringify({ model: 'tiny', max_tokens: 4, ...body })
    const request = this.#requestOf(text)
    const slots = Int32Array.from(this.#engines, (_, i) => i)
    this.#facts.promptTokens = Math.ceil(request.promptBytes / 4)
    this.#producer.produce(request, { slots, count: slots.length, loads: this.#table })
    const foretold = this.#facts.cachedTokens[slot] ?? Number.NaN
    const placement = this.#producer.placed?.(request, slot)
    const path = 'messages' in body ? '/v1/chat/completions' : '/v1/completions'
    const answer = await fetch(`${this.#engines[slot]?.url}${path}`, {
      method: 'POST',
      body: text,
      headers: { 'content-type': 'application/json' },
    })
    const { usage } = (await answer.json()) as {
      usage: { prompt_tokens: number; prompt_tokens_details?: { cached_tokens: number } | null }
    }
    placement?.firstToken?.(0)
    placement?.ended({ isAnswered: true, outputTokens: 1 })
    const { counts } = this.tokens
    await waitFor('learned tokens', async () => counts.learned + counts.failed === this.#asked)
    await this.#settled()
    return { foretold, cached: usage.prompt_tokens_details?.cached_tokens ?? 0, prompt: usage.prompt_tokens }
  }

  /** Ends an engine and starts another in its place, with an empty cache. */
  async restart(slot: number): Promise<void> {
    const engine = this.#engines[slot]
    assert.ok(engine?.startAgain)
    await engine.close()
    await waitFor('broken events', async () => this.#stateOf(slot) === 'broken')
    await engine.startAgain()
    await this.#settled()
  }

  async close(): Promise<void> {
    this.loop.close()
    this.tokens.close()
    await Promise.all(this.#engines.map((engine) => engine.close()))
  }

  #stateOf(slot: number): string | undefined {
    return this.loop.status().find((each) => each.slot === slot)?.state
  }

  /** Every engine's events are known to the last. */
  async #settled(): Promise<void> {
    if (this.#engines.some((engine) => engine.next() === undefined)) {
      const isLosing = this.#engines.some(({ lost }) => lost !== undefined)
      await new Promise((resolve) => setTimeout(resolve, isLosing ? lossMs : settleMs))
    }
    await waitFor('events', async () =>
      this.#engines.every((engine, slot) => {
        const status = this.loop.status().find((each) => each.slot === slot)
        const isGood = status?.state === 'live' || status?.state === 'partial'
        const next = engine.next()
        return isGood && (next === undefined || status.last + 1 === next)
      }),
    )
  }

  /** Sockets to the addresses of the engines, which need not be ports. */
  async #openers(): Promise<OpenEventSockets> {
    const open = await loadEventSockets()
    return (source, listener) => {
      const port = Number(source.address.split(':').at(-1))
      const { events = source, lost } = this.#engines[port - firstEventPort] ?? {}
      return open(events, lost === undefined ? listener : losing(listener, lost))
    }
  }

  get #server(): ModelServerPlan {
    return {
      key: 'models/tiny',
      engine: 'vllm',
      servedModel: 'tiny',
      endpoints: this.#engines.map((_, slot) => this.#plan(slot)),
      tls: undefined,
      basePath: '',
      setHeaders: [],
      timeouts: { connectMs: 1000, firstByteMs: 1000, idleMs: 1000, totalMs: 0, tunnelIdleMs: 1000 },
      retry: { attempts: 0, intervalMs: 0, afterSent: 0 },
      ejection: {
        failures: 0,
        successRatio: 0,
        minRequests: 1,
        windowMs: 1000,
        baseMs: 1000,
        maxMs: 1000,
        slowStartMs: 0,
      },
      profile: 'default',
      scrape: undefined,
      injectUsage: false,
    }
  }

  #plan(slot: number): EndpointPlan {
    const engine = this.#engines[slot]
    assert.ok(engine)
    const { hostname, port } = new URL(engine.url)
    return {
      id: `${hostname}:${port}`,
      slot,
      generation: 0,
      host: hostname,
      port: Number(port),
      engine: 'vllm',
      scrape: undefined,
      kvEvents: { port: firstEventPort + slot, replayPort: 1 },
      rank: undefined,
      role: 'both',
      labels: {},
    }
  }

  #requestOf(text: string): ScheduleRequest {
    const body = { slices: [Buffer.from(text)], bytes: Buffer.byteLength(text) }
    const facts = this.#reader.read(body)
    assert.ok('promptSpans' in facts)
    const { model, promptSpans, promptBytes, maxTokens, stream, cacheSalt } = facts
    const adapter = model === 'tiny' ? -1 : 1
    return {
      model,
      adapter,
      headers: [],
      body,
      promptSpans,
      promptBytes,
      maxTokens,
      session: undefined,
      cacheSalt,
      stream,
      nowMs: 1,
    }
  }
}

/** A listener that does not hear of some live messages. */
function losing(listener: EventListener, lost: ReadonlySet<number>): EventListener {
  return {
    connected: () => listener.connected(),
    disconnected: () => listener.disconnected(),
    live: (sequence, payload) => {
      if (!lost.has(sequence)) listener.live(sequence, payload)
    },
    replayed: (sequence, payload) => listener.replayed(sequence, payload),
    replayEnded: () => listener.replayEnded(),
    replayFailed: (reason) => listener.replayFailed(reason),
  }
}
