import type { EngineName } from '#core/endpoint.ts'

/** One metric that carries a number. */
export interface Term {
  /** Complete sample name. */
  readonly name: string
  /**
   * Only series whose labels have these values; '' also stands for a label that is absent. Without it the rank of an only series is
   * not read.
   */
  readonly where?: readonly { readonly label: string; readonly value: string }[]
  /** The number is the value of this label, not of the series; a label that is no number (`None`) counts as absent. */
  readonly label?: string
  /** How the ranks of one endpoint are put together; within one rank the greatest series counts. */
  readonly merge: 'sum' | 'max'
}

/** A way to get a field: the first term must be on the page, the others are added when they are; then the quotient. */
export interface Reading {
  readonly terms: readonly [Term, ...Term[]]
  readonly over?: Term
}

/** What is read of a page. The first reading that gives a number counts: newer names stand before older ones. */
export interface FieldReadings {
  readonly running?: readonly Reading[]
  readonly waiting?: readonly Reading[]
  /** 0..1 */
  readonly kvUse?: readonly Reading[]
  readonly blockSize?: readonly Reading[]
  readonly blockCount?: readonly Reading[]
  readonly maxAdapters?: readonly Reading[]
  readonly adapterCount?: readonly Reading[]
  /** What the engine counts from 0 and only ever up: less than before is an engine that was started anew. */
  readonly served?: readonly Reading[]
}

/** A series whose labels list adapters by name; of several series the one with the greatest value is the newest. */
export interface AdapterSeries {
  readonly name: string
  /** Labels with comma-separated names; their union is what is in use. */
  readonly lists: readonly string[]
  /** Label with the number of adapters that fit into one batch. */
  readonly max: string
}

/** How one engine's load and health are read. */
export interface EngineProfile {
  readonly fields: FieldReadings
  readonly adapters: AdapterSeries | undefined
  /** Label that tells the data-parallel ranks of one page apart. */
  readonly rankLabel: string | undefined
  /** Answers 2xx when the engine is ready and 503 when it is not; undefined: not probed. */
  readonly healthPath: string | undefined
  /** OpenAI list of models, whose cards with a `parent` are adapters. */
  readonly modelsPath: string | undefined
  /** llama.cpp: a JSON object with `total_slots`, from which the KV use is estimated. */
  readonly propsPath: string | undefined
}

function sum(name: string): Term {
  return { name, merge: 'sum' }
}

function max(name: string): Term {
  return { name, merge: 'max' }
}

function fromLabel(name: string, label: string, merge: 'sum' | 'max'): Term {
  return { name, label, merge }
}

function any(...terms: readonly Term[]): Reading[] {
  return terms.map((term) => ({ terms: [term] }))
}

const vllmCache = 'vllm:cache_config_info'

/** model-servers.md 1.1: current names first, then those up to 0.8 (V0 engine). */
const vllm: EngineProfile = {
  fields: {
    running: any(sum('vllm:num_requests_running')),
    waiting: any(sum('vllm:num_requests_waiting')),
    kvUse: any(max('vllm:kv_cache_usage_perc'), max('vllm:gpu_cache_usage_perc')),
    blockSize: any(fromLabel(vllmCache, 'block_size', 'max')),
    // Of hybrid models `num_gpu_blocks` times the block size is not the capacity; the token count is.
    blockCount: [
      { terms: [fromLabel(vllmCache, 'kv_cache_size_tokens', 'sum')], over: fromLabel(vllmCache, 'block_size', 'max') },
      { terms: [fromLabel(vllmCache, 'num_gpu_blocks', 'sum')] },
    ],
    served: any(sum('vllm:prompt_tokens_total')),
  },
  adapters: {
    name: 'vllm:lora_requests_info',
    // Version 0.32 puts the same list into both; older ones separate them (real-engine.md 3, row 1).
    lists: ['running_lora_adapters', 'waiting_lora_adapters'],
    max: 'max_lora',
  },
  rankLabel: 'engine',
  healthPath: '/health',
  modelsPath: '/v1/models',
  propsPath: undefined,
}

/** With priority scheduling the series without a priority is the total of the others. */
function sglangTotal(name: string): Term {
  return { name, where: [{ label: 'priority', value: '' }], merge: 'sum' }
}

function sglangFields(prefix: string): Required<FieldReadings> {
  const total = (name: string): Term => sglangTotal(`${prefix}${name}`)
  return {
    running: [{ terms: [total('num_running_reqs')] }],
    waiting: [
      {
        terms: [
          total('num_queue_reqs'),
          total('num_grammar_queue_reqs'),
          // Disaggregated roles keep further queues.
          total('num_prefill_bootstrap_queue_reqs'),
          total('num_prefill_prealloc_queue_reqs'),
          total('num_prefill_inflight_queue_reqs'),
          total('num_decode_prealloc_queue_reqs'),
          total('num_decode_transfer_queue_reqs'),
        ],
      },
    ],
    kvUse: any(max(`${prefix}token_usage`)),
    blockSize: any(max(`${prefix}page_size`), fromLabel(`${prefix}cache_config_info`, 'page_size', 'max')),
    blockCount: any(sum(`${prefix}num_pages`), fromLabel(`${prefix}cache_config_info`, 'num_pages', 'sum')),
    maxAdapters: any(max(`${prefix}lora_pool_slots_total`)),
    adapterCount: any(max(`${prefix}lora_pool_slots_used`)),
    served: any(sum(`${prefix}prompt_tokens_total`)),
  }
}

