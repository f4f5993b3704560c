import { randomBytes } from 'node:crypto'
import { type OverloadCause, OverloadGuard, overloadCauses } from '#admit/overload-guard.ts'
import { readProcessMemory } from '#admit/process-memory.ts'
import type { Limits, ListenerPlan, Snapshot } from '#config/snapshot.ts'
import type { ExactPorts } from '#contracts/schedule.ts'
import type { Clock, Rng } from '#core/clock.ts'
import { refuse } from '#core/refusal.ts'
import type { AdapterIds } from '#datastore/adapter-ids.ts'
import { attachEndpointTable } from '#datastore/endpoint-table.ts'
import { attachHeldLeases } from '#datastore/held-leases.ts'
import { Listener } from '#listen/listener.ts'
import { WriteBudget } from '#listen/write-budget.ts'
import { type AccessLog, createAccessLog } from '#observe/access-log.ts'
import { allMetrics, metrics } from '#observe/catalog.ts'
import { type DecisionAnswer, type DecisionQuery, DecisionRing } from '#observe/decision-ring.ts'
import { watchEventLoop } from '#observe/event-loop-delay.ts'
import type { LogSink } from '#observe/log-sink.ts'
import { createMetricColumns, type MetricColumns, type SeriesAnnouncement } from '#observe/metric-columns.ts'
import { createRecorder, type Recorder } from '#observe/record-outcome.ts'
import { DecisionLog } from '#pipeline/decision-log.ts'
import { compileRuntime, type RuntimePorts } from '#pipeline/runtime.ts'
import { RequestServer } from '#pipeline/serve-request.ts'
import { plugins } from '#plugins/index.ts'
import { Forwarder } from '#proxy/forwarder.ts'
import { Tunnels } from '#proxy/tunnels.ts'
import { UpstreamPools } from '#proxy/upstream-pools.ts'
import type { ListenFailure, SocketPlan, ThreadListener } from './data-messages.ts'

/** What one data thread works with. */
export interface DataPlanePorts {
  readonly thread: string
  /** Position among the data threads, from 0. */
  readonly index: number
  /** How many data threads share what a listener may take. */
  readonly threads: number
  readonly endpoints: SharedArrayBuffer
  readonly held: SharedArrayBuffer
  readonly sessions: SharedArrayBuffer
  readonly prefixes: { readonly buffer: SharedArrayBuffer }
  /** What engines tell of their caches. */
  readonly exact: ExactPorts
  readonly metrics: SharedArrayBuffer
  readonly heartbeat: SharedArrayBuffer
  readonly clock: Clock
  readonly rng: Rng
  readonly accessSink: LogSink
  readonly onSeries: (series: SeriesAnnouncement) => void
  readonly onFault: (fault: Error, requestId: string) => void
}

/** A listener of the configuration in this thread. */
interface OpenListener {
  plan: ListenerPlan
  readonly listener: Listener
  readonly port: number
}

/** Time for the error events of a drain to leave. */
const lastWordsMs = 1000

const endpointDrainNotice = 'This gateway is shutting down and the answer was not complete in time. Try again.'

/** What a thread remembers of its decisions. */
const decisionBounds = { maxCount: 256, maxBytes: 8 * 1024 * 1024 }

/** Everything one thread needs to serve requests: listeners, pipeline, pools. Runs inline or in a worker alike. */
export class DataPlane {
  readonly #ports: DataPlanePorts
  readonly #runtimePorts: RuntimePorts
  readonly #recorder: Recorder
  readonly #accessLog: AccessLog
  readonly #columns: MetricColumns
  readonly #pools: UpstreamPools
  readonly #forwarder: Forwarder
  readonly #tunnels: Tunnels
  readonly #server: RequestServer
  readonly #eventLoop: { close(): void }
  readonly #open = new Map<string, OpenListener>()
  readonly #leaving = new Set<Listener>()
  readonly #budget: WriteBudget
  readonly #overload: OverloadGuard
  readonly #decisions = new DecisionRing(decisionBounds)
  #snapshot: Snapshot

