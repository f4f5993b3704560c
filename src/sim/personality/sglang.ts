import { type FieldRules, type JsonBody, readJsonBody } from '#sim/api/body.ts'
import type { Exchange, Protocol, Route, SimCore } from '#sim/api/exchange.ts'
import { fieldsOf, isProblem, numberOf, stringOf } from '#sim/api/exchange.ts'
import { handleCountTokens, handleMessages } from '#sim/api/messages.ts'
import { handleChat, handleCompletions, type RunGeneration } from '#sim/api/openai.ts'
import { completionPrompts } from '#sim/api/prompt.ts'
import { handleResponses } from '#sim/api/responses.ts'
import { handleDetokenize, handleTokenize } from '#sim/api/tokens-api.ts'
import { tokenize } from '#sim/tokens.ts'
import { engineHistograms } from './engine-histograms.ts'
import { answerHealthGenerate } from './health-generate.ts'
import type { Personality } from './personality.ts'
import { adminRoute, modelRoute, poolingRoute } from './routes.ts'
import { SglangBootstrap } from './sglang-bootstrap.ts'
import { sglangBounds, sglangMetricsPage } from './sglang-metrics.ts'
import { badRequest, sglangProtocol } from './sglang-protocol.ts'
import { sglangChat, sglangCompletions, sglangGenerate } from './sglang-shapes.ts'

const VERSION = '0.5.11'

/** SGLang with metrics, cache report and LoRA on. */
export function sglangPersonality(core: SimCore): Personality {
  const protocol = sglangProtocol()
  const histograms = engineHistograms(sglangBounds(core.settings.maxModelLen))
  const bootstrap = new SglangBootstrap(core)
  const { observer } = histograms
  return {
    routes: [
      ...modelRoutes(protocol, bootstrap.run),
      ...bootstrap.routes(),
      ...adminRoutes(core, protocol, () => sglangMetricsPage(core, histograms)),
    ],
    observer: {
      ...observer,
      onAdmitted(ticket) {
        observer.onAdmitted(ticket)
        bootstrap.onAdmitted(ticket)
      },
    },
    isProtected: (path) => !/^\/(health|metrics|sim\/)/.test(path),
    refuseHttp: ({ reply }, status) => {
      if (status === 401) return reply.json(401, { error: 'Unauthorized' })
      reply.json(status, { detail: HTTP_DETAILS[status] })
    },
    commonHeaders: () => ({ server: 'uvicorn' }),
    recordHttp: () => {},
    close: () => bootstrap.close(),
  }
}

const HTTP_DETAILS = { 404: 'Not Found', 405: 'Method Not Allowed', 413: 'Request Entity Too Large' } as const

function modelRoutes(protocol: Protocol, run: RunGeneration): Route[] {
  return [
    modelRoute('/generate', (exchange) => handleGenerate(exchange, protocol, run)),
    modelRoute('/v1/chat/completions', (exchange) => handleChat(exchange, protocol, sglangChat, run)),
    modelRoute('/v1/completions', (exchange) => handleCompletions(exchange, protocol, sglangCompletions, run)),
    modelRoute('/v1/responses', (exchange) => handleResponses(exchange, protocol)),
    modelRoute('/v1/messages', (exchange) => handleMessages(exchange, protocol)),
    modelRoute('/v1/messages/count_tokens', (exchange) => handleCountTokens(exchange, protocol)),
    poolingRoute('/v1/embeddings', 'embeddings', protocol),
    poolingRoute('/v1/rerank', 'rerank', protocol),
    poolingRoute('/v1/score', 'score', protocol),
    poolingRoute('/v1/classify', 'classify', protocol),
    ...['/tokenize', '/v1/tokenize'].map((path) => modelRoute(path, (exchange) => handleTokenize(exchange, protocol))),
    ...['/detokenize', '/v1/detokenize'].map((path) =>
      modelRoute(path, (exchange) => handleDetokenize(exchange, protocol)),
    ),
    {
      method: 'GET',
      path: '/health_generate',
      isModelCall: true,
      handle: (exchange) => answerHealthGenerate(exchange, ''),
    },
  ]
}

function adminRoutes(core: SimCore, protocol: Protocol, page: () => string): Route[] {
  return [
    adminRoute('GET', '/health', ({ reply }) => reply.send(200, {}, '')),
    ...['/model_info', '/get_model_info'].map((path) =>
      adminRoute('GET', path, ({ reply }) => reply.json(200, modelInfo(core))),
    ),
    ...['/server_info', '/get_server_info'].map((path) =>
      adminRoute('GET', path, ({ reply }) => reply.json(200, serverInfo(core))),
    ),
    adminRoute('GET', '/v1/loads', ({ reply }) => reply.json(200, { loads: loadsOf(core) })),
    adminRoute('GET', '/v1/models', ({ reply }) => reply.json(200, { object: 'list', data: modelCards(core) })),
    adminRoute('GET', '/metrics', ({ reply }) =>
      reply.send(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }, page()),
    ),
    adminRoute('POST', '/flush_cache', ({ reply }) => {
      core.engine.clearPrefixCache()
      reply.send(200, { 'content-type': 'text/plain; charset=utf-8' }, 'Cache flushed.\n')
    }),
    adminRoute('POST', '/load_lora_adapter', (exchange) => answerAdapterChange(exchange, protocol, true)),
    adminRoute('POST', '/unload_lora_adapter', (exchange) => answerAdapterChange(exchange, protocol, false)),
  ]
}

