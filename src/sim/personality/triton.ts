import { type FieldRules, readJsonBody } from '#sim/api/body.ts'
import {
  type Exchange,
  fieldsOf,
  numberOf,
  type Problem,
  type Protocol,
  type Route,
  type SimCore,
  stringOf,
} from '#sim/api/exchange.ts'
import { runGeneration } from '#sim/api/generation.ts'
import { handleChat, handleCompletions } from '#sim/api/openai.ts'
import { tokenize } from '#sim/tokens.ts'
import type { Personality } from './personality.ts'
import { pydanticEntries } from './pydantic-errors.ts'
import { adminRoute, modelRoute } from './routes.ts'
import { TritonMetrics } from './triton-metrics.ts'
import { tritonChat, tritonCompletions, tritonGenerate } from './triton-shapes.ts'

const VERSION = '2.62.0'

/**
 * Triton with the TensorRT-LLM backend and the OpenAI front end. The real one has the KServe API, the metrics page and the
 * OpenAI front end on three ports; here one port serves all.
 */
export function tritonPersonality(core: SimCore): Personality {
  const metrics = new TritonMetrics(core)
  return {
    routes: [...openaiRoutes(core, metrics), ...kserveRoutes(core, metrics), ...adminRoutes(core, metrics)],
    observer: metrics.observer,
    isProtected: (path) => path.startsWith('/v1/'),
    refuseHttp({ call, reply }, status) {
      if (status === 401) return reply.json(401, { error: 'Unauthorized' })
      const model = /^\/v2\/models\/([^/]+)/.exec(call.path)?.[1]
      if (model !== undefined) return reply.json(404, { error: `Request for unknown model: '${model}' is not found` })
      if (call.path.startsWith('/v2/')) return reply.send(status, {}, '')
      reply.json(status, { detail: HTTP_DETAILS[status] })
    },
    commonHeaders: () => ({}),
    recordHttp: () => {},
  }
}

const HTTP_DETAILS = { 404: 'Not Found', 405: 'Method Not Allowed', 413: 'Request Entity Too Large' } as const

function openaiRoutes(core: SimCore, metrics: TritonMetrics): Route[] {
  const protocol = openaiProtocol(metrics)
  const cards = modelCards(core)
  return [
    modelRoute('/v1/chat/completions', (exchange) => handleChat(exchange, protocol, tritonChat)),
    modelRoute('/v1/completions', (exchange) => handleCompletions(exchange, protocol, tritonCompletions)),
    adminRoute('GET', '/v1/models', ({ reply }) => reply.json(200, { object: 'list', data: cards })),
    adminRoute('GET', '/v1/models/{id}', ({ call, reply }) => {
      const id = decodeURI(call.path.slice('/v1/models/'.length))
      const card = cards.find((each) => each.id === id)
      if (card === undefined) reply.json(404, { detail: `Unknown model: ${id}` })
      else reply.json(200, card)
    }),
    adminRoute('GET', '/health/ready', ({ reply }) => reply.send(200, {}, '')),
  ]
}

/** The generate extension and the model paths of the KServe API, for each served model. */
function kserveRoutes(core: SimCore, metrics: TritonMetrics): Route[] {
  const protocol = kserveProtocol(metrics)
  return core.settings.models.flatMap((model) => {
    const path = `/v2/models/${encodeURIComponent(model)}`
    const generate = (at: string, isStream: boolean) =>
      modelRoute(at, (exchange) => handleGenerate(exchange, { protocol, model, isStream }))
    return [
      ...[path, `${path}/versions/1`].flatMap((at) => [
        generate(`${at}/generate`, false),
        generate(`${at}/generate_stream`, true),
        adminRoute('GET', at, ({ reply }) => reply.json(200, modelMetadata(model))),
        adminRoute('GET', `${at}/ready`, ({ reply }) => reply.send(200, {}, '')),
      ]),
    ]
  })
}

function adminRoutes(core: SimCore, metrics: TritonMetrics): Route[] {
  const ready = ({ reply }: Exchange) => reply.send(200, {}, '')
  const index = core.settings.models.map((name) => ({ name, version: '1', state: 'READY' }))
  return [
    adminRoute('GET', '/v2/health/live', ready),
    adminRoute('GET', '/v2/health/ready', ready),
    adminRoute('GET', '/v2', ({ reply }) =>
      reply.json(200, { name: 'triton', version: VERSION, extensions: EXTENSIONS }),
    ),
    adminRoute('POST', '/v2/repository/index', ({ reply }) => reply.json(200, index)),
    adminRoute('GET', '/metrics', ({ reply }) =>
      reply.send(200, { 'content-type': 'text/plain; charset=utf-8' }, metrics.page()),
    ),
  ]
}

