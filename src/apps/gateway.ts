import type { Snapshot } from '#config/snapshot.ts'
import { type Clock, type Rng, seededRng, systemClock } from '#core/clock.ts'
import { type AdapterIds, assignAdapterIds } from '#datastore/adapter-ids.ts'
import { createSlotAllocator, type SlotAllocator } from '#datastore/assign-slots.ts'
import { createEndpointTable, type EndpointTable, maxAdapters, maxEndpoints } from '#datastore/endpoint-table.ts'
import { createInternedNames, type InternedNames } from '#datastore/interned-names.ts'
import { type AdminServer, startAdminServer } from '#observe/admin-server.ts'
import { endpointSamples, promptTokenSamples } from '#observe/endpoint-samples.ts'
import { createFdSink } from '#observe/log-sink.ts'
import { createMetricsRegistry, type MetricsRegistry } from '#observe/metrics-registry.ts'
import type { ProcessLog } from '#observe/process-log.ts'
import { readinessFrom, type StatusReport } from '#observe/status-report.ts'
import { createHttpGet } from '#scraper/http-get.ts'
import { createScraper, type Scraper } from '#scraper/scraper.ts'
import { PrefixIndex, prefixIndexMemory } from '#struct/prefix-index.ts'
import { healthName, reportEndpoints, reportModels } from './control.ts'
import { ControlMetrics } from './control-metrics.ts'
import type { ThreadListener } from './data-messages.ts'
import { DataThreads } from './data-threads.ts'
import { reportDecisions } from './decisions.ts'
import type { DealtSockets, GivenSocket } from './inherited-sockets.ts'
import { KvEventFollow } from './kv-event-follow.ts'
import { OpenConnections } from './open-connections.ts'
import { threadSamples } from './thread-samples.ts'

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
  /** How many data threads there are. */
  readonly threads: number
}

/** What went wrong with a configuration, for the status page and the log. */
export interface ReloadProblem {
  readonly file: string
  readonly line: number | undefined
  readonly message: string
}

/** How long the engines may keep a gateway waiting that is to take over. */
const firstScrapeLimitMs = 2000

/** Blocks of 64 tokens that the index of prompts remembers: 64 million tokens in 50 MB, of which only what is used is resident. */
const prefixBlocks = 1_000_000

const noSockets: DealtSockets = { listeners: new Map(), adminFd: undefined, unwanted: [] }

/** A running gateway: the main thread's part, and the data threads it watches over. */
export class Gateway {
  readonly #plan: GatewayPlan
  readonly #clock: Clock
  readonly #rng: Rng
  readonly #table: EndpointTable = createEndpointTable()
  readonly #prefixMemory = prefixIndexMemory({ blocks: prefixBlocks })
  readonly #prefixes = new PrefixIndex(this.#prefixMemory)
  readonly #allocator: SlotAllocator
  readonly #names: InternedNames = createInternedNames(maxAdapters)
  readonly #registry: MetricsRegistry = createMetricsRegistry({ processMetrics: true })
  readonly #control: ControlMetrics
  readonly #connections = new OpenConnections()
  readonly #scraper: Scraper
  readonly #kvEvents: KvEventFollow
  readonly #startedAtWallMs: number
  readonly #startedAtMs: number
  #snapshot: Snapshot
  #adapterIds: AdapterIds
  #threads: DataThreads | undefined = undefined
  #admin: AdminServer | undefined = undefined
  #reload: StatusReport['reload'] = undefined
  #draining = false
  /** Another process writes its access log to the same place. */
  #sharesOutput = false
  /** Whether connections are taken: by this process, or by sockets of which it is about to accept. */
  #isOpen = false
  /** Snapshots are put in force one after the other, in the order they came. */
  #applying: Promise<void> = Promise.resolve()

