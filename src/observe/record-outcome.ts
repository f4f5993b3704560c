import type { FailedAttempt, Outcome } from '#core/outcome.ts'
import type { RefusalReason } from '#core/refusal.ts'
import type { AccessLog } from './access-log.ts'
import { metrics, otherLabel } from './catalog.ts'
import { createChildCache } from './child-cache.ts'
import { type LabelSource, type LabelValues, labelValuesFrom } from './label-values.ts'
import type { MetricColumns } from './metric-columns.ts'
import type { Gauge } from './metric-handles.ts'
import { createRequestMetrics, type RequestMetrics } from './request-metrics.ts'

/** Turns outcomes into metrics and log lines; one per data thread. */
export interface Recorder {
  /** Records how a request ended: once per request, at its very end. 0.2 us without the log, 2.2 us with it. */
  record(outcome: Outcome): void
  /**
   * The gauge of requests in flight for a model name as the client wrote it. The caller adds 1, keeps the gauge with
   * the request, and adds -1 to the same one at the end: a snapshot swapped in between may change the label.
   */
  inFlight(model: string): Gauge
  /** The gauge of open WebSocket tunnels for a model name, as `inFlight`. */
  tunnels(model: string): Gauge
  /** The gauge of open connections of a listener. */
  connections(listener: string): Gauge
  /** Counts a refusal that has no request, such as a connection beyond the limit. */
  refused(reason: RefusalReason): void
  /** Takes over the label values of a snapshot. Costs microseconds; the series already there stay. */
  applySnapshot(snapshot: LabelSource): void
}

/** What `createRecorder` needs. */
export interface RecorderPorts {
  readonly columns: MetricColumns
  readonly snapshot: LabelSource
  /** Undefined when requests are not logged. */
  readonly accessLog: AccessLog | undefined
}

