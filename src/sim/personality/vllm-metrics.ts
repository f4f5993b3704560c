import type { SimCore } from '#sim/api/exchange.ts'
import { type Histogram, oneTwoFive } from '#sim/histogram.ts'
import type { EngineStats } from '#sim/live-engine.ts'
import { type Labels, MetricsPage, pythonNumber, type Sample } from '#sim/metrics-page.ts'
import type { EngineHistograms, HistogramBounds } from './engine-histograms.ts'
import type { HttpMetrics } from './http-metrics.ts'
import type { LoraSeries } from './lora-series.ts'

/** Bucket bounds of vLLM 0.32, from a captured page. */
export function vllmBounds(maxModelLen: number): HistogramBounds {
  return {
    ttft: [
      0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
    ],
    gap: [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80],
    request: [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680],
    tokens: oneTwoFive(maxModelLen),
    iteration: [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384],
  }
}

/** What a vLLM page is made of. */
export interface VllmPageParts {
  readonly core: SimCore
  /** Of each data-parallel rank. */
  readonly histograms: readonly [EngineHistograms, ...EngineHistograms[]]
  readonly http: HttpMetrics
  readonly lora: LoraSeries
  /** Requests refused because the queue was full. */
  readonly rejected: number
}

/** One data-parallel rank: its labels, its numbers now, its histograms. */
interface Rank {
  readonly labels: Labels
  readonly stats: EngineStats
  readonly histograms: EngineHistograms
}

/**
 * The `/metrics` page of vLLM 0.32: its names in its order, live values, for each rank a series with its number as `engine`.
 * `python_*` and `process_*` are left out, as they are on a server with several front-end processes.
 */
export function vllmMetricsPage(parts: VllmPageParts): string {
  const { core, http } = parts
  const stats = core.engine.rankStats()
  const ranks = parts.histograms.map((histograms, rank) => ({
    labels: { engine: String(rank), model_name: core.settings.baseModel },
    stats: stats[rank]!,
    histograms,
  }))
  const page = new MetricsPage({ number: pythonNumber, createdS: core.startedS, hasHelp: true })
  renderFlops(page, ranks)
  renderQueue(page, ranks)
  renderCaches(page, ranks)
  renderTokens(page, ranks)
  renderOutcomes(page, parts, ranks)
  for (const [name, help, pick] of HISTOGRAM_ROWS) {
    const series = ranks.map(({ labels, histograms }) => ({ labels, histogram: pick(histograms) }))
    page.histograms(`vllm:${name}`, help, series)
  }
  renderInfo(page, parts)
  http.render(page)
  return page.toString()
}

/** Zero as long as nothing estimates them, which is how a server without that option shows them. */
function renderFlops(page: MetricsPage, ranks: readonly Rank[]): void {
  const rows = [
    ['flops', 'Estimated number of floating point operations'],
    ['read_bytes', 'Estimated number of bytes read from memory'],
    ['write_bytes', 'Estimated number of bytes written to memory'],
  ] as const
  for (const [name, what] of rows) {
    const help = `${what} per GPU (for Model Flops Utilization calculations).`
    page.counter(
      `vllm:estimated_${name}_per_gpu_total`,
      help,
      samplesOf(ranks, () => 0),
    )
  }
}

/** One series for each rank. */
function samplesOf(ranks: readonly Rank[], value: (stats: EngineStats) => number): Sample[] {
  return ranks.map(({ labels, stats }) => ({ labels, value: value(stats) }))
}

/** For each rank one series for each value of a further label. */
function splitSamples(
  ranks: readonly Rank[],
  label: string,
  values: (stats: EngineStats) => Readonly<Record<string, number>>,
): Sample[] {
  return ranks.flatMap(({ labels, stats }) =>
    Object.entries(values(stats)).map(([name, value]) => ({ labels: { ...labels, [label]: name }, value })),
  )
}

function renderQueue(page: MetricsPage, ranks: readonly Rank[]): void {
  const gauge = (name: string, help: string, samples: readonly Sample[]) => page.gauge(`vllm:${name}`, help, samples)
  gauge(
    'num_requests_running',
    'Number of requests in model execution batches.',
    samplesOf(ranks, ({ running }) => running),
  )
  gauge(
    'num_requests_waiting',
    'Number of requests waiting to be processed.',
    samplesOf(ranks, ({ waiting }) => waiting),
  )
  gauge(
    'num_requests_waiting_by_reason',
    "Number of waiting requests by reason. Reason labels: 'capacity' = waiting for scheduling capacity; 'deferred' = deferred by transient constraints (LoRA budget, KV transfer, blocked status). Sum of all reasons equals vllm:num_requests_waiting.",
    splitSamples(ranks, 'reason', ({ waiting, deferred }) => ({ capacity: waiting - deferred, deferred })),
  )
  gauge(
    'engine_sleep_state',
    'Engine sleep state; awake = 0 means engine is sleeping; awake = 1 means engine is awake; weights_offloaded = 1 means sleep level 1; discard_all = 1 means sleep level 2.',
    splitSamples(ranks, 'sleep_state', () => ({ awake: 1, weights_offloaded: 0, discard_all: 0 })),
  )
  gauge(
    'kv_cache_usage_perc',
    'KV-cache usage. 1 means 100 percent usage.',
    samplesOf(ranks, ({ kvUse }) => kvUse),
  )
}