  constructor(plan: GatewayPlan) {
    this.#plan = plan
    this.#clock = systemClock()
    this.#rng = seededRng(plan.seed)
    this.#allocator = createSlotAllocator(this.#table, (slot) => this.#prefixes.forget(slot))
    this.#snapshot = this.#allocator.assign(plan.snapshot)
    this.#adapterIds = assignAdapterIds(this.#names, this.#snapshot)
    this.#startedAtWallMs = this.#clock.wallMs()
    this.#startedAtMs = this.#clock.nowMs()
    this.#control = new ControlMetrics(this.#registry, plan.version)
    this.#registry.addCollector(() => endpointSamples(this.#endpoints()))
    this.#registry.addCollector(() => promptTokenSamples(this.#kvEvents.prompts))
    this.#registry.addCollector(() => threadSamples(this.#threads?.states ?? []))
    this.#kvEvents = new KvEventFollow(this.#clock, plan.log)
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
          plan.log.info(
            { endpoint: endpoint.id, health: healthName(value), reason },
            'the health of an endpoint changed',
          )
        },
        restarted: (endpoint) => {
          this.#prefixes.forget(endpoint.slot)
          plan.log.info({ endpoint: endpoint.id }, 'what an endpoint had cached is taken to be gone')
        },
      },
    })
  }

  /** Opens admin server and listeners; throws with nothing left open when one cannot be opened. */
  async start(): Promise<void> {
    await this.#startWith(noSockets, async () => {
      this.#admin = await this.#startAdmin(undefined)
      this.#scraper.apply(this.#snapshot)
      this.#kvEvents.apply(this.#snapshot)
    })
  }

  /**
   * As `start`, on sockets that others opened and where connections may be waiting: they are adopted when everything
   * else is ready, the loads of the engines included, so that the first request is served as well as any other.
   */
  async takeOver(sockets: DealtSockets): Promise<void> {
    await this.#startWith(sockets, async (threads) => {
      this.#scraper.apply(this.#snapshot)
      this.#kvEvents.apply(this.#snapshot)
      await threads.loaded()
      await this.#firstScrapes()
      await threads.checkAddresses()
      this.#isOpen = true
      this.#admin = await this.#startAdmin(sockets.adminFd)
    })
  }

  /** Where clients connect. */
  get listeners(): readonly ThreadListener[] {
    return this.#threads?.listeners ?? []
  }

  /** Every listening descriptor of this process. */
  get sockets(): readonly GivenSocket[] {
    const sockets = this.listeners.flatMap(({ name, address, port, fds }) =>
      fds.map((fd): GivenSocket => ({ fd, kind: 'listener', name, at: { address, port } })),
    )
    const admin = this.#admin
    if (admin !== undefined) {
      const at = { address: this.#snapshot.admin.address, port: admin.port }
      sockets.push({ fd: admin.fd, kind: 'admin', name: '', at })
    }
    return sockets
  }

  /** Where metrics and status are. */
  get admin(): { readonly address: string; readonly port: number } {
    return { address: this.#admin?.address ?? '', port: this.#admin?.port ?? 0 }
  }

  /** How many data threads serve. */
  get threads(): number {
    return this.#plan.threads
  }

  /** The snapshot in force. */
  get snapshot(): Snapshot {
    return this.#snapshot
  }

  /** Whether another gateway has the same standard output: lines of both stay whole. */
  shareOutput(isShared: boolean): void {
    this.#sharesOutput = isShared
  }

  /** Puts another snapshot in force; requests in flight keep the one they started with. */
  apply(snapshot: Snapshot): Promise<void> {
    this.#applying = this.#applying.then(() => this.#apply(snapshot))
    return this.#applying
  }

  /** Resolves when no snapshot is being put in force. */
  applied(): Promise<void> {
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
      listeners: this.listeners.map(({ name, address, port, tls }) => ({
        name,
        url: `${tls ? 'https' : 'http'}://${address.includes(':') ? `[${address}]` : address}:${port}`,
        connections: this.#connections.ofListener(name),
      })),
      models: reportModels(this.#snapshot),
      endpoints: this.#endpoints(),
      threads: (this.#threads?.states ?? []).map((state) => ({
        ...state,
        connections: this.#connections.ofThread(state.name),
      })),
    }
  }

  /**
   * Readiness off; new requests are still taken for `limits.drainDelay`, until load balancers know. Then no new
   * connections; resolves when every request has ended or its grace has passed.
   */
  async drain(): Promise<void> {
    this.#draining = true
    const { drainDelayMs } = this.#snapshot.limits
    if (drainDelayMs > 0) await new Promise<void>((resolve) => this.#clock.after(drainDelayMs, resolve))
    await this.#threads?.drain()
  }

  /** As `drain`, when another process serves on the same sockets already: at once, and the admin server goes first. */
  async drainForSuccessor(): Promise<void> {
    this.#draining = true
    this.#admin?.drain()
    await this.#threads?.drain()
  }

  /** Ends everything at once. */
  async close(): Promise<void> {
    this.#draining = true
    this.#scraper.close()
    this.#kvEvents.close()
    await this.#threads?.close()
    await this.#admin?.close()
  }

  async #startWith(sockets: DealtSockets, prepare: (threads: DataThreads) => Promise<void>): Promise<void> {
    const threads = this.#createThreads(sockets)
    this.#threads = threads
    try {
      await prepare(threads)
      await threads.loaded()
      await threads.checkAddresses()
      await threads.listen()
    } catch (caught) {
      await this.close()
      throw caught
    }
    this.#isOpen = true
    this.#noteReload([])
  }

  #createThreads({ listeners }: DealtSockets): DataThreads {
    const { log, accessFd, seed, threads } = this.#plan
    return new DataThreads(this.#snapshot, this.#adapterIds, {
      count: threads,
      table: this.#table,
      prefixMemory: this.#prefixMemory,
      exact: this.#kvEvents.exact,
      clock: this.#clock,
      accessSink: createFdSink({ fd: accessFd, clock: this.#clock, isShared: () => this.#sharesOutput }),
      seed,
      log,
      inherited: listeners,
      onMetrics: (thread, buffer) => {
        this.#registry.addThread(thread, buffer)
        this.#connections.addThread(thread, buffer)
      },
      onPromptPort: (port) => this.#kvEvents.exchange.add(port),
      onGone: (thread) => {
        // Its requests would count as using their prompts for ever.
        for (let slot = 0; slot < maxEndpoints; slot++) this.#prefixes.forget(slot)
        this.#registry.removeThread(thread)
        this.#connections.removeThread(thread)
      },
      onSeries: (thread, series) => {
        this.#registry.series(thread, series)
        this.#connections.note(thread, series)
      },
      onFault: (message, stack, requestId) => log.error({ request_id: requestId, stack }, message),
      onFatal: (message) => this.#fatal(message),
    })
  }

  #startAdmin(fd: number | undefined): Promise<AdminServer> {
    return startAdminServer({
      ...this.#snapshot.admin,
      fd,
      metrics: () => this.#registry.render(),
      readiness: () => this.#readiness(),
      status: () => this.status(),
      decisions: (query) => reportDecisions(this.#snapshot, query, this.#threads),
      onError: (error) => this.#plan.log.error({ error: String(error) }, 'an admin page failed'),
    })
  }

  async #firstScrapes(): Promise<void> {
    const untilMs = this.#clock.nowMs() + firstScrapeLimitMs
    while (!this.#scraper.isFirstRoundDone() && this.#clock.nowMs() < untilMs) {
      await new Promise<void>((resolve) => this.#clock.after(10, resolve))
    }
  }

  async #apply(next: Snapshot): Promise<void> {
    const { log } = this.#plan
    const snapshot = this.#allocator.assign({ ...next, version: this.#snapshot.version + 1 })
    this.#adapterIds = assignAdapterIds(this.#names, snapshot)
    const { threads } = this.#plan
    if (snapshot.threads !== this.#snapshot.threads && snapshot.threads !== threads) {
      log.warn({ threads }, "a change of 'threads' takes effect when the gateway is started anew")
    }
    const problem = await this.#threads?.apply(snapshot, this.#adapterIds)
    this.#snapshot = snapshot
    this.#scraper.apply(snapshot)
    this.#kvEvents.apply(snapshot)
    if (problem === undefined) {
      this.#noteReload([])
      log.info({ version: snapshot.version }, 'configuration changed')
      return
    }
    this.#noteReload([{ file: '', line: undefined, message: problem }])
    log.error({ version: snapshot.version }, `configuration changed, but not everywhere: ${problem}`)
  }

  #noteReload(problems: readonly ReloadProblem[]): void {
    const ok = problems.length === 0
    this.#reload = { ok, atWallMs: this.#clock.wallMs(), problems }
    this.#control.reloaded(ok, this.#snapshot.version, this.#clock.wallMs())
  }

  #readiness(): ReturnType<typeof readinessFrom> {
    return readinessFrom({
      draining: this.#draining,
      listenersUp: this.#isOpen,
      snapshotVersion: this.#snapshot.version,
      firstScrapeRoundEnded: this.#scraper.isFirstRoundDone(),
      sinceFirstSnapshotMs: this.#clock.nowMs() - this.#startedAtMs,
    })
  }

  #endpoints(): ReturnType<typeof reportEndpoints> {
    const reports = reportEndpoints(this.#snapshot, this.#table, this.#scraper.status(), this.#clock.nowMs())
    return this.#kvEvents.annotate(reports)
  }

  /** What cannot be repaired from within: the process ends, so that whoever watches it starts another. */
  #fatal(message: string): void {
    this.#plan.log.error({}, message)
    process.exit(1)
  }
}
