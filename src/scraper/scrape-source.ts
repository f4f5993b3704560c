import type { EndpointPlan } from '#config/snapshot.ts'
import { health } from '#core/endpoint.ts'
import { readModelsAnswer, readTotalSlots } from './engine-details.ts'
import { type EngineProfile, engineProfiles } from './engines.ts'
import type { GetAnswer, GetClient } from './get-port.ts'
import { HealthJudge } from './health-judge.ts'
import { isEmpty, knownFields, type LoadReading } from './load-reading.ts'
import { type Health, LoadWriter } from './load-writer.ts'
import { PageQuery } from './page-query.ts'
import { PageReader } from './page-reader.ts'
import { RestartWatch } from './restart-watch.ts'
import type { ScrapeFailure, ScraperPorts, ScrapeStatus } from './scrape-ports.ts'
import type { SourcePlan } from './source-plan.ts'

const healthIntervalMs = 1000
const detailsIntervalMs = 10_000
const maxBackOffMs = 5000
const minTimeoutMs = 1000
const minStaleMs = 2000

type Task = 'page' | 'health' | 'models' | 'props'

interface Pending {
  readonly task: Task
  readonly client: GetClient
  readonly startedMs: number
}

/**
 * Asks one address for load and health and writes what it says into the rows of its endpoints. At most one request is
 * under way. Driven by `tick`, so it has no timers of its own.
 */
export class ScrapeSource {
  readonly #plan: SourcePlan
  readonly #ports: ScraperPorts
  readonly #profile: EngineProfile
  readonly #reader: PageReader
  readonly #query: PageQuery
  readonly #judge = new HealthJudge()
  readonly #watch = new RestartWatch()
  /** Endpoints that have become ready, and are not known yet to be those that they were. */
  #returned: readonly EndpointPlan[] = []
  readonly #main: GetClient
  readonly #pages: GetClient
  readonly #intervalMs: number
  /** When each task is due; infinite when it is not wanted. */
  readonly #due: Record<Task, number>
  #writers: readonly LoadWriter[] = []
  #pending: Pending | undefined = undefined
  #staleAtMs: number
  #failuresInRow = 0
  #totalSlots: number | undefined = undefined
  #maxModelLen: number | undefined = undefined
  #reportedAtMs = 0
  #durationMs: number | undefined = undefined
  #pageBytes = 0
  #failures = 0
  #error: string | undefined = undefined
  #isTried = false
  /** Fields known of each endpoint by the last page. */
  #known: readonly number[] = []