function renderCaches(page: MetricsPage, ranks: readonly Rank[]): void {
  const external = ' from KV connector cross-instance cache sharing'
  const rows: readonly (readonly [string, string, (stats: EngineStats) => number])[] = [
    ['prefix_cache_queries', 'Prefix cache queries, in terms of number of queried tokens.', (s) => s.promptTokens],
    ['prefix_cache_hits', 'Prefix cache hits, in terms of number of cached tokens.', (s) => s.cachedTokens],
    [
      'external_prefix_cache_queries',
      `External prefix cache queries${external}, in terms of number of queried tokens.`,
      (s) => s.fetchedTokens,
    ],
    [
      'external_prefix_cache_hits',
      `External prefix cache hits${external}, in terms of number of cached tokens.`,
      (s) => s.fetchedTokens,
    ],
    ['mm_cache_queries', 'Multi-modal cache queries, in terms of number of queried items.', () => 0],
    ['mm_cache_hits', 'Multi-modal cache hits, in terms of number of cached items.', () => 0],
    ['num_preemptions', 'Cumulative number of preemption from the engine.', (s) => s.preemptions],
  ]
  for (const [name, help, value] of rows) page.counter(`vllm:${name}_total`, help, samplesOf(ranks, value))
}

function renderTokens(page: MetricsPage, ranks: readonly Rank[]): void {
  const counter = (name: string, help: string, samples: readonly Sample[]) =>
    page.counter(`vllm:${name}_total`, help, samples)
  counter(
    'prompt_tokens',
    'Number of prefill tokens processed.',
    samplesOf(ranks, ({ promptTokens }) => promptTokens),
  )
  counter(
    'prompt_tokens_by_source',
    'Number of prompt tokens by source.',
    splitSamples(ranks, 'source', ({ promptTokens, cachedTokens, fetchedTokens }) => ({
      local_compute: promptTokens - cachedTokens - fetchedTokens,
      local_cache_hit: cachedTokens,
      external_kv_transfer: fetchedTokens,
    })),
  )
  counter(
    'prompt_tokens_cached',
    'Number of cached prompt tokens (local + external).',
    samplesOf(ranks, ({ cachedTokens, fetchedTokens }) => cachedTokens + fetchedTokens),
  )
  counter(
    'prompt_tokens_cached_by_source',
    'Prefix-cache hit tokens by the cache tier that supplied them: device (local HBM), host (offloaded to DRAM), disk, p2p (transferred from another vLLM instance) or external_unspecified. Counted at admission; sums to vllm:prefix_cache_hits + vllm:external_prefix_cache_hits.',
    splitSamples(ranks, 'source', ({ cachedTokens, fetchedTokens }) => ({
      device: cachedTokens,
      host: 0,
      p2p: fetchedTokens,
      disk: 0,
      external_unspecified: 0,
    })),
  )
  counter(
    'generation_tokens',
    'Number of generation tokens processed.',
    samplesOf(ranks, ({ outputTokens }) => outputTokens),
  )
}

/** Aborted requests stay uncounted, as on a real server. */
function renderOutcomes(page: MetricsPage, { core, rejected }: VllmPageParts, ranks: readonly Rank[]): void {
  page.counter(
    'vllm:request_success_total',
    'Count of successfully processed requests.',
    ranks.flatMap(({ labels, histograms }) => {
      const finished = { ...histograms.finished, abort: 0, error: 0, repetition: 0 }
      return Object.entries(finished).map(([reason, value]) => ({
        labels: { ...labels, finished_reason: reason },
        value,
      }))
    }),
  )
  const model = { model_name: core.settings.baseModel }
  page.counter(
    'vllm:admission_rejections_total',
    'Number of admission attempts rejected by a queue limit, by reason.',
    [
      { labels: { ...model, reason: 'max_num_queued_reqs' }, value: rejected },
      { labels: { ...model, reason: 'max_num_queued_tokens' }, value: 0 },
    ],
  )
}

