import { Histogram } from '#sim/histogram.ts'
import type { Labels, MetricsPage } from '#sim/metrics-page.ts'
import type { HttpRecord } from './personality.ts'

const FAST_BOUNDS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 7.5, 10, 30, 60]

/** What the instrumentation leaves out: paths with one of these anywhere in them, `/v1/load_lora_adapter` too. */
const UNCOUNTED = /\/(metrics|health|load|ping|version|server_info|sim\/)/

const SIZE_NOTE = 'Only value of header is respected. Otherwise ignored. No percentile calculated. '

interface Size {
  readonly labels: Labels
  count: number
  sum: number
}

/** HTTP metrics as the FastAPI instrumentation counts them. Handlers are routes, so the series are bounded. */
export class HttpMetrics {
  readonly #requests = new Map<string, { readonly labels: Labels; value: number }>()
  readonly #requestSizes = new Map<string, Size>()
  readonly #responseSizes = new Map<string, Size>()
  readonly #durations = new Map<string, { readonly labels: Labels; readonly histogram: Histogram }>()
  readonly #fast = new Histogram(FAST_BOUNDS)

  record({ handler, method, status, requestBytes, responseBytes, durationMs }: HttpRecord): void {
    if (UNCOUNTED.test(handler)) return
    const statusClass = `${Math.floor(status / 100)}xx`
    const key = `${handler} ${method} ${statusClass}`
    const requests = this.#requests.get(key) ?? { labels: { handler, method, status: statusClass }, value: 0 }
    requests.value++
    this.#requests.set(key, requests)
    addSize(this.#requestSizes, handler, requestBytes)
    addSize(this.#responseSizes, handler, responseBytes)
    const durations = this.#durations.get(`${handler} ${method}`) ?? {
      labels: { handler, method },
      histogram: new Histogram([0.1, 0.5, 1]),
    }
    durations.histogram.observe(durationMs / 1000)
    this.#durations.set(`${handler} ${method}`, durations)
    this.#fast.observe(durationMs / 1000)
  }

  render(page: MetricsPage): void {
    page.counter('http_requests_total', 'Total number of requests by method, status and handler.', [
      ...this.#requests.values(),
    ])
    const incoming = `Content length of incoming requests by handler. ${SIZE_NOTE}`
    page.summary('http_request_size_bytes', incoming, [...this.#requestSizes.values()])
    const outgoing = `Content length of outgoing responses by handler. ${SIZE_NOTE}`
    page.summary('http_response_size_bytes', outgoing, [...this.#responseSizes.values()])
    page.histogram(
      'http_request_duration_highr_seconds',
      'Latency with many buckets but no API specific labels. Made for more accurate percentile calculations. ',
      {},
      this.#fast,
    )
    page.histograms(
      'http_request_duration_seconds',
      'Latency with only few buckets by handler. Made to be only used if aggregation by handler is important. ',
      [...this.#durations.values()],
    )
  }
}

function addSize(sizes: Map<string, Size>, handler: string, bytes: number): void {
  const size = sizes.get(handler) ?? { labels: { handler }, count: 0, sum: 0 }
  size.count++
  size.sum += bytes
  sizes.set(handler, size)
}