const GENERATE_RULES: FieldRules = { stream: { type: 'bool' }, input_ids: { type: 'list' } }

/** The native `POST /generate`: `text` or `input_ids`, limits in `sampling_params`, the adapter in `lora_path`. */
function handleGenerate(exchange: Exchange, protocol: Protocol, run: RunGeneration): void {
  const { core } = exchange
  const result = readJsonBody(exchange.call, GENERATE_RULES)
  if ('problem' in result) return protocol.refuseBody(exchange, result.problem)
  const { body } = result
  if (body['text'] === undefined && body['input_ids'] === undefined) {
    return protocol.refuse(exchange, badRequest('Either text, input_ids or input_embeds should be provided.'))
  }
  const adapter = stringOf(body['lora_path'])
  const name = adapter === undefined ? stringOf(body['model']) : `${core.settings.baseModel}:${adapter}`
  const model = protocol.chooseModel(core, name)
  if (isProblem(model)) return protocol.refuse(exchange, model)
  const sampling = fieldsOf(body['sampling_params'])
  run(
    exchange,
    protocol,
    {
      model,
      body,
      prompts: completionPrompts(body['text'] ?? body['input_ids'], tokenize),
      n: Math.max(1, numberOf(sampling['n']) ?? 1),
      maxTokens: numberOf(sampling['max_new_tokens']),
      tool: undefined,
      isStream: body['stream'] === true,
      streamUsage: 'none',
    },
    sglangGenerate(() => core.engine.nowMs()),
  )
}

function answerAdapterChange(exchange: Exchange, protocol: Protocol, isLoad: boolean): void {
  const { core, call, reply } = exchange
  const rules: FieldRules = {
    lora_name: { type: 'string', isRequired: true },
    ...(isLoad ? { lora_path: { type: 'string', isRequired: true } } : {}),
  }
  const result = readJsonBody(call, rules)
  if ('problem' in result) return protocol.refuseBody(exchange, result.problem)
  const error = changeAdapters(core, result.body, isLoad)
  const loaded = Object.fromEntries(core.adapters.list().map(({ name, path }) => [name, path]))
  if (error === undefined) return reply.json(200, { success: true, error_message: '', loaded_adapters: loaded })
  reply.json(400, { success: false, error_message: error, loaded_adapters: loaded })
}

/** Loads or unloads; says why not when it cannot. */
function changeAdapters(core: SimCore, body: JsonBody, isLoad: boolean): string | undefined {
  const name = stringOf(body['lora_name']) ?? ''
  if (!isLoad) return core.adapters.remove(name) ? undefined : `LoRA adapter ${name} is not loaded.`
  if (core.adapters.has(name)) return `LoRA adapter ${name} is already loaded.`
  if (core.adapters.isFull) return 'Too many LoRA adapters are loaded.'
  core.adapters.add({ name, path: stringOf(body['lora_path']) ?? '' })
  return undefined
}

function modelCards(core: SimCore): unknown[] {
  const { models, baseModel, maxModelLen } = core.settings
  const head = { object: 'model', created: Math.floor(core.startedS), owned_by: 'sglang' }
  return [
    ...models.map((id) => ({ id, ...head, root: baseModel, parent: null, max_model_len: maxModelLen })),
    ...core.adapters
      .list()
      .map(({ name, path }) => ({ id: name, ...head, root: path, parent: baseModel, max_model_len: null })),
  ]
}

function modelInfo({ settings }: SimCore): unknown {
  const { baseModel } = settings
  return {
    model_path: baseModel,
    tokenizer_path: baseModel,
    is_generation: true,
    preferred_sampling_params: null,
    weight_version: 'default',
  }
}

function serverInfo(core: SimCore): unknown {
  const { baseModel, blockSize, kvBlocks, maxModelLen, maxNumSeqs } = core.settings
  return {
    model_path: baseModel,
    served_model_name: baseModel,
    page_size: blockSize,
    context_length: maxModelLen,
    max_running_requests: maxNumSeqs,
    max_total_num_tokens: kvBlocks * blockSize,
    internal_states: loadsOf(core),
    version: VERSION,
  }
}

/** Of each data-parallel rank. */
function loadsOf(core: SimCore): readonly Readonly<Record<string, number>>[] {
  const { blockSize } = core.settings
  return core.engine.rankStats().map(({ running, waiting, usedBlocks, kvUse }, rank) => ({
    dp_rank: rank,
    num_running_reqs: running,
    num_waiting_reqs: waiting,
    num_used_tokens: usedBlocks * blockSize,
    token_usage: kvUse,
  }))
}