const HISTOGRAM_ROWS: readonly (readonly [string, string, (histograms: EngineHistograms) => Histogram])[] = [
  ['request_prompt_tokens', 'Number of prefill tokens processed.', (h) => h.promptTokens],
  ['request_generation_tokens', 'Number of generation tokens processed.', (h) => h.outputTokens],
  ['iteration_tokens_total', 'Histogram of number of tokens per engine_step.', (h) => h.iteration],
  [
    'request_max_num_generation_tokens',
    'Histogram of maximum number of requested generation tokens.',
    (h) => h.maxTokens,
  ],
  ['request_params_n', 'Histogram of the n request parameter.', (h) => h.paramsN],
  ['request_params_max_tokens', 'Histogram of the max_tokens request parameter.', (h) => h.maxTokens],
  ['time_to_first_token_seconds', 'Histogram of time to first token in seconds.', (h) => h.ttft],
  ['inter_token_latency_seconds', 'Histogram of inter-token latency in seconds.', (h) => h.itl],
  ['request_time_per_output_token_seconds', 'Histogram of time_per_output_token_seconds per request.', (h) => h.tpot],
  ['e2e_request_latency_seconds', 'Histogram of e2e request latency in seconds.', (h) => h.e2e],
  ['request_queue_time_seconds', 'Histogram of time spent in WAITING phase for request.', (h) => h.queue],
  ['request_inference_time_seconds', 'Histogram of time spent in RUNNING phase for request.', (h) => h.inference],
  ['request_prefill_time_seconds', 'Histogram of time spent in PREFILL phase for request.', (h) => h.prefill],
  ['request_decode_time_seconds', 'Histogram of time spent in DECODE phase for request.', (h) => h.decode],
  ['request_num_preemptions', 'Histogram of the number of times a request was preempted.', (h) => h.preemptions],
  [
    'request_prefill_kv_computed_tokens',
    'Histogram of new KV tokens computed during prefill (excluding cached tokens).',
    (h) => h.computedTokens,
  ],
]

function renderInfo(page: MetricsPage, { core, lora, histograms }: VllmPageParts): void {
  const max_lora = String(core.settings.maxLoras)
  page.gauge(
    'vllm:lora_requests_info',
    'Running stats on lora requests.',
    lora.entries().map(({ adapters, lastTrueS }) => ({
      // Both lists always name every adapter in use, running or not.
      labels: { max_lora, running_lora_adapters: adapters, waiting_lora_adapters: adapters },
      value: lastTrueS,
    })),
  )
  const { blockSize, kvBlocks, maxModelLen } = core.settings
  const labels = {
    ...CACHE_CONFIG,
    block_size: String(blockSize),
    effective_attention_block_size: String(blockSize),
    kv_cache_max_concurrency: pythonNumber((kvBlocks * blockSize) / maxModelLen),
    kv_cache_size_tokens: String(kvBlocks * blockSize),
    num_gpu_blocks: String(kvBlocks),
  }
  const series = histograms.map((_, rank) => ({ labels: { ...labels, engine: String(rank) }, value: 1 }))
  page.gauge('vllm:cache_config_info', 'Information of the LLMEngine CacheConfig', series)
}

/** Labels of `vllm:cache_config_info` that do not depend on the settings. */
const CACHE_CONFIG: Labels = {
  _block_size_resolved: 'True',
  cache_dtype: 'auto',
  cache_hit_alignment_tokens: 'None',
  enable_mamba_shared_prefix_checkpoint: 'False',
  enable_prefix_caching: 'True',
  gpu_memory_utilization: '0.92',
  hash_block_size: 'None',
  is_attention_free: 'False',
  kv_cache_dtype_skip_layers: '[]',
  kv_cache_layout: 'None',
  kv_cache_memory_bytes: 'None',
  kv_offloading_backend: 'native',
  kv_offloading_size: 'None',
  kv_sharing_fast_prefill: 'False',
  mamba_block_size: 'None',
  mamba_cache_dtype: 'auto',
  mamba_cache_mode: 'none',
  mamba_page_size_padded: 'None',
  mamba_ssm_cache_dtype: 'float32',
  num_cpu_blocks: 'None',
  num_gpu_blocks_override: 'None',
  prefix_cache_retention_interval: '0',
  prefix_caching_hash_algo: 'sha256',
  prefix_match_unit: 'None',
  replayssm_buffer_len: '16',
  skip_page_size_padded: 'None',
  sliding_window: 'None',
  swa_bounded_replay: 'True',
  use_kda_recoverssm: 'False',
  use_replayssm: 'False',
  user_specified_block_size: 'True',
}
