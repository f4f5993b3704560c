import type { SimCore } from '#sim/api/exchange.ts'
import { Histogram, oneTwoFive } from '#sim/histogram.ts'
import type { EngineObserver } from '#sim/live-engine.ts'
import { MetricsPage, rustNumber } from '#sim/metrics-page.ts'

/** TGI's duration buckets: 0.00015 s times powers of 1.5, 35 of them. */
const DURATION_BOUNDS = Array.from({ length: 35 }, (_, i) => Number((0.00015 * 1.5 ** i).toPrecision(12)))

const FAILURES = ['overloaded', 'validation', 'dropped', 'generation', 'incomplete', 'template'] as const

/** Counts what the `/metrics` page of TGI 3 shows. It has neither a KV gauge nor a time to the first token. */
export class TgiMetrics {
  readonly observer: EngineObserver
  readonly #core: SimCore
  readonly #failures = new Map<string, number>()
  readonly #steps = { prefill: 0, decode: 0 }
  readonly #durations = {
    request: new Histogram(DURATION_BOUNDS),
    queue: new Histogram(DURATION_BOUNDS),
    inference: new Histogram(DURATION_BOUNDS),
    perToken: new Histogram(DURATION_BOUNDS),
  }
  readonly #lengths: { readonly input: Histogram; readonly output: Histogram }

  constructor(core: SimCore) {
    this.#core = core
    const bounds = oneTwoFive(core.settings.maxModelLen)
    this.#lengths = { input: new Histogram(bounds), output: new Histogram(bounds) }
    this.observer = {
      onAdmitted: () => void this.#steps.prefill++,
      onToken: () => {},
      onFinished: ({ work, produced, arrivedMs, admittedMs, firstTokenMs, lastTokenMs }) => {
        this.#durations.request.observe((lastTokenMs - arrivedMs) / 1000)
        this.#durations.queue.observe((admittedMs - arrivedMs) / 1000)
        this.#durations.inference.observe((lastTokenMs - admittedMs) / 1000)
        this.#durations.perToken.observe((lastTokenMs - firstTokenMs) / 1000 / Math.max(1, produced))
        this.#lengths.input.observe(work.promptTokens.length)
        this.#lengths.output.observe(produced)
      },
      onStep: () => void this.#steps.decode++,
    }
  }

  countFailure(type: string): void {
    if (FAILURES.some((known) => known === type)) this.#failures.set(type, (this.#failures.get(type) ?? 0) + 1)
  }

  page(): string {
    const { running, waiting, usedBlocks, totalBlocks, submitted, finished } = this.#core.engine.stats()
    const { blockSize } = this.#core.settings
    const page = new MetricsPage({ number: rustNumber, hasHelp: false })
    page.counter('tgi_request_count', '', [{ value: submitted }])
    page.counter('tgi_request_success', '', [{ value: finished }])
    const failures = [...this.#failures].map(([err, value]) => ({ labels: { err }, value }))
    if (failures.length > 0) page.counter('tgi_request_failure', '', failures)
    const steps = Object.entries(this.#steps).map(([method, value]) => ({ labels: { method }, value }))
    page.counter('tgi_batch_inference_count', '', steps)
    page.counter('tgi_batch_inference_success', '', steps)
    page.gauge('tgi_queue_size', '', [{ value: waiting }])
    page.gauge('tgi_batch_current_size', '', [{ value: running }])
    page.gauge('tgi_batch_current_max_tokens', '', [{ value: usedBlocks * blockSize }])
    page.gauge('tgi_batch_max_total_tokens', '', [{ value: totalBlocks * blockSize }])
    page.histogram('tgi_request_duration', '', {}, this.#durations.request)
    page.histogram('tgi_request_queue_duration', '', {}, this.#durations.queue)
    page.histogram('tgi_request_inference_duration', '', {}, this.#durations.inference)
    page.histogram('tgi_request_mean_time_per_token_duration', '', {}, this.#durations.perToken)
    page.histogram('tgi_request_input_length', '', {}, this.#lengths.input)
    page.histogram('tgi_request_generated_tokens', '', {}, this.#lengths.output)
    return page.toString()
  }
}
