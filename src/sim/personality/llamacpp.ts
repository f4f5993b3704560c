import type { JsonBody } from '#sim/api/body.ts'
import type { Exchange, Problem, Protocol, Route, SimCore } from '#sim/api/exchange.ts'
import { fieldsOf, numberOf, stringOf } from '#sim/api/exchange.ts'
import { type Generation, runGeneration, type Shape } from '#sim/api/generation.ts'
import { countMessagesTokens, messagesGeneration } from '#sim/api/messages.ts'
import { chatGeneration, completionGeneration, type OpenedCall } from '#sim/api/openai.ts'
import { chatPrompt } from '#sim/api/prompt.ts'
import { responsesGeneration } from '#sim/api/responses.ts'
import { detokenize, tokenize } from '#sim/tokens.ts'
import { fieldProblem, readLlamacppBody } from './llamacpp-body.ts'
import { modelList, properties, slotList } from './llamacpp-info.ts'
import { LlamacppMetrics } from './llamacpp-metrics.ts'
import { llamacppResponses } from './llamacpp-responses.ts'
import { llamacppChat, llamacppCompletions, llamacppMessages, llamacppNative } from './llamacpp-shapes.ts'
import type { Personality } from './personality.ts'
import { adminRoute, modelRoute } from './routes.ts'

/**
 * llama.cpp's own server, with `--metrics`, `--slots` and `--props`. A slot is a running request, so `maxNumSeqs` is the number of
 * slots and `maxModelLen` the context of one; any model name is taken for the one that is served.
 */
export function llamacppPersonality(core: SimCore): Personality {
  const metrics = new LlamacppMetrics(core)
  return {
    routes: [...modelRoutes(), ...adminRoutes(core, metrics)],
    observer: metrics.observer,
    isProtected: (path) => !/^\/(v1\/)?(health|models)$/.test(path),
    refuseHttp(exchange, status) {
      if (status === 401) return fail(exchange, { status, type: 'authentication_error', message: 'Invalid API Key' })
      if (status === 413) return exchange.reply.send(413, { connection: 'close' }, '')
      const error = { message: 'File Not Found', type: 'not_found_error', code: 404 }
      exchange.reply.json(404, { error }, CLOSING)
    },
    commonHeaders: () => ({
      server: 'llama.cpp',
      'access-control-allow-origin': '',
      'keep-alive': 'timeout=5, max=100',
      date: undefined,
    }),
    recordHttp: () => {},
  }
}

const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' }
/** After an error the connection is closed. */
const CLOSING = { ...JSON_TYPE, connection: 'close', 'keep-alive': undefined }

/** A message that cannot be read makes llama.cpp fail, not the request. */
function unreadableMessage({ messages }: JsonBody): string | undefined {
  const wrong = Array.isArray(messages)
    ? messages.find((message) => fieldsOf(message)['role'] === undefined)
    : undefined
  return wrong === undefined
    ? undefined
    : `Failed to parse messages: Missing 'role' in message: ${JSON.stringify(wrong)}`
}

/** How a path makes a generation of a body; a text says what is wrong with it. */
interface Api {
  readonly shape: Shape
  /** Status of the answer when something that has to be there is not. */
  readonly missingStatus?: 400 | 500
  missing(body: JsonBody): string | undefined
  generation(opened: OpenedCall): Generation
}

const chatApi: Api = { shape: llamacppChat, missing: missingMessages, generation: chatGeneration }

const completionsApi: Api = {
  shape: llamacppCompletions,
  missing: missingPrompt,
  generation: completionGeneration,
}

const nativeApi: Api = {
  shape: llamacppNative,
  missing: missingPrompt,
  generation: (opened) => ({ ...completionGeneration(opened), maxTokens: numberOf(opened.body['n_predict']) }),
}

const messagesApi: Api = {
  shape: llamacppMessages,
  missingStatus: 500,
  missing: missingMessages,
  generation: messagesGeneration,
}

const responsesApi: Api = {
  shape: llamacppResponses,
  missing: (body) => (body['input'] === undefined ? "'input' is required" : undefined),
  generation: responsesGeneration,
}

function modelRoutes(): Route[] {
  const generates = (api: Api, ...paths: readonly string[]) =>
    paths.map((path) => modelRoute(path, (exchange) => generate(exchange, api)))
  return [
    ...generates(chatApi, '/v1/chat/completions', '/chat/completions'),
    ...generates(completionsApi, '/v1/completions'),
    ...generates(nativeApi, '/completion', '/completions'),
    ...generates(messagesApi, '/v1/messages'),
    ...generates(responsesApi, '/v1/responses', '/responses'),
    modelRoute('/v1/messages/count_tokens', (exchange) => {
      const body = bodyOf(exchange, messagesApi)
      if (body !== undefined) exchange.reply.json(200, { input_tokens: countMessagesTokens(body) }, JSON_TYPE)
    }),
    ...['/v1/embeddings', '/embeddings', '/embedding'].map((path) => modelRoute(path, refuseEmbeddings)),
    modelRoute('/tokenize', answerTokenize),
    modelRoute('/detokenize', answerDetokenize),
    modelRoute('/apply-template', (exchange) => {
      const body = bodyOf(exchange, chatApi)
      if (body !== undefined)
        exchange.reply.json(200, { prompt: chatPrompt(body['messages'], body['tools']) }, JSON_TYPE)
    }),
  ]
}