const EXTENSIONS = ['model_repository', 'model_configuration', 'statistics', 'generate', 'parameters']

function modelCards({ settings, startedS }: SimCore) {
  const created = Math.floor(startedS)
  return settings.models.map((id) => ({ id, created, object: 'model', owned_by: 'Triton Inference Server' }))
}

function modelMetadata(name: string): unknown {
  const tensor = (tensorName: string, datatype: string) => ({ name: tensorName, datatype, shape: [-1, 1] })
  return {
    name,
    versions: ['1'],
    platform: 'ensemble',
    inputs: [tensor('text_input', 'BYTES'), tensor('max_tokens', 'INT32'), tensor('stream', 'BOOL')],
    outputs: [{ name: 'text_output', datatype: 'BYTES', shape: [-1, -1] }],
  }
}

const GENERATE_RULES: FieldRules = { text_input: { type: 'any', isRequired: true } }

/** `generate` and `generate_stream`: `max_tokens` stands beside the text or among the parameters. */
function handleGenerate(
  exchange: Exchange,
  { protocol, model, isStream }: { readonly protocol: Protocol; readonly model: string; readonly isStream: boolean },
): void {
  const result = readJsonBody(exchange.call, GENERATE_RULES)
  if ('problem' in result) return protocol.refuseBody(exchange, result.problem)
  const { body } = result
  const maxTokens = numberOf(body['max_tokens']) ?? numberOf(fieldsOf(body['parameters'])['max_tokens'])
  runGeneration(
    exchange,
    protocol,
    {
      model: { name: model, adapter: undefined },
      body,
      prompts: [tokenize(stringOf(body['text_input']) ?? '')],
      n: 1,
      maxTokens,
      tool: undefined,
      isStream,
      streamUsage: 'none',
    },
    tritonGenerate,
  )
}

/** Errors of the OpenAI front end. */
function openaiProtocol(metrics: TritonMetrics): Protocol {
  return {
    refuse({ reply }, { status, message }) {
      metrics.countFailure()
      reply.json(status, { detail: message })
    },
    refuseBody({ reply }, problem) {
      reply.json(422, { detail: pydanticEntries(problem) })
    },
    chooseModel(core, name) {
      const asked = name ?? ''
      if (core.settings.models.includes(asked)) return { name: asked, adapter: undefined }
      return clientError(`Unknown model: ${asked}`)
    },
    inspect: (_, { n }) =>
      typeof n === 'number' && n > 1
        ? clientError(`Received n=${n}, but only single choice (n=1) is currently supported`)
        : undefined,
    overflow,
    overload,
    headers: () => ({}),
  }
}

/** Errors and the load report of the KServe API. */
function kserveProtocol(metrics: TritonMetrics): Protocol {
  return {
    ...openaiProtocol(metrics),
    refuse({ reply }, { status, message }) {
      metrics.countFailure()
      reply.json(status, { error: message })
    },
    refuseBody({ reply }, problem) {
      const text =
        problem.kind === 'json' ? 'failed to parse the request JSON buffer: Invalid value. at 0' : 'missing input'
      reply.json(400, { error: text })
    },
    headers: ({ core, call }) => ({
      'endpoint-load-metrics': orcaLoad(core, call.headers.get('endpoint-load-metrics-format')),
    }),
  }
}

function clientError(message: string): Problem {
  return { status: 400, type: 'client', message, param: null }
}

function overflow(core: SimCore, promptTokens: number, maxTokens: number | undefined) {
  const limit = core.settings.maxModelLen
  if (promptTokens < limit && promptTokens + Math.max(0, maxTokens ?? 1) <= limit) return undefined
  const message = `Executor failed process requestId 1 due to the following error: Encountered an error when fetching new request: Prompt length (${promptTokens}) exceeds maximum input length (${limit}).`
  return { status: 500, type: 'server', message, param: null }
}

function overload(core: SimCore) {
  if (core.engine.openCount < core.settings.maxQueuedReqs) return undefined
  return { status: 503, type: 'server', message: 'Exceeds maximum queue size', param: null }
}

/** Only `json` and `text`, in lower case, are understood. */
function orcaLoad(core: SimCore, format: string | undefined): string | undefined {
  const { kvUse: use, totalBlocks } = core.engine.stats()
  const capacity = totalBlocks * core.settings.blockSize
  if (format === 'text') {
    return `TEXT named_metrics.kv_cache_utilization=${use.toFixed(6)}, named_metrics.max_token_capacity=${capacity}`
  }
  if (format !== 'json') return undefined
  const decimal = Number.isInteger(use) ? `${use}.0` : String(use)
  return `JSON {"named_metrics":{"kv_cache_utilization":${decimal},"max_token_capacity":${capacity}}}`
}
