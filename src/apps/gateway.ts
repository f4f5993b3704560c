import type { Snapshot } from '#config/snapshot.ts'
import { type Clock, type Rng, seededRng, systemClock } from '#core/clock.ts'
import { type AdapterIds, assignAdapterIds } from '#datastore/adapter-ids.ts'
import { createSlotAllocator, type SlotAllocator } from '#datastore/assign-slots.ts'
import { createEndpointTable, type EndpointTable, maxAdapters } from '#datastore/endpoint-table.ts'
import { createInternedNames, type InternedNames } from '#datastore/interned-names.ts'
import { type AdminServer, startAdminServer } from '#observe/admin-server.ts'
import { endpointSamples } from '#observe/endpoint-samples.ts'
import { createFdSink } from '#observe/log-sink.ts'
import { createMetricsRegistry, type MetricsRegistry } from '#observe/metrics-registry.ts'
import type { ProcessLog } from '#observe/process-log.ts'
import { readinessFrom, type StatusReport } from '#observe/status-report.ts'
import { createHttpGet } from '#scraper/http-get.ts'
import { createScraper, type Scraper } from '#scraper/scraper.ts'
import { reportEndpoints, reportModels } from './control.ts'
import { ControlMetrics } from './control-metrics.ts'
import { DataHost } from './data-host.ts'
import type { OpenListener } from './data-plane.ts'
import { OpenConnections } from './open-connections.ts'

/** What a gateway is started with. */
export interface GatewayPlan {
  readonly version: string
  /** The first snapshot: slots not yet assigned. */
  readonly snapshot: Snapshot
  readonly log: ProcessLog
  /** File descriptor of the access log. */
  readonly accessFd: number
  /** Seed of the random choices of the data threads. */
  readonly seed: number
}

/** What went wrong with a configuration, for the status page and the log. */
export interface ReloadProblem {
  readonly file: string
  readonly line: number | undefined
  readonly message: string
}

const dataThread = 'data-0'

/** A running gateway: the main thread's part, and the data thread it watches over. */
export class Gateway {
  readonly #plan: GatewayPlan
  readonly #clock: Clock
  readonly #rng: Rng
  readonly #table: EndpointTable = createEndpointTable()
  readonly #allocator: SlotAllocator
  readonly #names: InternedNames = createInternedNames(maxAdapters)
  readonly #registry: MetricsRegistry = createMetricsRegistry({ processMetrics: true })
  readonly #control: ControlMetrics
  readonly #connections = new OpenConnections()
  readonly #scraper: Scraper
  readonly #startedAtWallMs: number
  readonly #startedAtMs: number
  #snapshot: Snapshot
  #adapterIds: AdapterIds
  #host: DataHost | undefined = undefined
  #listeners: readonly OpenListener[] = []
  #admin: AdminServer | undefined = undefined
  #reload: StatusReport['reload'] = undefined
  #draining = false
  /** Snapshots are put in force one after the other, in the order they came. */
  #applying: Promise<void> = Promise.resolve()

