import type { Exchange, Protocol, Route, SimCore } from '#sim/api/exchange.ts'
import { handleImageEdits, handleImages, handleSpeech, handleTranscription } from '#sim/api/media.ts'
import { handleCountTokens, handleMessages } from '#sim/api/messages.ts'
import { handleChat, handleCompletions } from '#sim/api/openai.ts'
import { handleResponses } from '#sim/api/responses.ts'
import { handleDetokenize, handleTokenize } from '#sim/api/tokens-api.ts'
import type { EngineObserver } from '#sim/engine.ts'
import { engineHistograms } from './engine-histograms.ts'
import { HttpMetrics } from './http-metrics.ts'
import { LoraSeries } from './lora-series.ts'
import type { Personality } from './personality.ts'
import { adminRoute, modelRoute, poolingRoute } from './routes.ts'
import { handleLoadAdapter, handleUnloadAdapter } from './vllm-lora.ts'
import { vllmBounds, vllmMetricsPage } from './vllm-metrics.ts'
import { modelCards } from './vllm-models.ts'
import { notFound, VLLM_VERSION, vllmProtocol } from './vllm-protocol.ts'
import { vllmChat, vllmCompletions } from './vllm-shapes.ts'

/** Type of the pages the Python client writes. */
const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** vLLM 0.32, with runtime LoRA updating and server load tracking on. */
export function vllmPersonality(core: SimCore): Personality {
  let rejected = 0
  const protocol = vllmProtocol(() => rejected++)
  const histograms = engineHistograms(vllmBounds(core.settings.maxModelLen))
  const http = new HttpMetrics()
  const lora = new LoraSeries()
  lora.update([], core.startedS)
  const page = () => vllmMetricsPage({ core, histograms, http, lora, rejected })
  return {
    routes: [...modelRoutes(protocol), ...adapterRoutes(protocol), ...adminRoutes(core, protocol, page)],
    observer: withLora(histograms.observer, core, lora),
    isProtected: (path) => /^\/(v1|v2|inference|cohere)\//.test(path),
    refuseHttp: ({ reply }, status) => {
      if (status === 401) return reply.json(401, { error: 'Unauthorized' })
      reply.json(status, { detail: HTTP_DETAILS[status] })
    },
    commonHeaders: () => ({ server: 'uvicorn' }),
    recordHttp: (record) => http.record(record),
  }
}

function modelRoutes(protocol: Protocol): Route[] {
  return [
    modelRoute('/v1/chat/completions', (exchange) => handleChat(exchange, protocol, vllmChat)),
    modelRoute('/v1/completions', (exchange) => handleCompletions(exchange, protocol, vllmCompletions)),
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

function adminRoutes(core: SimCore, protocol: Protocol, page: () => string): Route[] {
  const answerEmpty = ({ reply }: Exchange) => reply.send(200, {}, '')
  return [
    adminRoute('GET', '/v1/models', ({ reply }) => reply.json(200, { object: 'list', data: modelCards(core) })),
    adminRoute('GET', '/v1/models/{id}', (exchange) => answerModelCard(exchange, protocol)),
    adminRoute('GET', '/health', answerEmpty),
    adminRoute('GET', '/ping', answerEmpty),
    adminRoute('POST', '/ping', answerEmpty),
    adminRoute('GET', '/version', ({ reply }) => reply.json(200, { version: VLLM_VERSION })),
    adminRoute('GET', '/load', ({ reply }) => reply.json(200, { server_load: core.openCalls() })),
    adminRoute('GET', '/metrics', ({ reply }) => reply.send(200, { 'content-type': METRICS_TYPE }, page())),
    adminRoute('POST', '/reset_prefix_cache', (exchange) => {
      core.engine.clearPrefixCache()
      answerEmpty(exchange)
    }),
  ]
}

const HTTP_DETAILS = { 404: 'Not Found', 405: 'Method Not Allowed', 413: 'Request Entity Too Large' } as const

function answerModelCard(exchange: Exchange, protocol: Protocol): void {
  const { call, core, reply } = exchange
  const id = decodedTail(call.path, '/v1/models/')
  const card = modelCards(core).find((each) => each.id === id)
  if (card !== undefined) return reply.json(200, card)
  protocol.refuse(exchange, notFound(`The model \`${id}\` does not exist.`, 'model'))
}

/** What follows `prefix` in a path, percent-decoded where that is possible. */
function decodedTail(path: string, prefix: string): string {
  const tail = path.slice(prefix.length)
  try {
    return decodeURIComponent(tail)
  } catch {
    return tail
  }
}

function withLora(observer: EngineObserver, core: SimCore, lora: LoraSeries): EngineObserver {
  return {
    ...observer,
    onStep(tokens) {
      observer.onStep(tokens)
      lora.update(core.engine.activeAdapters(), core.clock.wallMs() / 1000)
    },
  }
}
