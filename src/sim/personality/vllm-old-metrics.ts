import { type Labels, MetricsPage, pythonNumber } from '#sim/metrics-page.ts'
import type { EngineHistograms } from './engine-histograms.ts'
import type { VllmPageParts } from './vllm-metrics.ts'

/**
 * The `/metrics` page of vLLM up to 0.8: no rank in the labels, the cache named after the GPU, the time per output token under
 * its old name, and the adapters that run apart from those that wait.
 */
export function vllmOldMetricsPage({ core, histograms: [histograms], lora }: VllmPageParts): string {
  const { running, waiting, kvUse, preemptions, promptTokens, cachedTokens, outputTokens } = core.engine.stats()
  const { baseModel, blockSize, kvBlocks, maxLoras } = core.settings
  const labels: Labels = { model_name: baseModel }
  const page = new MetricsPage({ number: pythonNumber, createdS: core.startedS, hasHelp: true })
  const gauges = [
    ['num_requests_running', 'Number of requests currently running on GPU.', running],
    ['num_requests_swapped', 'Number of requests swapped to CPU.', 0],
    ['num_requests_waiting', 'Number of requests waiting to be processed.', waiting],
    ['gpu_cache_usage_perc', 'GPU KV-cache usage. 1 means 100 percent usage.', kvUse],
    ['cpu_cache_usage_perc', 'CPU KV-cache usage. 1 means 100 percent usage.', 0],
  ] as const
  for (const [name, help, value] of gauges) page.gauge(`vllm:${name}`, help, [{ labels, value }])
  const counters = [
    ['gpu_prefix_cache_queries', 'GPU prefix cache queries, in terms of number of queried tokens.', promptTokens],
    ['gpu_prefix_cache_hits', 'GPU prefix cache hits, in terms of number of cached tokens.', cachedTokens],
    ['num_preemptions', 'Cumulative number of preemption from the engine.', preemptions],
    ['prompt_tokens', 'Number of prefill tokens processed.', promptTokens],
    ['generation_tokens', 'Number of generation tokens processed.', outputTokens],
  ] as const
  for (const [name, help, value] of counters) page.counter(`vllm:${name}_total`, help, [{ labels, value }])
  const { stop, length } = histograms.finished
  page.counter(
    'vllm:request_success_total',
    'Count of successfully processed requests.',
    Object.entries({ stop, length, abort: 0 }).map(([reason, value]) => ({
      labels: { ...labels, finished_reason: reason },
      value,
    })),
  )
  for (const [name, help, histogram] of histogramRows(histograms))
    page.histogram(`vllm:${name}`, help, labels, histogram)
  page.gauge(
    'vllm:lora_requests_info',
    'Running stats on lora requests.',
    lora.entries().map(({ adapters, lastTrueS }) => ({
      labels: { max_lora: String(maxLoras), running_lora_adapters: adapters, waiting_lora_adapters: '' },
      value: lastTrueS,
    })),
  )
  const cache = {
    block_size: String(blockSize),
    cache_dtype: 'auto',
    num_cpu_blocks: '2048',
    num_gpu_blocks: String(kvBlocks),
    sliding_window: 'None',
    swap_space_bytes: '4294967296',
  }
  page.gauge('vllm:cache_config_info', 'Information of the LLMEngine CacheConfig', [{ labels: cache, value: 1 }])
  return page.toString()
}

function histogramRows(h: EngineHistograms) {
  return [
    ['iteration_tokens_total', 'Histogram of number of tokens per engine_step.', h.iteration],
    ['time_to_first_token_seconds', 'Histogram of time to first token in seconds.', h.ttft],
    ['time_per_output_token_seconds', 'Histogram of time per output token in seconds.', h.itl],
    ['e2e_request_latency_seconds', 'Histogram of end to end request latency in seconds.', h.e2e],
    ['request_queue_time_seconds', 'Histogram of time spent in WAITING phase for request.', h.queue],
    ['request_inference_time_seconds', 'Histogram of time spent in RUNNING phase for request.', h.inference],
    ['request_prefill_time_seconds', 'Histogram of time spent in PREFILL phase for request.', h.prefill],
    ['request_decode_time_seconds', 'Histogram of time spent in DECODE phase for request.', h.decode],
    ['request_prompt_tokens', 'Number of prefill tokens processed.', h.promptTokens],
    ['request_generation_tokens', 'Number of generation tokens processed.', h.outputTokens],
    ['request_max_num_generation_tokens', 'Histogram of maximum number of requested generation tokens.', h.maxTokens],
    ['request_params_n', 'Histogram of the n request parameter.', h.paramsN],
    ['request_params_max_tokens', 'Histogram of the max_tokens request parameter.', h.maxTokens],
  ] as const
}