  constructor(plan: GatewayPlan) {
    this.#plan = plan
    this.#clock = systemClock()
    this.#rng = seededRng(plan.seed)
    this.#allocator = createSlotAllocator(this.#table)
    this.#snapshot = this.#allocator.assign(plan.snapshot)
    this.#adapterIds = assignAdapterIds(this.#names, this.#snapshot)
    this.#startedAtWallMs = this.#clock.wallMs()
    this.#startedAtMs = this.#clock.nowMs()
    this.#control = new ControlMetrics(this.#registry, plan.version)
    this.#registry.addCollector(() => endpointSamples(this.#endpoints()))
    this.#scraper = createScraper({
      table: this.#table,
      clock: this.#clock,
      rng: this.#rng,
      createGetClient: createHttpGet(),
      adapterId: (name) => this.#names.idOf(name),
      observer: {
        scraped: () => {},
        failed: () => {},
        healthChanged: (endpoint, value, reason) => {
          plan.log.info({ endpoint: endpoint.id, health: value, reason }, 'the health of an endpoint changed')
        },
      },
    })
  }

  /** Opens listeners and admin server; throws with nothing left open when one cannot be opened. */
  async start(): Promise<void> {
    const { log, accessFd, seed } = this.#plan
    this.#admin = await startAdminServer({
      ...this.#snapshot.admin,
      metrics: () => this.#registry.render(),
      readiness: () => this.#readiness(),
      status: () => this.status(),
      onError: (error) => log.error({ error: String(error) }, 'an admin page failed'),
    })
    try {
      const started = await DataHost.start(this.#snapshot, this.#adapterIds, {
        thread: dataThread,
        endpoints: this.#table.buffer,
        accessSink: createFdSink({ fd: accessFd, clock: this.#clock }),
        seed,
        onMetrics: (thread, buffer) => {
          this.#registry.addThread(thread, buffer)
          this.#connections.addThread(buffer)
        },
        onSeries: (thread, series) => {
          this.#registry.series(thread, series)
          this.#connections.note(series)
        },
        onFault: (message, stack, requestId) => log.error({ request_id: requestId, stack }, message),
        onExit: (error) => this.#dataThreadEnded(error),
      })
      this.#host = started.host
      this.#listeners = started.listeners
    } catch (caught) {
      await this.#admin.close()
      throw caught
    }
    this.#scraper.apply(this.#snapshot)
    this.#noteReload([])
  }

  /** Where clients connect. */
  get listeners(): readonly OpenListener[] {
    return this.#listeners
  }

  /** Where metrics and status are. */
  get admin(): { readonly address: string; readonly port: number } {
    return { address: this.#admin?.address ?? '', port: this.#admin?.port ?? 0 }
  }

  /** The snapshot in force. */
  get snapshot(): Snapshot {
    return this.#snapshot
  }

  /** Puts another snapshot in force; requests in flight keep the one they started with. */
  apply(snapshot: Snapshot): Promise<void> {
    this.#applying = this.#applying.then(() => this.#apply(snapshot))
    return this.#applying
  }

  /** A configuration could not be loaded: the one in force stays, and everybody can see why. */
  rejected(problems: readonly ReloadProblem[]): void {
    this.#noteReload(problems)
    for (const { file, line, message } of problems) {
      this.#plan.log.error({ file, line }, `configuration rejected, the one in force stays: ${message}`)
    }
  }

  /** Everything the status page shows. */
  status(): StatusReport {
    return {
      version: this.#plan.version,
      startedAtWallMs: this.#startedAtWallMs,
      uptimeMs: this.#clock.nowMs() - this.#startedAtMs,
      readiness: this.#readiness(),
      snapshotVersion: this.#snapshot.version,
      reload: this.#reload,
      listeners: this.#listeners.map(({ name, address, port, tls }) => ({
        name,
        url: `${tls ? 'https' : 'http'}://${address.includes(':') ? `[${address}]` : address}:${port}`,
        connections: this.#connections.of(name),
      })),
      models: reportModels(this.#snapshot),
      endpoints: this.#endpoints(),
      threads: [{ name: dataThread, snapshotVersion: this.#snapshot.version, connections: this.#connections.total() }],
    }
  }

  /** Readiness off, no new connections; resolves when every request has ended or its grace has passed. */
  async drain(): Promise<void> {
    this.#draining = true
    await this.#host?.drain()
  }

  /** Ends everything at once. */
  async close(): Promise<void> {
    this.#draining = true
    this.#scraper.close()
    await this.#host?.close()
    await this.#admin?.close()
  }

  async #apply(next: Snapshot): Promise<void> {
    const { log } = this.#plan
    const snapshot = this.#allocator.assign({ ...next, version: this.#snapshot.version + 1 })
    this.#adapterIds = assignAdapterIds(this.#names, snapshot)
    const settled = await this.#host?.apply(snapshot, this.#adapterIds)
    this.#snapshot = snapshot
    this.#scraper.apply(snapshot)
    if (settled !== undefined) this.#listeners = settled.listeners
    if (settled?.error === undefined) {
      this.#noteReload([])
      log.info({ version: snapshot.version }, 'configuration changed')
      return
    }
    this.#noteReload([{ file: '', line: undefined, message: settled.error }])
    log.error(
      { version: snapshot.version },
      `configuration changed, but a listener could not be opened: ${settled.error}`,
    )
  }

  #noteReload(problems: readonly ReloadProblem[]): void {
    const ok = problems.length === 0
    this.#reload = { ok, atWallMs: this.#clock.wallMs(), problems }
    this.#control.reloaded(ok, this.#snapshot.version, this.#clock.wallMs())
  }

  #readiness(): ReturnType<typeof readinessFrom> {
    return readinessFrom({
      draining: this.#draining,
      listenersUp: this.#listeners.length > 0,
      snapshotVersion: this.#snapshot.version,
      firstScrapeRoundEnded: this.#scraper.isFirstRoundDone(),
      sinceFirstSnapshotMs: this.#clock.nowMs() - this.#startedAtMs,
    })
  }

  #endpoints(): ReturnType<typeof reportEndpoints> {
    return reportEndpoints(this.#snapshot, this.#table, this.#scraper.status())
  }

  /** Without its data thread the process serves nobody: it ends, so that whoever watches it starts another. */
  #dataThreadEnded(error: Error): void {
    this.#plan.log.error({ stack: error.stack }, `the data thread ended: ${error.message}`)
    process.exit(1)
  }
}
