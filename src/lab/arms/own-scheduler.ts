import type { EndpointPlan, ModelServerPlan, ProfilePlan } from '#config/snapshot.ts'
import type { ScheduleRequest } from '#contracts/schedule.ts'
import { isRefusal } from '#core/refusal.ts'
import { createEndpointTable, type EndpointTable } from '#datastore/endpoint-table.ts'
import { openLeases } from '#datastore/lease.ts'
import type { Arm, ArmPorts, Placed } from '#lab/arm.ts'
import type { Arrival } from '#lab/virtual-fleet.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import { createScheduler, type EndpointPick, type Scheduler } from '#schedule/scheduler.ts'
import { defaultScrapeTiming, type ScrapeTiming, startScrapeFeed } from './scrape-feed.ts'

/** What of the gateway's scheduler is other than by default. */
export interface OwnSchedulerSetup {
  readonly profile?: ProfilePlan
  readonly timing?: ScrapeTiming
}

const key = 'models/lab'

/** Bytes of prompt text to a token, as sim/model/text-tokens.ts has it. */
const bytesPerToken = 4

function endpointPlan(table: EndpointTable, slot: number): EndpointPlan {
  return {
    id: `engine-${slot}:8000`,
    slot,
    generation: table.generation[slot] ?? 0,
    host: `engine-${slot}`,
    port: 8000,
    engine: 'vllm',
    scrape: undefined,
    rank: undefined,
    role: 'both',
    labels: {},
  }
}

/** A model server of simulated engines. Nothing fails in a run, so timeouts, retries and ejections are never used. */
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
    retry: { attempts: 0, intervalMs: 0, afterSent: 0 },
    ejection: {
      failures: 3,
      successRatio: 0.5,
      minRequests: 20,
      windowMs: 10_000,
      baseMs: 1_000,
      maxMs: 30_000,
      slowStartMs: 0,
    },
    profile: 'default',
    scrape: undefined,
    injectUsage: true,
  }
}

/**
 * The gateway's own scheduler, as it runs in the gateway: `createScheduler` with its endpoint table, leases and plug-ins. Only
 * time and the metrics pages are simulated. A prompt has no text here, so plug-ins see its size and session alone.
 */
export class OwnSchedulerArm implements Arm {
  readonly table: EndpointTable
  readonly #scheduler: Scheduler
  readonly #ports: ArmPorts
  readonly #picks = new Map<Arrival, EndpointPick>()

  constructor(ports: ArmPorts, setup: OwnSchedulerSetup = {}) {
    const { clock, rng, fleet } = ports
    const table = createEndpointTable()
    const endpoints = ports.settings.map((_, slot) => endpointPlan(table, slot))
    const snapshot = {
      modelServers: [modelServer(endpoints)],
      profiles: { default: setup.profile ?? defaultProfile },
    }
    this.table = table
    this.#ports = ports
    this.#scheduler = createScheduler({ table, snapshot, plugins, rng, clock })
    startScrapeFeed({ table, clock, endpoints, engines: fleet.engines, timing: setup.timing ?? defaultScrapeTiming })
  }

  place(arrival: Arrival): number {
    const pick = this.#scheduler.pick(key, this.#requestOf(arrival), [])
    if (isRefusal(pick)) throw new RangeError('the scheduler refused a request')
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
    lease.observeTtft(call.firstTokenMs - arrival.atMs)
    if (call.producedTokens > 1) lease.observeTpot((call.lastTokenMs - call.firstTokenMs) / (call.producedTokens - 1))
    lease.release()
  }

  open(): number {
    return openLeases(this.table) + this.#picks.size
  }

  #requestOf({ request, session }: Arrival): ScheduleRequest {
    return {
      model: 'lab',
      adapter: -1,
      headers: [],
      body: { slices: [], bytes: 0 },
      promptSpans: [],
      promptBytes: request.promptTokens * bytesPerToken,
      maxTokens: undefined,
      session: session === undefined ? undefined : `session-${session}`,
      stream: true,
      nowMs: this.#ports.clock.nowMs(),
    }
  }
}
