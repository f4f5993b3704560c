import type { SimCore } from '#sim/api/exchange.ts'

/** The list of models: of the served one only, in two forms. */
export function modelList({ settings, clock }: SimCore): unknown {
  const { baseModel, models, maxModelLen, kvBlocks, blockSize } = settings
  const none = { modified_at: '', size: '', digest: '', type: 'model', description: '', tags: [''] }
  const details = {
    parent_model: '',
    format: 'gguf',
    family: '',
    families: [''],
    parameter_size: '',
    quantization_level: '',
  }
  const plain = { name: baseModel, model: baseModel, ...none, capabilities: ['completion'], parameters: '', details }
  const card = {
    id: baseModel,
    aliases: [...models],
    tags: [],
    object: 'model',
    architecture: { input_modalities: ['text'], output_modalities: ['text'] },
    created: Math.floor(clock.wallMs() / 1000),
    owned_by: 'llamacpp',
    meta: {
      vocab_type: 2,
      n_vocab: 4096,
      n_ctx: maxModelLen,
      n_ctx_train: kvBlocks * blockSize,
      n_embd: 128,
      n_params: 1_376_896,
      size: 5_507_584,
      ftype: '(guessed) all F32',
    },
  }
  return { models: [plain], object: 'list', data: [card] }
}

/** `GET /props`. */
export function properties({ settings }: SimCore): unknown {
  const { baseModel, maxModelLen, maxNumSeqs } = settings
  return {
    default_generation_settings: { params: SAMPLING, n_ctx: maxModelLen },
    total_slots: maxNumSeqs,
    model_alias: baseModel,
    model_ftype: '(guessed) all F32',
    model_path: `/models/${baseModel}.gguf`,
    modalities: { vision: false, video: false, audio: false },
    media_marker: '<__media__>',
    endpoint_slots: true,
    endpoint_props: true,
    endpoint_metrics: true,
    ui: true,
    ui_settings: {},
    chat_template: '',
    chat_template_caps: CAPS,
    bos_token: '<|end|>',
    eos_token: '<|end|>',
    build_info: 'b0-unknown',
    is_sleeping: false,
    cors_proxy_enabled: false,
  }
}

/** `GET /slots`: as many at work as requests run. */
export function slotList({ engine, settings }: SimCore): unknown[] {
  const { running } = engine.stats()
  return Array.from({ length: settings.maxNumSeqs }, (_, id) => {
    const slot = { id, n_ctx: settings.maxModelLen, speculative: false, is_processing: id < running }
    if (id >= running) return slot
    const task = { id_task: id, n_prompt_tokens: 0, n_prompt_tokens_processed: 0, n_prompt_tokens_cache: 0 }
    const next = { has_next_token: true, has_new_line: false, n_remain: -1, n_decoded: 0 }
    return { ...slot, ...task, params: SAMPLING, next_token: [next] }
  })
}

const CAPS = {
  supports_object_arguments: false,
  supports_parallel_tool_calls: false,
  supports_preserve_reasoning: false,
  supports_reasoning_effort: false,
  supports_string_content: true,
  supports_system_role: true,
  supports_tool_calls: false,
  supports_tools: false,
  supports_typed_content: false,
}

/** How a request of the native API is sampled, as its answer repeats it. */
export function generationSettings(body: Readonly<Record<string, unknown>>): unknown {
  const limit = typeof body['n_predict'] === 'number' ? body['n_predict'] : -1
  const isEndless = body['ignore_eos'] === true
  return {
    ...SAMPLING,
    dry_sequence_breakers: ['\n', ':', '"', '*'],
    stop: [],
    max_tokens: limit,
    n_predict: limit,
    ignore_eos: isEndless,
    stream: body['stream'] === true,
    logit_bias: isEndless ? [{ bias: null, token: 0 }] : [],
    grammar: '',
    grammar_lazy: false,
    grammar_triggers: [],
    preserved_tokens: [],
    reasoning_format: 'deepseek',
  }
}

/** How a request that says nothing is sampled. */
const SAMPLING = {
  seed: 4_294_967_295,
  temperature: 0.8,
  dynatemp_range: 0,
  dynatemp_exponent: 1,
  top_k: 40,
  top_p: 0.95,
  min_p: 0.05,
  top_n_sigma: -1,
  xtc_probability: 0,
  xtc_threshold: 0.1,
  typical_p: 1,
  repeat_last_n: 64,
  repeat_penalty: 1,
  presence_penalty: 0,
  frequency_penalty: 0,
  dry_multiplier: 0,
  dry_base: 1.75,
  dry_allowed_length: 2,
  dry_penalty_last_n: 64,
  mirostat: 0,
  mirostat_tau: 5,
  mirostat_eta: 0.1,
  adaptive_target: -1,
  adaptive_decay: 0.9,
  max_tokens: -1,
  n_predict: -1,
  n_keep: 0,
  n_discard: 0,
  ignore_eos: false,
  stream: false,
  n_probs: 0,
  min_keep: 0,
  chat_format: 'Content-only',
  reasoning_format: 'none',
  reasoning_in_content: false,
  generation_prompt: '',
  samplers: ['penalties', 'dry', 'top_n_sigma', 'top_k', 'typ_p', 'top_p', 'min_p', 'xtc', 'temperature'],
  'speculative.types': 'none',
  timings_per_token: false,
  post_sampling_probs: false,
  backend_sampling: false,
  lora: [],
}
