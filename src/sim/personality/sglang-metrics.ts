import type { SimCore } from '#sim/api/exchange.ts'
import { oneTwoFive } from '#sim/histogram.ts'
import type { EngineStats } from '#sim/live-engine.ts'
import { type Labels, MetricsPage, pythonNumber, type Sample } from '#sim/metrics-page.ts'
import type { EngineHistograms, HistogramBounds } from './engine-histograms.ts'

/** Bucket bounds of SGLang. */
export function sglangBounds(maxModelLen: number): HistogramBounds {
  return {
    ttft: [0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400],
    gap: [
      0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.06, 0.08, 0.1, 0.2, 0.4, 0.6, 0.8, 1,
      2, 4, 6, 8,
    ],
    request: [0.1, 0.2, 0.4, 0.6, 0.8, 1, 2, 4, 6, 8, 10, 20, 40, 60, 80, 100, 200, 400, 600, 1200, 1800, 2400],
    tokens: oneTwoFive(maxModelLen),
    iteration: [1],
  }
}

/** The `/metrics` page of an SGLang server, as `--enable-metrics` shows it: gauges of each data-parallel rank where there are several. */
export function sglangMetricsPage(core: SimCore, histograms: EngineHistograms): string {
  const model: Labels = { model_name: core.settings.baseModel }
  const { role } = core.settings.live.model
  const engineType = role === 'both' ? 'unified' : role
  const scheduler: Labels = { ...model, engine_type: engineType, moe_ep_rank: '0', pp_rank: '0', tp_rank: '0' }
  const ranks = core.engine.rankStats().map((stats, rank) => ({
    labels: core.engine.rankCount === 1 ? scheduler : { dp_rank: String(rank), ...scheduler },
    rows: gaugeRows(core, stats),
  }))
  const page = new MetricsPage({ number: pythonNumber, hasHelp: true })
  for (const [i, [name, help]] of (ranks[0]?.rows ?? []).entries()) {
    const samples = ranks.map(({ labels, rows }) => ({ labels, value: rows[i]?.[2] ?? 0 }))
    page.gauge(`sglang:${name}`, help, samples)
  }
  const { blockSize, kvBlocks } = core.settings
  page.gauge('sglang:cache_config_info', 'Information of the cache configuration.', [
    { labels: { ...model, num_pages: String(kvBlocks), page_size: String(blockSize) }, value: 1 },
  ])
  for (const [name, help, samples] of counterRows(core, model)) page.counter(`sglang:${name}_total`, help, samples)
  page.histogram(
    'sglang:time_to_first_token_seconds',
    'Histogram of time to first token in seconds.',
    model,
    histograms.ttft,
  )
  page.histogram(
    'sglang:inter_token_latency_seconds',
    'Histogram of inter-token latency in seconds.',
    model,
    histograms.itl,
  )
  page.histogram(
    'sglang:e2e_request_latency_seconds',
    'Histogram of End-to-end request latency in seconds',
    model,
    histograms.e2e,
  )
  page.histogram('sglang:queue_time_seconds', 'Histogram of queueing time in seconds.', model, histograms.queue)
  return page.toString()
}

function gaugeRows(core: SimCore, stats: EngineStats): readonly (readonly [string, string, number])[] {
  const { running, waiting, usedBlocks, totalBlocks, kvUse, promptTokens, cachedTokens } = stats
  const { blockSize, maxModelLen, maxLoras } = core.settings
  const usedAdapters = core.engine.activeAdapters().length
  return [
    ['num_running_reqs', 'The number of running requests.', running],
    ['num_queue_reqs', 'The number of requests in the waiting queue.', waiting],
    ['num_grammar_queue_reqs', 'The number of requests in the grammar waiting queue.', 0],
    ['num_retracted_reqs', 'The number of retracted requests.', 0],
    ['num_used_tokens', 'The number of used tokens.', usedBlocks * blockSize],
    ['token_usage', 'The token usage.', kvUse],
    ['kv_used_tokens', 'The number of KV tokens in use.', usedBlocks * blockSize],
    ['kv_available_tokens', 'The number of free KV tokens.', (totalBlocks - usedBlocks) * blockSize],
    ['max_total_num_tokens', 'The maximum total number of tokens.', totalBlocks * blockSize],
    ['cache_hit_rate', 'The prefix cache hit rate.', promptTokens === 0 ? 0 : cachedTokens / promptTokens],
    ['page_size', 'Tokens in one KV page.', blockSize],
    ['num_pages', 'KV pages.', totalBlocks],
    ['context_len', 'The context length.', maxModelLen],
    ['lora_pool_slots_used', 'LoRA pool slots in use.', usedAdapters],
    ['lora_pool_slots_total', 'LoRA pool slots.', maxLoras],
    ['lora_pool_utilization', 'Used share of the LoRA pool.', usedAdapters / maxLoras],
  ]
}

function counterRows(core: SimCore, labels: Labels): readonly (readonly [string, string, readonly Sample[]])[] {
  const { promptTokens, cachedTokens, outputTokens, finished, aborted } = core.engine.stats()
  return [
    ['prompt_tokens', 'Number of prefill tokens processed.', [{ labels, value: promptTokens }]],
    ['generation_tokens', 'Number of generation tokens processed.', [{ labels, value: outputTokens }]],
    [
      'cached_tokens',
      'Number of cached prompt tokens.',
      ['device', 'total'].map((source) => ({ labels: { ...labels, cache_source: source }, value: cachedTokens })),
    ],
    ['num_requests', 'Number of requests processed.', [{ labels, value: finished }]],
    ['num_aborted_requests', 'Number of requests aborted.', [{ labels, value: aborted }]],
  ]
}