class OutcomeRecorder implements Recorder {
  readonly #columns: MetricColumns
  readonly #accessLog: AccessLog | undefined
  #labels: LabelValues
  /** By model, model server and API: the label values are bounded, so these maps are. */
  #kinds = new Map<string, Map<string | undefined, Map<string | undefined, RequestMetrics>>>()
  readonly #attempts = createChildCache((server, result) =>
    this.#columns.counter(metrics.attempts, { model_server: server, result }),
  )
  readonly #retries = createChildCache((server, reason) =>
    this.#columns.counter(metrics.retries, { model_server: server, reason }),
  )
  readonly #refusals = createChildCache((reason) => this.#columns.counter(metrics.refusals, { reason }))
  readonly #cuts = createChildCache((reason) => this.#columns.counter(metrics.cutStreams, { reason }))
  readonly #errorEvents = createChildCache((server) =>
    this.#columns.counter(metrics.errorEvents, { model_server: server }),
  )
  readonly #aborts = createChildCache((phase) => this.#columns.counter(metrics.clientAborts, { phase }))
  readonly #skipped = createChildCache((server) =>
    this.#columns.counter(metrics.skippedTargets, { model_server: server }),
  )
  readonly #fallbacks = createChildCache((server, scorer) =>
    this.#columns.counter(metrics.scorerFallbacks, { model_server: server, scorer }),
  )
  readonly #reachable = createChildCache((server) =>
    this.#columns.counter(metrics.prefixReachable, { model_server: server }),
  )
  readonly #realized = createChildCache((server) =>
    this.#columns.counter(metrics.prefixRealized, { model_server: server }),
  )
  readonly #copies = createChildCache((server) =>
    this.#columns.histogram(metrics.prefixCopies, { model_server: server }),
  )
  readonly #inFlight = createChildCache((model) => this.#columns.gauge(metrics.requestsInFlight, { model }))
  readonly #fixed: FixedChildren

  constructor({ columns, snapshot, accessLog }: RecorderPorts) {
    this.#columns = columns
    this.#accessLog = accessLog
    this.#labels = labelValuesFrom(snapshot)
    this.#fixed = createFixedChildren(columns)
  }

  record(outcome: Outcome): void {
    const { before, after, bytesIn, bytesOut } = this.#fixed
    this.#requestMetrics(outcome).record(outcome)
    before.observe((outcome.sentAtMs - outcome.receivedAtMs) / 1000)
    if (outcome.abort === undefined) after.observe((outcome.endedAtMs - outcome.upstreamEndAtMs) / 1000)
    bytesIn.add(outcome.requestBytes)
    bytesOut.add(outcome.responseBytes)
    if (outcome.attempts > 0) this.#recordAttempts(outcome)
    if (outcome.refusal !== undefined) this.#refusals.get(outcome.refusal).add(1)
    if (outcome.cut) this.#cuts.get(outcome.refusal ?? otherLabel).add(1)
    if (outcome.hasErrorEvent) this.#errorEvents.get(this.#labels.modelServerLabel(outcome.modelServer ?? '')).add(1)
    if (outcome.abort !== undefined) this.#aborts.get(outcome.abort).add(1)
    if (outcome.scorerFallback !== undefined) {
      this.#fallbacks.get(this.#labels.modelServerLabel(outcome.modelServer ?? ''), outcome.scorerFallback).add(1)
    }
    if (outcome.reachableTokens > 0) this.#recordLocality(outcome)
    for (const key of outcome.skippedTargets) this.#skipped.get(this.#labels.modelServerLabel(key)).add(1)
    this.#accessLog?.write(outcome)
  }

  inFlight(model: string): Gauge {
    return this.#inFlight.get(this.#labels.modelLabel(model))
  }

  tunnels(model: string): Gauge {
    return this.#columns.gauge(metrics.tunnelsOpen, { model: this.#labels.modelLabel(model) })
  }

  connections(listener: string): Gauge {
    return this.#columns.gauge(metrics.connectionsOpen, { listener: this.#labels.listenerLabel(listener) })
  }

  refused(reason: RefusalReason): void {
    this.#refusals.get(reason).add(1)
  }

  applySnapshot(snapshot: LabelSource): void {
    this.#labels = labelValuesFrom(snapshot)
    this.#kinds = new Map()
  }

  #recordAttempts({ attempts, failedAttempts, modelServer }: Outcome): void {
    for (let i = 0; i < failedAttempts.length; i++) {
      const { modelServer: key, reason } = failedAttempts[i] as FailedAttempt
      const label = this.#labels.modelServerLabel(key)
      this.#attempts.get(label, reason).add(1)
      if (i < attempts - 1) this.#retries.get(label, reason).add(1)
    }
    if (attempts > failedAttempts.length) {
      this.#attempts.get(this.#labels.modelServerLabel(modelServer ?? ''), 'ok').add(1)
    }
  }

  #recordLocality({ modelServer, reachableTokens, realizedTokens, prefixCopies }: Outcome): void {
    const label = this.#labels.modelServerLabel(modelServer ?? '')
    this.#reachable.get(label).add(reachableTokens)
    this.#realized.get(label).add(realizedTokens)
    if (prefixCopies > 0) this.#copies.get(label).observe(prefixCopies)
  }

  /** The maps are keyed by what the outcome says where that is bounded, so that a hit makes no string. */
  #requestMetrics({ model, modelServer, api }: Outcome): RequestMetrics {
    const label = this.#labels.modelLabel(model)
    return this.#kinds.get(label)?.get(modelServer)?.get(api) ?? this.#addKind(label, modelServer, api)
  }

  #addKind(model: string, modelServer: string | undefined, api: Outcome['api']): RequestMetrics {
    const created = createRequestMetrics(this.#columns, {
      model,
      api,
      provider: this.#labels.providerLabel(modelServer),
    })
    const byServer = this.#kinds.get(model) ?? new Map<string | undefined, Map<string | undefined, RequestMetrics>>()
    const byApi = byServer.get(modelServer) ?? new Map<string | undefined, RequestMetrics>()
    this.#kinds.set(model, byServer.set(modelServer, byApi.set(api, created)))
    return created
  }
}

type FixedChildren = ReturnType<typeof createFixedChildren>

function createFixedChildren(columns: MetricColumns) {
  return {
    before: columns.histogram(metrics.overhead, { phase: 'before' }),
    after: columns.histogram(metrics.overhead, { phase: 'after' }),
    bytesIn: columns.counter(metrics.bodyBytes, { direction: 'in' }),
    bytesOut: columns.counter(metrics.bodyBytes, { direction: 'out' }),
  }
}

/** Creates the recorder of a data thread. */
export function createRecorder(ports: RecorderPorts): Recorder {
  return new OutcomeRecorder(ports)
}