  constructor(snapshot: Snapshot, adapterIds: AdapterIds, ports: DataPlanePorts) {
    const { clock, rng, thread } = ports
    this.#ports = ports
    this.#snapshot = snapshot
    this.#budget = new WriteBudget(snapshot.limits.unsentBytes)
    this.#columns = createMetricColumns({ buffer: ports.metrics, definitions: allMetrics, onSeries: ports.onSeries })
    const dropped = this.#columns.counter(metrics.accessLogDropped, {})
    this.#accessLog = createAccessLog({ sink: ports.accessSink, clock, onDropped: (lines) => dropped.add(lines) })
    const accessLog = { write: this.#log.bind(this), flush: () => this.#accessLog.flush() }
    this.#recorder = createRecorder({ columns: this.#columns, snapshot, accessLog })
    this.#pools = new UpstreamPools(clock)
    this.#forwarder = new Forwarder(this.#pools, clock)
    const openTunnels = (model: string) => this.#recorder.tunnels(model)
    this.#tunnels = new Tunnels({ clock, budget: this.#forwarder.budget, open: openTunnels })
    const held = attachHeldLeases(ports.held, ports.index + 1)
    const table = attachEndpointTable(ports.endpoints, held)
    const { sessions: sessionMemory, prefixes: prefixMemory, exact } = ports
    this.#runtimePorts = { table, plugins, clock, rng, sessionMemory, prefixMemory, exact }
    const heartbeat = new Float64Array(ports.heartbeat)
    this.#eventLoop = watchEventLoop({ columns: this.#columns, clock, thread, heartbeat })
    this.#overload = this.#createGuard(snapshot.limits)
    const runtime = compileRuntime(snapshot, adapterIds, this.#runtimePorts)
    this.#server = new RequestServer(runtime, {
      forwarder: this.#forwarder,
      tunnels: this.#tunnels,
      overload: this.#overload,
      recorder: this.#recorder,
      decisions: new DecisionLog({ ring: this.#decisions, thread, clock }),
      clock,
      rng,
      newId: requestIds(),
      onFault: ports.onFault,
    })
  }

  /** Requests and connections now open. */
  get active(): { readonly requests: number; readonly connections: number; readonly upstreams: number } {
    let connections = 0
    for (const listener of this.#listeners()) connections += listener.connections
    return { requests: this.#forwarder.active + this.#tunnels.active, connections, upstreams: this.#pools.open }
  }

  /** What is open now. */
  get listeners(): readonly ThreadListener[] {
    return Array.from(this.#open.values(), ({ plan, listener, port }) => {
      return { name: plan.name, address: plan.address, port, tls: plan.tls !== undefined, fds: listener.fds }
    })
  }

  /** Recorded decisions, newest first. */
  decisions(query: DecisionQuery): DecisionAnswer {
    return this.#decisions.recent(query)
  }

  /** Opens those listeners of the snapshot for which there are sockets; returns those that could not be opened. */
  listen(sockets: readonly SocketPlan[]): Promise<readonly ListenFailure[]> {
    return this.#syncListeners(sockets)
  }

  /** Puts another snapshot in force: requests in flight keep the one they started with. Listeners as in `listen`. */
  async apply(
    snapshot: Snapshot,
    adapterIds: AdapterIds,
    sockets: readonly SocketPlan[],
  ): Promise<readonly ListenFailure[]> {
    const runtime = compileRuntime(snapshot, adapterIds, this.#runtimePorts)
    this.#snapshot = snapshot
    this.#recorder.applySnapshot(snapshot)
    this.#pools.applySnapshot(snapshot)
    this.#server.runtime = runtime
    this.#overload.configure(snapshot.limits)
    return this.#syncListeners(sockets)
  }

  /** Stops accepting and lets requests finish within the grace of the snapshot; then ends the rest. */
  async drain(): Promise<void> {
    const { clock } = this.#ports
    const { drainMs } = this.#snapshot.limits
    const timers = [
      clock.after(drainMs, () => this.#endAll()),
      // By now only those are left who never finish their request, or never take their answer.
      clock.after(drainMs + lastWordsMs, () => {
        for (const listener of this.#listeners()) listener.close()
      }),
    ]
    await Promise.all(this.#listeners().map((listener) => listener.drain()))
    for (const timer of timers) timer.cancel()
  }

  /** Drops everything at once and flushes the log. */
  async close(): Promise<void> {
    for (const listener of this.#listeners()) listener.close()
    this.#endAll()
    this.#pools.close()
    this.#eventLoop.close()
    this.#overload.close()
    await this.#accessLog.flush()
  }

  #createGuard(limits: Limits): OverloadGuard {
    const { clock, rng, thread } = this.#ports
    const shedding = (cause: OverloadCause) => this.#columns.gauge(metrics.shedding, { thread, cause })
    for (const cause of overloadCauses) shedding(cause).set(0)
    const heapUsed = this.#columns.gauge(metrics.heapUsed, { thread })
    return new OverloadGuard({
      clock,
      rng,
      limits,
      readMemory: () => {
        const reading = readProcessMemory()
        heapUsed.set(reading.heapUsedBytes)
        return reading
      },
      active: () => this.#forwarder.active + this.#tunnels.active,
      onChange: (cause, isShedding) => shedding(cause).set(isShedding ? 1 : 0),
    })
  }

  #endAll(): void {
    const refusal = refuse('draining', endpointDrainNotice)
    this.#forwarder.endAll(refusal)
    this.#tunnels.endAll(refusal)
  }

  #log(...outcome: Parameters<AccessLog['write']>): void {
    if (this.#snapshot.logging.accessLog) this.#accessLog.write(...outcome)
  }

  /** Those included whose listener is gone from the configuration, as long as they have connections. */
  #listeners(): Listener[] {
    return [...this.#leaving, ...Array.from(this.#open.values(), ({ listener }) => listener)]
  }

  async #leave(socket: Listener): Promise<void> {
    this.#leaving.add(socket)
    await socket.drain()
    this.#leaving.delete(socket)
  }

  /** Opens listeners that are new, drains those that are gone; one that only changed its settings keeps its socket. */
  async #syncListeners(sockets: readonly SocketPlan[]): Promise<readonly ListenFailure[]> {
    const { listeners: plans, limits } = this.#snapshot
    const byKey = new Map(plans.map((plan) => [listenerKey(plan), plan]))
    const failures: ListenFailure[] = []
    for (const [key, open] of this.#open) {
      const plan = byKey.get(key)
      if (plan === undefined) {
        this.#open.delete(key)
        void this.#leave(open.listener)
        continue
      }
      open.plan = plan
      const failure = this.#configure(open, limits)
      if (failure !== undefined) failures.push(failure)
    }
    for (const [key, plan] of byKey) {
      const from = sockets.find(({ listener }) => listener === plan.name)
      if (from === undefined || this.#open.has(key)) continue
      const opened = await this.#openListener(plan, from)
      if ('message' in opened) failures.push(opened)
      else this.#open.set(key, opened)
    }
    return failures
  }

  /** Puts a listener's settings in force; certificates that TLS does not take leave those before in force. */
  #configure({ plan, listener }: OpenListener, limits: Limits): ListenFailure | undefined {
    try {
      listener.configure(this.#shareOf(plan), limits)
      return undefined
    } catch (caught) {
      const { message, code } = caught as NodeJS.ErrnoException
      return { listener: plan.name, message, code }
    }
  }

  /** Opens the sockets of a listener, or adopts those given. */
  async #openListener(plan: ListenerPlan, { fds, port }: SocketPlan): Promise<OpenListener | ListenFailure> {
    try {
      const listener = this.#createListener(plan)
      const chosen = await listener.listen({ fds, port })
      return { plan, listener, port: chosen }
    } catch (caught) {
      const { message, code } = caught as NodeJS.ErrnoException
      return { listener: plan.name, message, code }
    }
  }

  #createListener(plan: ListenerPlan): Listener {
    const connections = this.#recorder.connections(plan.name)
    let last = 0
    return new Listener(this.#shareOf(plan), this.#snapshot.limits, {
      handler: this.#server,
      clock: this.#ports.clock,
      budget: this.#budget,
      onConnections: (open) => {
        connections.add(open - last)
        last = open
      },
      onRefusedConnection: () => this.#recorder.refused('too-many-connections'),
      onFailedHandshake: (reason) =>
        this.#columns.counter(metrics.tlsHandshakeFailures, { listener: plan.name, reason }).add(1),
    })
  }

  /** The system spreads connections evenly over the threads, so each may hold its part of what a listener may. */
  #shareOf(plan: ListenerPlan): ListenerPlan {
    return { ...plan, connections: Math.ceil(plan.connections / this.#ports.threads) }
  }
}

/**
 * Request ids: 96 random bits for this thread and a counter. Unique like random ones, and readable as a sequence; a
 * random UUID for each would cost more than the decision.
 */
function requestIds(): () => string {
  const prefix = randomBytes(12).toString('hex')
  let count = 0
  return () => `${prefix}-${(++count).toString(36)}`
}

/** What a socket cannot change while it is open. */
function listenerKey({ name, address, port, tls, proxyProtocol }: ListenerPlan): string {
  return JSON.stringify([name, address, port, tls !== undefined, proxyProtocol])
}
