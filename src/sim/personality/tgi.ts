import { type BodyProblem, type FieldRules, readJsonBody } from '#sim/api/body.ts'
import {
  type Exchange,
  fieldsOf,
  isProblem,
  numberOf,
  type Problem,
  type Protocol,
  type SimCore,
  stringOf,
} from '#sim/api/exchange.ts'
import { runGeneration } from '#sim/api/generation.ts'
import { handleChat, handleCompletions } from '#sim/api/openai.ts'
import { tokenize } from '#sim/tokens.ts'
import type { Personality } from './personality.ts'
import { adminRoute, modelRoute } from './routes.ts'
import { TgiMetrics } from './tgi-metrics.ts'
import { TGI_VERSION, tgiChat, tgiCompletions, tgiGenerate, tgiHeaders } from './tgi-shapes.ts'

/** Text Generation Inference 3. */
export function tgiPersonality(core: SimCore): Personality {
  const metrics = new TgiMetrics(core)
  const protocol = tgiProtocol(metrics)
  return {
    routes: [
      modelRoute('/generate', (exchange) => handleGenerate(exchange, protocol, false)),
      modelRoute('/generate_stream', (exchange) => handleGenerate(exchange, protocol, true)),
      modelRoute('/', (exchange) => handleGenerate(exchange, protocol, undefined)),
      modelRoute('/v1/chat/completions', (exchange) => handleChat(exchange, protocol, tgiChat)),
      modelRoute('/v1/completions', (exchange) => handleCompletions(exchange, protocol, tgiCompletions)),
      modelRoute('/tokenize', (exchange) => handleTokenize(exchange, protocol)),
      adminRoute('GET', '/info', ({ reply }) => reply.json(200, info(core))),
      adminRoute('GET', '/v1/models', ({ reply }) => reply.json(200, { object: 'list', data: modelCards(core) })),
      adminRoute('GET', '/health', ({ reply }) => reply.send(200, {}, '')),
      adminRoute('GET', '/ping', ({ reply }) => reply.send(200, {}, '')),
      adminRoute('GET', '/metrics', ({ reply }) =>
        reply.send(200, { 'content-type': 'text/plain; charset=utf-8' }, metrics.page()),
      ),
    ],
    observer: metrics.observer,
    isProtected: (path) => !/^\/(health|metrics|ping)/.test(path),
    refuseHttp: ({ reply }, status) => {
      if (status === 413) return reply.send(413, PLAIN, 'Failed to buffer the request body: length limit exceeded')
      reply.send(status, {}, '')
    },
    commonHeaders: () => ({}),
    recordHttp: () => {},
  }
}

const PLAIN = { 'content-type': 'text/plain; charset=utf-8' }

function tgiProtocol(metrics: TgiMetrics): Protocol {
  const refuse = ({ reply }: Exchange, { status, type, message }: Problem) => {
    metrics.countFailure(type)
    reply.json(status, { error: message, error_type: type })
  }
  return {
    refuse,
    refuseBody: ({ reply }, problem) => {
      const [status, text] = rejection(problem)
      reply.send(status, PLAIN, text)
    },
    /** Any model name is taken; one that names an adapter chooses it. */
    chooseModel(core, name) {
      const asked = name === undefined || name === '' || name === 'tgi' ? core.settings.baseModel : name
      return { name: asked, adapter: core.adapters.has(asked) ? asked : undefined }
    },
    overflow(core, promptTokens, maxTokens) {
      const limit = core.settings.maxModelLen
      if (promptTokens >= limit) {
        return invalid(`Input validation error: \`inputs\` must have less than ${limit} tokens. Given: ${promptTokens}`)
      }
      const wanted = maxTokens ?? 1
      if (wanted < 1) return invalid('Input validation error: `max_new_tokens` must be strictly positive')
      if (promptTokens + wanted <= limit) return undefined
      return invalid(
        `Input validation error: \`inputs\` tokens + \`max_new_tokens\` must be <= ${limit}. Given: ${promptTokens} \`inputs\` tokens and ${wanted} \`max_new_tokens\``,
      )
    },
    overload(core) {
      if (core.engine.openCount < core.settings.maxQueuedReqs) return undefined
      return { status: 429, type: 'overloaded', message: 'Model is overloaded', param: null }
    },
    headers: (exchange) => tgiHeaders(exchange),
  }
}