  /** `phase` in [0, 1) is the share of the interval after which the first scrape begins. */
  constructor(plan: SourcePlan, ports: ScraperPorts, phase: number) {
    const { page } = plan
    this.#plan = plan
    this.#ports = ports
    this.#profile = engineProfiles[plan.engine]
    this.#reader = new PageReader(this.#profile)
    this.#query = new PageQuery(page?.path ?? '', this.#reader.names)
    this.#main = ports.createGetClient(plan.main)
    this.#pages = page === undefined || page.target === plan.main ? this.#main : ports.createGetClient(page.target)
    this.#intervalMs = page?.intervalMs ?? healthIntervalMs
    const now = ports.clock.nowMs()
    const first = now + phase * this.#intervalMs
    const { healthPath, modelsPath, propsPath } = this.#profile
    this.#due = {
      page: page === undefined ? Number.POSITIVE_INFINITY : first,
      health: page === undefined && healthPath !== undefined ? first : Number.POSITIVE_INFINITY,
      models: modelsPath === undefined ? Number.POSITIVE_INFINITY : first,
      props: propsPath === undefined ? Number.POSITIVE_INFINITY : first,
    }
    this.#staleAtMs = now + this.#staleAfterMs
  }

  /** How often it wants to be ticked at least. */
  get intervalMs(): number {
    return this.#intervalMs
  }

  /** Whether it has got an answer or a failure of the first thing it asked for. */
  get isTried(): boolean {
    return this.#isTried
  }

  /** Replaces the endpoints it writes for; those that stay keep what is known of them. */
  setEndpoints(endpoints: readonly EndpointPlan[]): void {
    const before = this.#writers
    this.#known = []
    this.#writers = endpoints.map((endpoint) => {
      const known = before.find(
        (writer) => writer.endpoint.slot === endpoint.slot && writer.endpoint.generation === endpoint.generation,
      )
      return known ?? new LoadWriter(this.#ports.table, endpoint, this.#ports.adapterId)
    })
    const isJoined = before.length > 0 && this.#writers.some((writer) => !before.includes(writer))
    if (isJoined && this.#profile.modelsPath !== undefined) this.#due.models = this.#ports.clock.nowMs()
  }

  /** Begins what is due, ends what takes too long, and lets old values decay. */
  tick(nowMs: number): void {
    if (nowMs > this.#staleAtMs) {
      this.#staleAtMs = Number.POSITIVE_INFINITY
      for (const writer of this.#writers) writer.decay()
    }
    const pending = this.#pending
    if (pending !== undefined) {
      if (nowMs - pending.startedMs > this.#timeoutMs) pending.client.abort('timeout')
      return
    }
    const task = this.#nextTask()
    if (this.#due[task] <= nowMs) this.#start(task, nowMs)
  }

  close(): void {
    this.#pending = undefined
    this.#main.close()
    if (this.#pages !== this.#main) this.#pages.close()
  }

  statuses(nowMs: number): ScrapeStatus[] {
    return this.#writers.map((writer) => ({
      endpointId: writer.endpoint.id,
      modelServer: this.#plan.modelServer,
      ageMs: this.#reportedAtMs === 0 ? undefined : nowMs - this.#reportedAtMs,
      ok: this.#isTried && this.#error === undefined,
      error: this.#error,
      failures: this.#failures,
      pageBytes: this.#pageBytes,
      narrowed: this.#query.isNarrowed,
      durationMs: this.#durationMs,
      adapters: writer.adapters,
      maxModelLen: this.#maxModelLen,
    }))
  }

  get #staleAfterMs(): number {
    return Math.max(3 * this.#intervalMs, minStaleMs)
  }

  get #timeoutMs(): number {
    return Math.max(5 * this.#intervalMs, minTimeoutMs)
  }

  #nextTask(): Task {
    const due = this.#due
    let next: Task = 'page'
    if (due.health < due[next]) next = 'health'
    if (due.models < due[next]) next = 'models'
    if (due.props < due[next]) next = 'props'
    return next
  }

  #start(task: Task, nowMs: number): void {
    const client = task === 'page' ? this.#pages : this.#main
    const pending = { task, client, startedMs: nowMs }
    this.#pending = pending
    if (task === 'page') for (const writer of this.#writers) writer.begin()
    client.get(this.#pathOf(task), (answer) => {
      // After close() a late answer is nobody's.
      if (this.#pending !== pending) return
      this.#pending = undefined
      this.#isTried = true
      this.#finish(task, answer, nowMs)
    })
  }

  #pathOf(task: Task): string {
    if (task === 'page') return this.#query.path
    const { healthPath, modelsPath, propsPath } = this.#profile
    const path = task === 'health' ? healthPath : task === 'models' ? modelsPath : propsPath
    return `${this.#plan.basePath}${path ?? '/'}`
  }

  #finish(task: Task, answer: GetAnswer, startedMs: number): void {
    const nowMs = this.#ports.clock.nowMs()
    switch (task) {
      case 'page':
        return this.#finishPage(answer, startedMs, nowMs)
      case 'health':
        return this.#finishHealth(answer, nowMs)
      case 'models':
        this.#due.models = nowMs + this.#jittered(detailsIntervalMs)
        return this.#finishModels(answer)
      default:
        this.#due.props = nowMs + this.#jittered(detailsIntervalMs)
        if (answer.kind === 'answer' && answer.status === 200) this.#totalSlots = readTotalSlots(answer.body)
    }
  }

  #finishPage(answer: GetAnswer, startedMs: number, nowMs: number): void {
    if (answer.kind === 'failure') {
      this.#query.noteFailure()
      return this.#pageFailed(answer.reason, answer.message, nowMs)
    }
    if (this.#query.isProbing && !this.#takeProbe(answer)) return this.#askAgain(nowMs)
    if (this.#query.isNarrowed && answer.status !== 200) return this.#widen(nowMs)
    if (answer.status !== 200) return this.#pageFailed('status', `the page answered ${answer.status}`, nowMs)
    const { body } = answer
    this.#reader.open(body)
    const readings = this.#writers.map((writer) => this.#completed(this.#reader.read(writer.endpoint.rank)))
    const known = readings.map(knownFields)
    if (this.#query.isNarrowed && known.some((fields, i) => (this.#known[i] ?? 0) & ~fields)) return this.#widen(nowMs)
    this.#known = known
    if (readings.length > 0 && readings.every(isEmpty)) {
      return this.#pageFailed('no-metrics', `the page has no metric of ${this.#plan.engine}`, nowMs)
    }
    this.#pageGood(body.length, startedMs, nowMs)
    if (this.#query.wantsFull) {
      this.#reader.forget()
      this.#query.takeFull(this.#reader.seriesCounts(), body.length)
    }
    this.#writers.forEach((writer, i) => void writer.writeReading(readings[i] as LoadReading, nowMs))
    this.#setHealth(health.ready, 'the metrics page was read')
    this.#judgeRestart(nowMs)
  }

  #takeProbe(answer: GetAnswer & { kind: 'answer' }): boolean {
    if (answer.status !== 200) return this.#query.takeProbe(undefined, 0)
    this.#reader.open(answer.body)
    this.#reader.forget()
    return this.#query.takeProbe(this.#reader.seriesCounts(), answer.body.length)
  }

  /** Says which engines were started anew: all behind a page that tells of it, else those that were away. */
  #judgeRestart(nowMs: number): void {
    const verdict = this.#watch.take(this.#reader.life())
    if (verdict === 'same') this.#returned = []
    if (verdict === 'new') {
      this.#returned = this.#writers.map(({ endpoint }) => endpoint)
      this.#noteRestart(nowMs)
    }
    this.#tellReturned()
  }

  #tellReturned(): void {
    const returned = this.#returned
    this.#returned = []
    for (const endpoint of returned) this.#ports.observer.restarted(endpoint)
  }

  /** A narrowed page says less than it did, or nothing. */
  #widen(nowMs: number): void {
    this.#query.widen()
    this.#askAgain(nowMs)
  }

  /** Not a failure of the endpoint: the same scrape goes on with another form of the page. */
  #askAgain(nowMs: number): void {
    this.#reader.forget()
    this.#start('page', nowMs)
  }

  /** llama.cpp has no gauge of its cache: busy slots over all slots stand for it. */
  #completed(reading: LoadReading): LoadReading {
    if (!Number.isNaN(reading.kvUse) || this.#totalSlots === undefined) return reading
    return { ...reading, kvUse: Math.min(1, reading.running / this.#totalSlots) }
  }

  #pageGood(bytes: number, startedMs: number, nowMs: number): void {
    if (this.#failuresInRow > 0) this.#noteRestart(nowMs)
    this.#failuresInRow = 0
    this.#error = undefined
    this.#due.health = Number.POSITIVE_INFINITY
    // From the due time, not from now: the phases of the endpoints stay apart.
    const next = this.#due.page + this.#intervalMs
    this.#due.page = next > nowMs ? next : next + Math.ceil((nowMs - next) / this.#intervalMs) * this.#intervalMs
    this.#reportedAtMs = nowMs
    this.#durationMs = nowMs - startedMs
    this.#pageBytes = bytes
    this.#staleAtMs = nowMs + this.#staleAfterMs
    const first = this.#writers[0]
    if (first !== undefined) this.#ports.observer.scraped(first.endpoint, this.#durationMs, bytes)
  }

  /** What was found out about the engine may not hold for the one that answers now. */
  #noteRestart(nowMs: number): void {
    this.#query.restart()
    this.#reader.forget()
    if (this.#profile.modelsPath !== undefined) this.#due.models = nowMs
    if (this.#profile.propsPath !== undefined) this.#due.props = nowMs
  }

  #pageFailed(reason: ScrapeFailure, message: string, nowMs: number): void {
    const backOffMs = Math.min(maxBackOffMs, this.#intervalMs * 2 ** Math.min(++this.#failuresInRow, 16))
    this.#due.page = nowMs + Math.min(maxBackOffMs, this.#jittered(backOffMs))
    this.#failures++
    this.#error = message
    this.#tellReturned()
    for (const { endpoint } of this.#writers) this.#ports.observer.failed(endpoint, reason)
    // A port of its own says nothing of the port that serves.
    const isDown = this.#pages === this.#main && (reason === 'refused' || reason === 'unreachable')
    if (isDown) this.#setHealth(health.unready, message)
    else if (this.#profile.healthPath === undefined) this.#setHealth(health.unknown, message)
    if (this.#profile.healthPath !== undefined) this.#due.health = Math.min(this.#due.health, nowMs)
  }

  #finishHealth(answer: GetAnswer, nowMs: number): void {
    this.#due.health = nowMs + this.#jittered(healthIntervalMs)
    const wasUnready = this.#writers.some((writer) => writer.health === health.unready)
    const { value, reason } = this.#judge.judge(answer)
    if (value !== undefined) this.#setHealth(value, reason)
    const isReady = value === health.ready
    if (this.#plan.page === undefined) {
      this.#error = isReady ? undefined : reason
      this.#tellReturned()
    } else if (isReady && wasUnready) this.#due.page = nowMs
  }

  #finishModels(answer: GetAnswer): void {
    if (answer.kind === 'failure') return
    const models = answer.status === 200 ? readModelsAnswer(answer.body) : undefined
    this.#maxModelLen = models?.maxModelLen
    for (const writer of this.#writers) writer.writeLoaded(models?.adapters)
  }

  #setHealth(value: Health, reason: string): void {
    for (const writer of this.#writers) {
      if (writer.health === value) continue
      writer.writeHealth(value, this.#ports.clock.nowMs())
      this.#ports.observer.healthChanged(writer.endpoint, value, reason)
      if (value === health.ready) this.#returned = [...this.#returned, writer.endpoint]
    }
  }

  /** Plus or minus an eighth, so that endpoints which failed together are not asked together for good. */
  #jittered(durationMs: number): number {
    return durationMs * (0.875 + 0.25 * this.#ports.rng())
  }
}
