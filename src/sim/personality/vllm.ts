import type { Exchange, Problem, Protocol, Route, SimCore } from '#sim/api/exchange.ts'
import { handleImageEdits, handleImages, handleSpeech, handleTranscription } from '#sim/api/media.ts'
import { handleCountTokens, handleMessages } from '#sim/api/messages.ts'
import { handleChat, handleCompletions, type RunGeneration } from '#sim/api/openai.ts'
import { handleResponses } from '#sim/api/responses.ts'
import { handleDetokenize, handleTokenize } from '#sim/api/tokens-api.ts'
import type { Call } from '#sim/call.ts'
import type { EngineObserver } from '#sim/live-engine.ts'
import { type EngineHistograms, engineHistograms } from './engine-histograms.ts'
import { HttpMetrics } from './http-metrics.ts'
import { kvEventSourcesBody } from './kv-event-sources.ts'
import { LoraSeries } from './lora-series.ts'
import { NixlConnector } from './nixl.ts'
import type { Personality } from './personality.ts'
import { adminRoute, modelRoute, poolingRoute } from './routes.ts'
import { handleLoadAdapter, handleUnloadAdapter } from './vllm-lora.ts'
import { vllmBounds, vllmMetricsPage } from './vllm-metrics.ts'
import { modelCards } from './vllm-models.ts'
import { vllmOldMetricsPage } from './vllm-old-metrics.ts'
import { VLLM_VERSION, vllmProtocol } from './vllm-protocol.ts'
import { vllmChat, vllmCompletions } from './vllm-shapes.ts'

/** Type of the pages the Python client writes. */
const METRICS_TYPE = 'text/plain; version=1.0.0; charset=utf-8'

/** vLLM 0.32, with runtime LoRA updating and server load tracking on. */
export function vllmPersonality(core: SimCore): Personality {
  let rejected = 0
  const protocol = vllmProtocol(() => rejected++)
  const histograms = rankHistograms(core)
  const http = new HttpMetrics()
  const lora = new LoraSeries()
  const nixl = new NixlConnector(core)
  const updateLora = () => lora.update(core.engine.activeAdapters(), core.clock.wallMs() / 1000)
  const observer = rankObserver(histograms, updateLora)
  const renderPage = core.settings.vllmMetrics === 'old' ? vllmOldMetricsPage : vllmMetricsPage
  const page = () => renderPage({ core, histograms, http, lora, rejected })
  return {
    routes: [
      ...modelRoutes(protocol, nixl.run),
      ...nixl.routes(),
      ...adapterRoutes(protocol),
      ...adminRoutes(core, page),
    ],
    observer: {
      ...observer,
      onAdmitted(ticket) {
        observer.onAdmitted(ticket)
        nixl.onAdmitted(ticket)
      },
    },
    isProtected: (path) => /^\/(v1|v2|inference|cohere)\//.test(path),
    refuseHttp: ({ call, reply }, status, allowed) => {
      if (isPreflight(call)) return reply.send(400, PREFLIGHT_HEADERS, 'Disallowed CORS origin')
      if (status === 401) return reply.json(401, { error: 'Unauthorized' })
      const allow = status === 405 ? allowed.join(', ') : undefined
      reply.json(status, { detail: HTTP_DETAILS[status] }, { allow })
    },
    commonHeaders: ({ headers }) => ({
      server: 'uvicorn',
      vary: 'Origin',
      'x-request-id': core.settings.echoRequestId
        ? (headers.get('x-request-id') ?? core.newId() + core.newId())
        : undefined,
    }),
    recordHttp(record) {
      if (record.method !== 'OPTIONS') http.record(record)
    },
    close: () => nixl.close(),
  }
}

/** Paths that a server without `--enable-scale-out` has and refuses. */
const SCALE_OUT_PATHS = ['/v1/chat/completions/render', '/v1/completions/render', '/inference/v1/generate']

const SCALE_OUT_OFF: Problem = {
  status: 403,
  type: 'PermissionDeniedError',
  message: 'Scale-out endpoints are disabled. Restart vllm serve with --enable-scale-out to enable them.',
  param: null,
}

