import { randomBytes } from 'node:crypto'
import type { ListenerPlan, Snapshot } from '#config/snapshot.ts'
import type { Clock, Rng } from '#core/clock.ts'
import { refuse } from '#core/refusal.ts'
import type { AdapterIds } from '#datastore/adapter-ids.ts'
import { attachEndpointTable } from '#datastore/endpoint-table.ts'
import { Listener } from '#listen/listener.ts'
import { type AccessLog, createAccessLog } from '#observe/access-log.ts'
import { allMetrics, metrics } from '#observe/catalog.ts'
import { watchEventLoop } from '#observe/event-loop-delay.ts'
import type { LogSink } from '#observe/log-sink.ts'
import { createMetricColumns, type MetricColumns, type SeriesAnnouncement } from '#observe/metric-columns.ts'
import { createRecorder, type Recorder } from '#observe/record-outcome.ts'
import { compileRuntime, type RuntimePorts } from '#pipeline/runtime.ts'
import { RequestServer } from '#pipeline/serve-request.ts'
import { plugins } from '#plugins/index.ts'
import { Forwarder } from '#proxy/forwarder.ts'
import { UpstreamPools } from '#proxy/upstream-pools.ts'

/** What one data thread works with. */
export interface DataPlanePorts {
  readonly thread: string
  readonly endpoints: SharedArrayBuffer
  readonly metrics: SharedArrayBuffer
  readonly clock: Clock
  readonly rng: Rng
  readonly accessSink: LogSink
  readonly onSeries: (series: SeriesAnnouncement) => void
  readonly onFault: (fault: Error, requestId: string) => void
}

/** An open listener as the status page shows it. */
export interface OpenListener {
  readonly name: string
  readonly address: string
  readonly port: number
  readonly tls: boolean
}

/** Time for the error events of a drain to leave. */
const lastWordsMs = 1000

const endpointDrainNotice = 'This gateway is shutting down and the answer was not complete in time. Try again.'

/** Everything one thread needs to serve requests: listeners, pipeline, pools. Runs inline or in a worker alike. */
export class DataPlane {
  readonly #ports: DataPlanePorts
  readonly #runtimePorts: RuntimePorts
  readonly #recorder: Recorder
  readonly #accessLog: AccessLog
  readonly #columns: MetricColumns
  readonly #pools: UpstreamPools
  readonly #forwarder: Forwarder
  readonly #server: RequestServer
  readonly #eventLoop: { close(): void }
  readonly #listeners = new Map<string, Listener>()
  #open: OpenListener[] = []
  #snapshot: Snapshot

  constructor(snapshot: Snapshot, adapterIds: AdapterIds, ports: DataPlanePorts) {
    const { clock, rng, thread } = ports
    this.#ports = ports
    this.#snapshot = snapshot
    this.#columns = createMetricColumns({ buffer: ports.metrics, definitions: allMetrics, onSeries: ports.onSeries })
    const dropped = this.#columns.counter(metrics.accessLogDropped, {})
    this.#accessLog = createAccessLog({ sink: ports.accessSink, clock, onDropped: (lines) => dropped.add(lines) })
    const accessLog = { write: this.#log.bind(this), flush: () => this.#accessLog.flush() }
    this.#recorder = createRecorder({ columns: this.#columns, snapshot, accessLog })
    this.#pools = new UpstreamPools(clock)
    this.#forwarder = new Forwarder(this.#pools, clock)
    this.#runtimePorts = { table: attachEndpointTable(ports.endpoints), plugins, clock, rng }
    this.#eventLoop = watchEventLoop({ columns: this.#columns, clock, thread })
    const runtime = compileRuntime(snapshot, adapterIds, this.#runtimePorts)
    this.#server = new RequestServer(runtime, {
      forwarder: this.#forwarder,
      recorder: this.#recorder,
      clock,
      rng,
      newId: requestIds(),
      onFault: ports.onFault,
    })
  }

  /** Requests and connections now open. */
  get active(): { readonly requests: number; readonly connections: number; readonly upstreams: number } {
    let connections = 0
    for (const listener of this.#listeners.values()) connections += listener.connections
    return { requests: this.#forwarder.active, connections, upstreams: this.#pools.open }
  }

  /** Opens the listeners of the snapshot; rejects with the system's error when one cannot be opened. */
  async listen(): Promise<readonly OpenListener[]> {
    await this.#syncListeners(this.#snapshot.listeners)
    return this.#open
  }

  /** Puts another snapshot in force: requests in flight keep the one they started with. */
  async apply(snapshot: Snapshot, adapterIds: AdapterIds): Promise<readonly OpenListener[]> {
    const runtime = compileRuntime(snapshot, adapterIds, this.#runtimePorts)
    this.#snapshot = snapshot
    this.#recorder.applySnapshot(snapshot)
    this.#pools.applySnapshot(snapshot)
    this.#server.runtime = runtime
    for (const listener of this.#listeners.values()) listener.configure(snapshot.limits)
    await this.#syncListeners(snapshot.listeners)
    return this.#open
  }

  /** Stops accepting and lets requests finish within the grace of the snapshot; then ends the rest. */
  async drain(): Promise<void> {
    const { clock } = this.#ports
    const { drainMs } = this.#snapshot.limits
    const timers = [
      clock.after(drainMs, () => this.#forwarder.endAll(refuse('draining', endpointDrainNotice))),
      // By now only those are left who never finish their request, or never take their answer.
      clock.after(drainMs + lastWordsMs, () => {
        for (const listener of this.#listeners.values()) listener.close()
      }),
    ]
    await Promise.all([...this.#listeners.values()].map((listener) => listener.drain()))
    for (const timer of timers) timer.cancel()
  }

  /** Drops everything at once and flushes the log. */
  async close(): Promise<void> {
    for (const listener of this.#listeners.values()) listener.close()
    this.#forwarder.endAll(refuse('draining', endpointDrainNotice))
    this.#pools.close()
    this.#eventLoop.close()
    await this.#accessLog.flush()
  }

  #log(...outcome: Parameters<AccessLog['write']>): void {
    if (this.#snapshot.logging.accessLog) this.#accessLog.write(...outcome)
  }

  /** Opens listeners that are new, drains those that are gone; one that is unchanged keeps its socket. */
  async #syncListeners(plans: readonly ListenerPlan[]): Promise<void> {
    const keys = new Set(plans.map(listenerKey))
    const gone = [...this.#listeners].filter(([key]) => !keys.has(key))
    for (const [key, listener] of gone) {
      this.#listeners.delete(key)
      this.#open = this.#open.filter((open) => open.name !== listener.plan.name)
      void listener.drain()
    }
    for (const plan of plans) {
      if (!this.#listeners.has(listenerKey(plan))) await this.#openListener(plan)
    }
  }

  async #openListener(plan: ListenerPlan): Promise<void> {
    const connections = this.#recorder.connections(plan.name)
    let last = 0
    const listener = new Listener(plan, this.#snapshot.limits, {
      handler: this.#server,
      clock: this.#ports.clock,
      onConnections: (open) => {
        connections.add(open - last)
        last = open
      },
      onRefusedConnection: () => this.#recorder.refused('too-many-connections'),
    })
    const port = await listener.listen()
    this.#listeners.set(listenerKey(plan), listener)
    this.#open = [...this.#open, { name: plan.name, address: plan.address, port, tls: plan.tls !== undefined }]
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

function listenerKey(plan: ListenerPlan): string {
  return JSON.stringify([plan.name, plan.address, plan.port, plan.tls])
}
