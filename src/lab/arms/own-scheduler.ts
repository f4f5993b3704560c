import type { EndpointPlan, ModelServerPlan, ProfilePlan } from '#config/snapshot.ts'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { ScheduleRequest } from '#contracts/schedule.ts'
import { isRefusal } from '#core/refusal.ts'
import { createEndpointTable, type EndpointTable } from '#datastore/endpoint-table.ts'
import { openLeases } from '#datastore/lease.ts'
import type { Arm, ArmPorts, Placed } from '#lab/arm.ts'
import type { Arrival, FleetView } from '#lab/virtual-fleet.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import { createScheduler, type EndpointPick, type Scheduler } from '#schedule/scheduler.ts'
import { toldByEvents } from './event-facts.ts'
import { bytesPerToken, PromptBody, SegmentTexts } from './prompt-text.ts'
import { adapterOf, defaultScrapeTiming, type ScrapeTiming, startScrapeFeed } from './scrape-feed.ts'

/** What of the gateway's scheduler is other than by default. */
export interface OwnSchedulerSetup {
  readonly profile?: ProfilePlan
  /** What profiles are made of; by default those that come with the gateway. */
  readonly plugins?: readonly PluginDefinition[]
  readonly timing?: ScrapeTiming
  /** Whether it hears KV events and knows the tokens of every prompt. */
  readonly hearsEvents?: boolean
}

const key = 'models/lab'

const nothing: readonly number[] = []

const noBody = { slices: [], bytes: 0 }

/** The engines that take prompts: pairs are not placed by the scheduler, so that those that only decode are not its endpoints. */
function endpointPlans(table: EndpointTable, settings: ArmPorts['settings']): readonly EndpointPlan[] {
  return settings.flatMap(({ role }, slot) => (role === 'decode' ? [] : [endpointPlan(table, slot, role)]))
}

function endpointPlan(table: EndpointTable, slot: number, role: EndpointPlan['role']): EndpointPlan {
  return {
    id: `engine-${slot}:8000`,
    slot,
    generation: table.generation[slot] ?? 0,
    host: `engine-${slot}`,
    port: 8000,
    engine: 'vllm',
    scrape: undefined,
    rank: undefined,
    role,
    labels: {},
  }
}

/** A model server of simulated engines, with the gateway's defaults; it is the run that tries again, and nothing times out. */
function modelServer(endpoints: readonly EndpointPlan[]): ModelServerPlan {
  return {
    key,
    engine: 'vllm',
    servedModel: undefined,
    endpoints,
    tls: undefined,
    basePath: '',
    setHeaders: [],
    timeouts: { connectMs: 5_000, firstByteMs: 0, idleMs: 0, totalMs: 0, tunnelIdleMs: 0 },
    retry: { attempts: 2, intervalMs: 0, afterSent: 1 },
    ejection: {
      failures: 3,
      successRatio: 0.5,
      minRequests: 20,
      windowMs: 10_000,
      baseMs: 1_000,
      maxMs: 30_000,
      slowStartMs: 10_000,
    },
    profile: 'default',
    scrape: undefined,
    injectUsage: true,
  }
}

/**
 * The gateway's own scheduler, as it runs in the gateway: `createScheduler` with its endpoint table, leases and plug-ins. Only
 * time and the metrics pages are simulated. It places the prefill of requests whose engines only prefill, not their decode. The body of a request is its prompt and nothing else, made when a plug-in reads it.
 */
export class OwnSchedulerArm implements Arm {
  readonly table: EndpointTable
  readonly #scheduler: Scheduler
  readonly #ports: ArmPorts
  readonly #texts = new SegmentTexts()
  readonly #picks = new Map<Arrival, EndpointPick>()
  #placing: Arrival | undefined

  constructor(ports: ArmPorts, setup: OwnSchedulerSetup = {}) {
    const { clock, rng, fleet } = ports
    const table = createEndpointTable()
    const endpoints = endpointPlans(table, ports.settings)
    const snapshot = {
      modelServers: [modelServer(endpoints)],
      profiles: { default: setup.profile ?? defaultProfile },
    }
    this.table = table
    this.#ports = ports
    this.#scheduler = createScheduler({ table, snapshot, plugins: this.#pluginsOf(setup, fleet), rng, clock })
    const timing = setup.timing ?? defaultScrapeTiming
    startScrapeFeed({ table, clock, endpoints, fleet, timing, adapterId: adapterOf })
  }

  place(arrival: Arrival): number {
    this.#placing = arrival
    const pick = this.#scheduler.pick(key, this.#requestOf(arrival), arrival.excluded ?? nothing)
    if (isRefusal(pick)) return -1
    this.#picks.set(arrival, pick)
    return pick.endpoint.slot
  }

  onFirstToken({ arrival }: Placed, atMs: number): void {
    this.#picks.get(arrival)?.lease.firstByte(atMs)
  }

  /** As at the end of a forwarded call: its times go into the endpoint's averages, then the lease is given back. */
  onFinished({ arrival, call }: Placed, atMs: number): void {
    const lease = this.#picks.get(arrival)?.lease
    if (lease === undefined) return
    this.#picks.delete(arrival)
    lease.succeeded(atMs)
    lease.observeOutput(call.producedTokens)
    lease.observeTtft(call.firstTokenMs - arrival.atMs)
    if (call.producedTokens > 1) lease.observeTpot((call.lastTokenMs - call.firstTokenMs) / (call.producedTokens - 1))
    lease.release()
  }

  /** As when a connection is refused, or an answer breaks off. */
  onFailed({ arrival }: Placed, atMs: number): void {
    const lease = this.#picks.get(arrival)?.lease
    if (lease === undefined) return
    this.#picks.delete(arrival)
    lease.failed(atMs)
    lease.release()
  }

  open(): number {
    return openLeases(this.table) + this.#picks.size
  }

  #pluginsOf(
    { plugins: given = plugins, hearsEvents }: OwnSchedulerSetup,
    fleet: FleetView,
  ): readonly PluginDefinition[] {
    if (hearsEvents !== true) return given
    const ports = { fleet, placing: () => this.#placing }
    return given.map((plugin) => (plugin.type === 'prefix' ? toldByEvents(plugin, ports) : plugin))
  }

  #requestOf({ request, session, prompt }: Arrival): ScheduleRequest {
    const body = prompt === undefined ? noBody : new PromptBody(prompt, this.#texts)
    return {
      model: request.adapter === undefined ? 'lab' : `adapter-${request.adapter}`,
      adapter: request.adapter ?? -1,
      headers: [],
      body,
      promptSpans: prompt === undefined ? [] : [{ start: 0, end: body.bytes }],
      promptBytes: prompt === undefined ? request.promptTokens * bytesPerToken : body.bytes,
      maxTokens: undefined,
      session: session === undefined ? undefined : `session-${session}`,
      cacheSalt: undefined,
      stream: true,
      nowMs: this.#ports.clock.nowMs(),
    }
  }
}