function modelRoutes(protocol: Protocol, run: RunGeneration): Route[] {
  return [
    modelRoute('/v1/chat/completions', (exchange) => handleChat(exchange, protocol, vllmChat, run)),
    modelRoute('/v1/completions', (exchange) => handleCompletions(exchange, protocol, vllmCompletions, run)),
    modelRoute('/v1/responses', (exchange) => handleResponses(exchange, protocol)),
    modelRoute('/v1/messages', (exchange) => handleMessages(exchange, protocol)),
    modelRoute('/v1/messages/count_tokens', (exchange) => handleCountTokens(exchange, protocol)),
    poolingRoute('/v1/embeddings', 'embeddings', protocol),
    poolingRoute('/v1/rerank', 'rerank', protocol),
    poolingRoute('/rerank', 'rerank', protocol),
    poolingRoute('/v1/score', 'score', protocol),
    poolingRoute('/score', 'score', protocol),
    poolingRoute('/classify', 'classify', protocol),
    poolingRoute('/pooling', 'pooling', protocol),
    ...SCALE_OUT_PATHS.map((path) => modelRoute(path, (exchange) => protocol.refuse(exchange, SCALE_OUT_OFF))),
    modelRoute('/tokenize', (exchange) => handleTokenize(exchange, protocol)),
    modelRoute('/detokenize', (exchange) => handleDetokenize(exchange, protocol)),
    modelRoute('/v1/audio/transcriptions', (exchange) => handleTranscription(exchange, protocol)),
    modelRoute('/v1/audio/translations', (exchange) => handleTranscription(exchange, protocol)),
    modelRoute('/v1/audio/speech', (exchange) => handleSpeech(exchange, protocol)),
    modelRoute('/v1/images/generations', (exchange) => handleImages(exchange, protocol)),
    modelRoute('/v1/images/edits', (exchange) => handleImageEdits(exchange, protocol)),
  ]
}

function adapterRoutes(protocol: Protocol): Route[] {
  return [
    adminRoute('POST', '/v1/load_lora_adapter', (exchange) => handleLoadAdapter(exchange, protocol)),
    adminRoute('POST', '/v1/unload_lora_adapter', (exchange) => handleUnloadAdapter(exchange, protocol)),
  ]
}

function adminRoutes(core: SimCore, page: () => string): Route[] {
  const answerEmpty = ({ reply }: Exchange) => reply.send(200, {}, '')
  return [
    adminRoute('GET', '/v1/models', ({ reply }) => reply.json(200, { object: 'list', data: modelCards(core) })),
    adminRoute('GET', '/health', answerEmpty),
    adminRoute('GET', '/ping', answerEmpty),
    adminRoute('POST', '/ping', answerEmpty),
    adminRoute('GET', '/version', ({ reply }) => reply.json(200, { version: VLLM_VERSION })),
    adminRoute('GET', '/is_sleeping', ({ reply }) => reply.json(200, { is_sleeping: false })),
    adminRoute('GET', '/load', ({ reply }) => reply.json(200, { server_load: core.openCalls() })),
    adminRoute('GET', '/metrics', ({ reply }) => reply.send(200, { 'content-type': METRICS_TYPE }, page())),
    adminRoute('GET', '/kv_event_sources', ({ reply }) => reply.json(200, kvEventSourcesBody(core.kvEventSources()))),
    adminRoute('POST', '/reset_prefix_cache', ({ reply }) =>
      reply.json(200, { success: core.engine.clearPrefixCache() }),
    ),
  ]
}

/** A page's question whether it may ask: answered by a layer in front of the rest, which knows no allowed page. */
function isPreflight({ method, headers }: Call): boolean {
  return method === 'OPTIONS' && headers.has('origin') && headers.has('access-control-request-method')
}

const PREFLIGHT_HEADERS = {
  'content-type': 'text/plain; charset=utf-8',
  'access-control-allow-methods': 'DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, QUERY',
  'access-control-max-age': '600',
  vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers, Access-Control-Request-Private-Network',
}

const HTTP_DETAILS = { 404: 'Not Found', 405: 'Method Not Allowed', 413: 'Request Entity Too Large' } as const

function rankHistograms({ settings }: SimCore): [EngineHistograms, ...EngineHistograms[]] {
  const make = () => engineHistograms(vllmBounds(settings.maxModelLen))
  return [make(), ...Array.from({ length: settings.ranks - 1 }, make)]
}

/** Fills the histograms of each rank; `afterStep` is called after each step of any. */
function rankObserver(histograms: readonly EngineHistograms[], afterStep: () => void): EngineObserver {
  return {
    onAdmitted: (ticket) => histograms[ticket.rank]?.observer.onAdmitted(ticket),
    onToken: (ticket, gapMs) => histograms[ticket.rank]?.observer.onToken(ticket, gapMs),
    onFinished: (ticket) => histograms[ticket.rank]?.observer.onFinished(ticket),
    onStep(tokens, rank, step) {
      histograms[rank]?.observer.onStep(tokens, rank, step)
      afterStep()
    },
  }
}