function invalid(message: string): Problem {
  return { status: 422, type: 'validation', message, param: null }
}

/** The plain-text answers of the HTTP framework to bodies it cannot read. */
function rejection(problem: BodyProblem): readonly [status: number, text: string] {
  if (problem.kind === 'media-type') return [415, 'Expected request with `Content-Type: application/json`']
  if (problem.kind === 'empty') {
    return [400, 'Failed to parse the request body as JSON: EOF while parsing a value at line 1 column 0']
  }
  if (problem.kind === 'json') {
    return [400, `Failed to parse the request body as JSON: ${problem.reason} at line 1 column ${problem.position + 1}`]
  }
  const [first] = problem.fields
  const what = first?.type === 'missing' ? `missing field \`${first.field}\`` : `${first?.field}: invalid type`
  return [422, `Failed to deserialize the JSON body into the target type: ${what} at line 1 column 1`]
}

const GENERATE_RULES: FieldRules = { inputs: { type: 'string', isRequired: true }, stream: { type: 'bool' } }

/** `POST /generate` and `/generate_stream`; at `/` the body's `stream` decides. */
function handleGenerate(exchange: Exchange, protocol: Protocol, isStream: boolean | undefined): void {
  const { core } = exchange
  const result = readJsonBody(exchange.call, GENERATE_RULES)
  if ('problem' in result) return protocol.refuseBody(exchange, result.problem)
  const { body } = result
  const parameters = fieldsOf(body['parameters'])
  const adapter = stringOf(parameters['adapter_id'])
  if (adapter !== undefined && !core.adapters.has(adapter)) {
    return protocol.refuse(exchange, invalid(`Input validation error: adapter_id ${adapter} is not loaded`))
  }
  const model = protocol.chooseModel(core, adapter)
  if (isProblem(model)) return protocol.refuse(exchange, model)
  runGeneration(
    exchange,
    protocol,
    {
      model,
      body,
      prompts: [tokenize(stringOf(body['inputs']) ?? '')],
      n: 1,
      maxTokens: numberOf(parameters['max_new_tokens']),
      tool: undefined,
      isStream: isStream ?? body['stream'] === true,
      streamUsage: 'none',
    },
    tgiGenerate,
  )
}

function handleTokenize(exchange: Exchange, protocol: Protocol): void {
  const result = readJsonBody(exchange.call, GENERATE_RULES)
  if ('problem' in result) return protocol.refuseBody(exchange, result.problem)
  const text = stringOf(result.body['inputs']) ?? ''
  const bytes = Buffer.from(text)
  const tokens = [...tokenize(text)].map((id, i) => {
    const start = i * 4
    const stop = Math.min(bytes.length, start + 4)
    return { id, text: bytes.toString('utf8', start, stop), start, stop }
  })
  exchange.reply.json(200, tokens)
}

function info({ settings }: SimCore): unknown {
  const { baseModel, maxModelLen, maxNumSeqs, kvBlocks, blockSize } = settings
  return {
    model_id: baseModel,
    model_sha: null,
    model_pipeline_tag: 'text-generation',
    max_concurrent_requests: Number.isFinite(settings.maxQueuedReqs) ? settings.maxQueuedReqs : maxNumSeqs,
    max_best_of: 2,
    max_stop_sequences: 4,
    max_input_tokens: maxModelLen - 1,
    max_total_tokens: maxModelLen,
    max_batch_total_tokens: kvBlocks * blockSize,
    validation_workers: 2,
    max_client_batch_size: 4,
    router: 'text-generation-router',
    version: TGI_VERSION,
    sha: null,
    docker_label: null,
  }
}

function modelCards({ settings }: SimCore): unknown[] {
  return settings.models.map((id) => ({ id, object: 'model', created: 0, owned_by: id }))
}
