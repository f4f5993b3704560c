import type { SimCore } from '#sim/api/exchange.ts'
import { type Labels, MetricsPage, pythonNumber } from '#sim/metrics-page.ts'
import type { EngineHistograms } from './engine-histograms.ts'

/** The page at `/prometheus/metrics` of trtllm-serve with `return_perf_metrics` and `enable_iter_perf_stats` on. */
export function trtllmMetricsPage(core: SimCore, histograms: EngineHistograms): string {
  const labels: Labels = { engine_type: 'trtllm', model_name: core.settings.baseModel }
  const page = new MetricsPage({ number: pythonNumber, hasHelp: true })
  const { stop, length } = histograms.finished
  page.counter(
    'trtllm_request_success_total',
    'Count of successfully processed requests.',
    Object.entries({ stop, length }).map(([reason, value]) => ({
      labels: { ...labels, finished_reason: reason },
      value,
    })),
  )
  for (const [name, help, histogram] of histogramRows(histograms)) {
    page.histogram(`trtllm_${name}`, help, labels, histogram)
  }
  for (const [name, help, value] of counterRows(core)) page.counter(`trtllm_${name}_total`, help, [{ labels, value }])
  for (const [name, help, value] of gaugeRows(core)) page.gauge(`trtllm_${name}`, help, [{ labels, value }])
  renderConfig(page, core, labels)
  return page.toString()
}

function histogramRows(h: EngineHistograms) {
  return [
    ['e2e_request_latency_seconds', 'Histogram of end to end request latency in seconds.', h.e2e],
    ['time_to_first_token_seconds', 'Histogram of time to first token in seconds.', h.ttft],
    ['time_per_output_token_seconds', 'Histogram of time per output token in seconds.', h.tpot],
    ['request_queue_time_seconds', 'Histogram of time spent in WAITING phase for request.', h.queue],
    ['request_prefill_time_seconds', 'Histogram of time spent in PREFILL phase for request.', h.prefill],
    ['request_decode_time_seconds', 'Histogram of time spent in DECODE phase for request.', h.decode],
    ['request_inference_time_seconds', 'Histogram of time spent in RUNNING phase for request.', h.inference],
  ] as const
}

function counterRows(core: SimCore): readonly (readonly [string, string, number])[] {
  const { promptTokens, cachedTokens, outputTokens, finished } = core.engine.stats()
  const { blockSize } = core.settings
  const reused = Math.floor(cachedTokens / blockSize)
  return [
    ['prompt_tokens', 'Number of prefill tokens processed.', promptTokens],
    ['prompt_cached_tokens', 'Number of prefill tokens found in the KV cache.', cachedTokens],
    ['generation_tokens', 'Number of generation tokens processed.', outputTokens],
    ['num_requests_completed', 'Total completed requests.', finished],
    ['kv_cache_reused_blocks', 'Number of reused KV cache blocks.', reused],
    ['kv_cache_missed_blocks', 'Number of missed KV cache blocks.', Math.floor(promptTokens / blockSize) - reused],
  ]
}

function gaugeRows(core: SimCore): readonly (readonly [string, string, number])[] {
  const { running, waiting, usedBlocks, totalBlocks, kvUse, promptTokens, cachedTokens } = core.engine.stats()
  const { blockSize, maxNumSeqs } = core.settings
  return [
    ['kv_cache_hit_rate', 'KV cache hit rate.', promptTokens === 0 ? 0 : cachedTokens / promptTokens],
    ['kv_cache_utilization', 'KV cache utilization.', kvUse],
    ['kv_cache_host_utilization', 'KV cache utilization in host memory.', 0],
    ['num_requests_running', 'Number of active requests.', running],
    ['num_requests_waiting', 'Number of queued requests.', waiting],
    ['max_num_active_requests', 'Maximum number of active requests.', maxNumSeqs],
    ['kv_cache_max_blocks', 'Maximum KV cache blocks.', totalBlocks],
    ['kv_cache_free_blocks', 'Free KV cache blocks.', totalBlocks - usedBlocks],
    ['kv_cache_used_blocks', 'Used KV cache blocks.', usedBlocks],
    ['kv_cache_tokens_per_block', 'Tokens per KV cache block.', blockSize],
  ]
}

function renderConfig(page: MetricsPage, { settings }: SimCore, labels: Labels): void {
  const { baseModel, maxModelLen, blockSize } = settings
  const model = { model: baseModel, served_model_name: baseModel, dtype: 'auto', max_model_len: String(maxModelLen) }
  const cache = { page_size: String(blockSize), enable_block_reuse: 'True', cache_dtype: 'auto' }
  const row = (name: string, help: string, more: Labels) =>
    page.gauge(`trtllm_${name}`, help, [{ labels: { ...labels, ...more }, value: 1 }])
  row('model_config_info', 'Model configuration.', model)
  row('kv_cache_config_info', 'KV cache configuration.', cache)
}
