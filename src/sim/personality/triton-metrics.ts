import type { SimCore } from '#sim/api/exchange.ts'
import type { EngineObserver } from '#sim/live-engine.ts'
import { type Labels, MetricsPage, rustNumber } from '#sim/metrics-page.ts'

/** The model of a TensorRT-LLM repository that runs the engine; the served ones are put in front of it. */
const BACKEND_MODEL = 'tensorrt_llm'

/** Counts what the `/metrics` page of Triton with the TensorRT-LLM backend shows: its own counters, and the backend's gauges. */
export class TritonMetrics {
  readonly observer: EngineObserver
  readonly #core: SimCore
  readonly #sums = { requestUs: 0, queueUs: 0, inferUs: 0 }
  #failures = 0
  #steps = 0
  #contextTokens = 0

  constructor(core: SimCore) {
    this.#core = core
    this.observer = {
      onAdmitted: () => {},
      onToken: () => {},
      onFinished: ({ arrivedMs, admittedMs, lastTokenMs }) => {
        this.#sums.requestUs += microseconds(lastTokenMs - arrivedMs)
        this.#sums.queueUs += microseconds(admittedMs - arrivedMs)
        this.#sums.inferUs += microseconds(lastTokenMs - admittedMs)
      },
      onStep: (_, __, { chunkTokens }) => {
        this.#steps++
        this.#contextTokens = chunkTokens
      },
    }
  }

  countFailure(): void {
    this.#failures++
  }

  page(): string {
    const page = new MetricsPage({ number: rustNumber, hasHelp: true })
    this.#renderServer(page)
    this.#renderBackend(page)
    return page.toString()
  }

  #renderServer(page: MetricsPage): void {
    const { finished, waiting } = this.#core.engine.stats()
    const labels: Labels = { model: this.#core.settings.baseModel, version: '1' }
    const { requestUs, queueUs, inferUs } = this.#sums
    const counter = (name: string, help: string, value: number) =>
      page.counter(`nv_inference_${name}`, help, [{ labels, value }])
    counter('request_success', 'Number of successful inference requests, all batch sizes', finished)
    page.counter('nv_inference_request_failure', 'Number of failed inference requests, all batch sizes', [
      { labels: { ...labels, reason: 'OTHER' }, value: this.#failures },
    ])
    counter('count', 'Number of inferences performed (does not include cached requests)', finished)
    counter('exec_count', 'Number of model executions performed (does not include cached requests)', finished)
    counter(
      'request_duration_us',
      `Cumulative inference request duration in microseconds (includes cached requests)`,
      requestUs,
    )
    counter(
      'queue_duration_us',
      'Cumulative inference queuing duration in microseconds (includes cached requests)',
      queueUs,
    )
    counter(
      'compute_infer_duration_us',
      'Cumulative compute inference duration in microseconds (does not include cached requests)',
      inferUs,
    )
    page.gauge(
      'nv_inference_pending_request_count',
      'Instantaneous number of pending requests awaiting execution per-model.',
      [{ labels, value: waiting }],
    )
  }

  #renderBackend(page: MetricsPage): void {
    const { running, waiting, usedBlocks, totalBlocks, kvUse } = this.#core.engine.stats()
    const { blockSize, maxNumSeqs } = this.#core.settings
    const family = (name: string, help: string, label: string, values: Readonly<Record<string, number>>) =>
      page.gauge(
        `nv_trt_llm_${name}`,
        help,
        Object.entries(values).map(([kind, value]) => ({
          labels: { [label]: kind, model: BACKEND_MODEL, version: '1' },
          value,
        })),
      )
    const requests = { waiting, context: 0, scheduled: running, max: maxNumSeqs, active: running + waiting }
    family('request_metrics', 'TRT LLM request metrics', 'request_type', requests)
    family('runtime_memory_metrics', 'TRT LLM runtime memory metrics', 'memory_type', { pinned: 0, gpu: 0, cpu: 0 })
    const free = totalBlocks - usedBlocks
    const blocks = { fraction: kvUse, tokens_per: blockSize, used: usedBlocks, free, max: totalBlocks }
    family('kv_cache_block_metrics', 'TRT LLM KV cache block metrics', 'kv_cache_block_type', blocks)
    family('disaggregated_serving_metrics', 'TRT LLM disaggregated serving metrics', 'disaggregated_serving_type', {
      kv_cache_transfer_ms: 0,
      request_count: 0,
    })
    family(
      'inflight_batcher_metrics',
      'TRT LLM inflight_batcher-specific metrics',
      'inflight_batcher_specific_metric',
      {
        total_context_tokens: this.#contextTokens,
        generation_requests: running,
        micro_batch_id: 0,
        paused_requests: 0,
      },
    )
    family('general_metrics', 'General TRT LLM metrics', 'general_type', {
      iteration_counter: this.#steps,
      timestamp: Math.floor(this.#core.clock.wallMs() / 1000),
    })
  }
}

function microseconds(durationMs: number): number {
  return Math.round(durationMs * 1000)
}