/** Each list of `first` followed by that of `second`. */
function eitherOf(first: Required<FieldReadings>, second: Required<FieldReadings>): FieldReadings {
  return {
    running: [...first.running, ...second.running],
    waiting: [...first.waiting, ...second.waiting],
    kvUse: [...first.kvUse, ...second.kvUse],
    blockSize: [...first.blockSize, ...second.blockSize],
    blockCount: [...first.blockCount, ...second.blockCount],
    maxAdapters: [...first.maxAdapters, ...second.maxAdapters],
    adapterCount: [...first.adapterCount, ...second.adapterCount],
    served: [...first.served, ...second.served],
  }
}

/** model-servers.md 1.2; builds from 0.5.4 on may write an underscore for the colon. */
const sglang: EngineProfile = {
  fields: eitherOf(sglangFields('sglang:'), sglangFields('sglang_')),
  adapters: undefined,
  rankLabel: 'dp_rank',
  healthPath: '/health',
  modelsPath: '/v1/models',
  propsPath: undefined,
}

/** model-servers.md 1.3; no gauge of the KV cache, so the tokens of the batch over those that fit stand for it. */
const tgi: EngineProfile = {
  fields: {
    running: any(sum('tgi_batch_current_size')),
    waiting: any(sum('tgi_queue_size')),
    kvUse: [{ terms: [sum('tgi_batch_current_max_tokens')], over: sum('tgi_batch_max_total_tokens') }],
    served: any(sum('tgi_request_count')),
  },
  adapters: undefined,
  rankLabel: undefined,
  healthPath: '/health',
  modelsPath: undefined,
  propsPath: undefined,
}

function tritonRequests(kind: string): Term {
  return { name: 'nv_trt_llm_request_metrics', where: [{ label: 'request_type', value: kind }], merge: 'sum' }
}

function tritonBlocks(kind: string, merge: 'sum' | 'max'): Term {
  return { name: 'nv_trt_llm_kv_cache_block_metrics', where: [{ label: 'kv_cache_block_type', value: kind }], merge }
}

/** model-servers.md 1.4 a; models without the TensorRT-LLM backend have a number of pending requests only. */
const triton: EngineProfile = {
  fields: {
    running: any(tritonRequests('scheduled'), tritonRequests('active')),
    waiting: any(tritonRequests('waiting'), sum('nv_inference_pending_request_count')),
    kvUse: any(tritonBlocks('fraction', 'max')),
    blockSize: any(tritonBlocks('tokens_per', 'max')),
    blockCount: any(tritonBlocks('max', 'sum')),
    // Models come and go, and their series with them: a model is known by its name even when it is the only one.
    served: [{ terms: [{ name: 'nv_inference_request_success', where: [], merge: 'sum' }] }],
  },
  adapters: undefined,
  rankLabel: 'model',
  healthPath: '/v2/health/ready',
  modelsPath: undefined,
  propsPath: undefined,
}

/** model-servers.md 1.4 b; older builds have no prefix. */
const trtllm: EngineProfile = {
  fields: {
    running: any(sum('trtllm_num_requests_running'), sum('num_requests_running')),
    waiting: any(sum('trtllm_num_requests_waiting'), sum('num_requests_waiting')),
    kvUse: any(max('trtllm_kv_cache_utilization'), max('kv_cache_utilization')),
    blockSize: any(max('trtllm_kv_cache_tokens_per_block'), max('kv_cache_tokens_per_block')),
    blockCount: any(max('trtllm_kv_cache_max_blocks'), max('kv_cache_max_blocks')),
    served: any(sum('trtllm_prompt_tokens_total'), sum('trtllm_request_success_total')),
  },
  adapters: undefined,
  rankLabel: undefined,
  healthPath: '/health',
  modelsPath: undefined,
  propsPath: undefined,
}

/** model-servers.md 1.5; the KV gauge is gone from newer builds, where busy slots over all slots stand for it. */
const llamacpp: EngineProfile = {
  fields: {
    running: any(sum('llamacpp:requests_processing')),
    waiting: any(sum('llamacpp:requests_deferred')),
    kvUse: any(max('llamacpp:kv_cache_usage_ratio')),
    served: any(sum('llamacpp:prompt_tokens_total')),
  },
  adapters: undefined,
  rankLabel: undefined,
  healthPath: '/health',
  modelsPath: undefined,
  propsPath: '/props',
}

/** No metrics page: the gateway's own counts serve. */
const ollama: EngineProfile = {
  fields: {},
  adapters: undefined,
  rankLabel: undefined,
  healthPath: '/api/version',
  modelsPath: undefined,
  propsPath: undefined,
}

/** Nothing is known of such a server beyond its API, and a provider is not to be probed. */
const openai: EngineProfile = { ...ollama, healthPath: undefined }

/** When the process was started, of all engines whose client library says so. */
export const startTime: Term = max('process_start_time_seconds')

/** Profiles of all engines. */
export const engineProfiles: Readonly<Record<EngineName, EngineProfile>> = {
  vllm,
  sglang,
  tgi,
  triton,
  trtllm,
  llamacpp,
  ollama,
  openai,
}