function adminRoutes(core: SimCore, metrics: LlamacppMetrics): Route[] {
  const answers = (value: () => unknown, ...paths: readonly string[]) =>
    paths.map((path) => adminRoute('GET', path, ({ reply }) => reply.json(200, value(), JSON_TYPE)))
  return [
    ...answers(() => ({ status: 'ok' }), '/health', '/v1/health'),
    ...answers(() => modelList(core), '/v1/models', '/models'),
    ...answers(() => properties(core), '/props'),
    ...answers(() => core.adapters.list().map(({ path }, id) => ({ id, path, scale: 1 })), '/lora-adapters'),
    adminRoute('GET', '/slots', (exchange) => answerSlots(exchange)),
    adminRoute('GET', '/metrics', ({ reply }) => {
      const started = { 'process-start-time-unix': String(Math.floor(core.startedS)) }
      reply.send(200, { 'content-type': 'text/plain; version=0.0.4', ...started }, metrics.page())
    }),
  ]
}

function generate(exchange: Exchange, api: Api): void {
  const body = bodyOf(exchange, api)
  if (body === undefined) return
  const { maxNumSeqs, maxModelLen, baseModel } = exchange.core.settings
  const wrong = fieldProblem(body, maxNumSeqs)
  if (wrong !== undefined) return fail(exchange, invalid(wrong))
  const unreadable = unreadableMessage(body)
  if (unreadable !== undefined) return fail(exchange, { status: 500, type: 'server_error', message: unreadable })
  const generation = api.generation({ body, model: { name: baseModel, adapter: undefined } })
  // One token is always made, -1 means no limit, and what does not fit the context is cut.
  const { maxTokens } = generation
  const limit = maxTokens === undefined || maxTokens < 0 ? undefined : Math.min(Math.max(1, maxTokens), maxModelLen)
  runGeneration(exchange, PROTOCOL, { ...generation, maxTokens: limit }, api.shape)
}

/** Reads a body that has what its path needs, or refuses it. */
function bodyOf(exchange: Exchange, api: Api): JsonBody | undefined {
  const result = readLlamacppBody(exchange.call)
  const missing = 'body' in result ? api.missing(result.body) : result.message
  if (missing === undefined && 'body' in result) return result.body
  const status = 'body' in result ? (api.missingStatus ?? 400) : 400
  const type = status === 500 ? 'server_error' : 'invalid_request_error'
  if (missing !== undefined) fail(exchange, { status, type, message: missing })
  return undefined
}

function missingMessages({ messages }: JsonBody): string | undefined {
  if (messages === undefined) return "'messages' is required"
  return Array.isArray(messages) ? undefined : "Expected 'messages' to be an array"
}

function missingPrompt({ prompt }: JsonBody): string | undefined {
  return prompt === undefined ? "[json.exception.out_of_range.403] key 'prompt' not found" : undefined
}

const PROTOCOL: Protocol = {
  refuse: fail,
  refuseBody: (exchange) => fail(exchange, invalid('the body cannot be read')),
  chooseModel: ({ settings }) => ({ name: settings.baseModel, adapter: undefined }),
  overflow({ settings }, promptTokens) {
    const context = settings.maxModelLen
    if (promptTokens < context) return undefined
    const message = `request (${promptTokens} tokens) exceeds the available context size (${context} tokens), try increasing it`
    const details = { n_prompt_tokens: promptTokens, n_ctx: context }
    return { status: 400, type: 'exceed_context_size_error', message, param: null, details }
  },
  overload({ engine, settings }) {
    if (engine.openCount < settings.maxQueuedReqs) return undefined
    return { status: 503, type: 'unavailable_error', message: 'no slot available', param: null }
  },
  headers: () => JSON_TYPE,
}

/** Refuses with an error of llama.cpp's shape. */
function fail({ reply }: Exchange, { status, type, message, details }: Omit<Problem, 'param'>): void {
  reply.json(status, { error: { code: status, message, type, ...details } }, CLOSING)
}

function invalid(message: string): Problem {
  return { status: 400, type: 'invalid_request_error', message, param: null }
}

function refuseEmbeddings(exchange: Exchange): void {
  const message = 'This server does not support embeddings. Start it with `--embeddings`'
  fail(exchange, { status: 501, type: 'not_supported_error', message })
}

function answerSlots(exchange: Exchange): void {
  const { call, core, reply } = exchange
  const isWanted = /[?&]fail_on_no_slot=/.test(call.target)
  if (isWanted && core.engine.stats().running >= core.settings.maxNumSeqs) {
    return fail(exchange, { status: 503, type: 'unavailable_error', message: 'no slot available' })
  }
  reply.json(200, slotList(core), JSON_TYPE)
}

function answerTokenize(exchange: Exchange): void {
  const result = readLlamacppBody(exchange.call)
  if (!('body' in result)) return fail(exchange, invalid(result.message))
  const ids = [...tokenize(stringOf(result.body['content']) ?? '')]
  const tokens = result.body['with_pieces'] === true ? ids.map((id) => ({ id, piece: detokenize([id]) })) : ids
  exchange.reply.json(200, { tokens }, JSON_TYPE)
}

function answerDetokenize(exchange: Exchange): void {
  const result = readLlamacppBody(exchange.call)
  if (!('body' in result)) return fail(exchange, invalid(result.message))
  const tokens = result.body['tokens']
  const ids = Array.isArray(tokens) ? tokens.filter((token) => typeof token === 'number') : []
  exchange.reply.json(200, { content: detokenize(ids) }, JSON_TYPE)
}
