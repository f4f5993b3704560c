import type { ApiName } from '#core/api.ts'
import type { Outcome } from '#core/outcome.ts'
import { metrics, noneLabel } from './catalog.ts'
import { operationName } from './gen-ai-names.ts'
import type { MetricColumns } from './metric-columns.ts'
import type { Counter, Histogram } from './metric-handles.ts'

/** What the children of a request's metrics depend on, label values already bounded. */
export interface RequestKind {
  readonly model: string
  readonly api: ApiName | undefined
  readonly provider: string
}

/** The children for requests of one kind: looked up once per request, then only indexed. */
export interface RequestMetrics {
  record(outcome: Outcome): void
}

/** What went wrong, as a label of bounded values; '' when nothing did. */
export function errorType({ abort, refusal, status, hasErrorEvent }: Outcome): string {
  if (abort !== undefined) return 'client-abort'
  if (refusal !== undefined) return refusal
  if (hasErrorEvent) return 'upstream-error-event'
  return status >= 400 ? statusLabel(status) : ''
}

/** A status as a label: engines may send any number, so what is no HTTP status is `other`. */
export function statusLabel(status: number): string {
  return status === 0 || (status >= 100 && status < 600) ? String(status) : 'other'
}

class KindMetrics implements RequestMetrics {
  readonly #columns: MetricColumns
  readonly #kind: RequestKind
  readonly #requests = new Map<number, Counter>()
  readonly #durations = new Map<string, Histogram>()
  #stream: { readonly ttft: Histogram; readonly tpot: Histogram } | undefined
  #usage: TokenMetrics | undefined

  constructor(columns: MetricColumns, kind: RequestKind) {
    this.#columns = columns
    this.#kind = kind
  }

  record(outcome: Outcome): void {
    const { status, startedAtMs, endedAtMs } = outcome
    const failure = errorType(outcome)
    ;(this.#requests.get(status) ?? this.#addStatus(status)).add(1)
    if (this.#kind.api === undefined) return
    ;(this.#durations.get(failure) ?? this.#addDuration(failure)).observe((endedAtMs - startedAtMs) / 1000)
    if (outcome.stream && failure === '') this.#recordStream(outcome)
    this.#recordUsage(outcome)
  }

  #recordStream(outcome: Outcome): void {
    const { startedAtMs, firstTokenAtMs, lastTokenAtMs, usage } = outcome
    const { ttft, tpot } = (this.#stream ??= this.#createStream())
    ttft.observe((firstTokenAtMs - startedAtMs) / 1000)
    const further = (usage.outputTokens ?? 0) - 1
    if (further > 0) tpot.observe((lastTokenAtMs - firstTokenAtMs) / 1000 / further)
  }

  #recordUsage({ usage }: Outcome): void {
    const { inputTokens, outputTokens, cachedTokens } = usage
    if (inputTokens === undefined && outputTokens === undefined) return
    this.#usage ??= createTokenMetrics(this.#columns, this.#kind.model, this.#genAiLabels())
    this.#usage.record(inputTokens, outputTokens, cachedTokens)
  }

  #addStatus(status: number): Counter {
    const { model, api } = this.#kind
    const label = statusLabel(status)
    const counter = this.#columns.counter(metrics.requests, { model, api: api ?? noneLabel, status: label })
    if (label !== 'other') this.#requests.set(status, counter)
    return counter
  }

  #addDuration(failure: string): Histogram {
    const labels = { ...this.#genAiLabels(), error_type: failure }
    const histogram = this.#columns.histogram(metrics.requestDuration, labels)
    this.#durations.set(failure, histogram)
    return histogram
  }

  #createStream(): { readonly ttft: Histogram; readonly tpot: Histogram } {
    const labels = this.#genAiLabels()
    return {
      ttft: this.#columns.histogram(metrics.timeToFirstToken, labels),
      tpot: this.#columns.histogram(metrics.timePerOutputToken, labels),
    }
  }

  #genAiLabels(): GenAiLabels {
    const { api, provider, model } = this.#kind
    return {
      gen_ai_operation_name: api === undefined ? noneLabel : operationName(api),
      gen_ai_provider_name: provider,
      gen_ai_request_model: model,
    }
  }
}

interface GenAiLabels {
  readonly gen_ai_operation_name: string
  readonly gen_ai_provider_name: string
  readonly gen_ai_request_model: string
}

interface TokenMetrics {
  record(input: number | undefined, output: number | undefined, cached: number | undefined): void
}

function createTokenMetrics(columns: MetricColumns, model: string, labels: GenAiLabels): TokenMetrics {
  const usageOf = (type: string) => columns.histogram(metrics.tokenUsage, { ...labels, gen_ai_token_type: type })
  const totalOf = (type: string) => columns.counter(metrics.tokens, { model, type })
  const inputUsage = usageOf('input')
  const outputUsage = usageOf('output')
  const inputTotal = totalOf('input')
  const outputTotal = totalOf('output')
  const cachedTotal = totalOf('cached')
  return {
    record(input, output, cached) {
      if (input !== undefined) {
        inputUsage.observe(input)
        inputTotal.add(input)
      }
      if (output !== undefined) {
        outputUsage.observe(output)
        outputTotal.add(output)
      }
      if (cached !== undefined) cachedTotal.add(cached)
    },
  }
}

/** Creates the children for one kind of request; each series begins with its first value. */
export function createRequestMetrics(columns: MetricColumns, kind: RequestKind): RequestMetrics {
  return new KindMetrics(columns, kind)
}
