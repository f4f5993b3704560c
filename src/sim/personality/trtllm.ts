import type { BodyProblem } from '#sim/api/body.ts'
import type { Exchange, Problem, Protocol, Route, SimCore } from '#sim/api/exchange.ts'
import { handleChat, handleCompletions } from '#sim/api/openai.ts'
import { handleResponses } from '#sim/api/responses.ts'
import { engineHistograms } from './engine-histograms.ts'
import { answerHealthGenerate } from './health-generate.ts'
import { IterationLog } from './iteration-log.ts'
import type { Personality } from './personality.ts'
import { pydanticErrors } from './pydantic-errors.ts'
import { adminRoute, modelRoute } from './routes.ts'
import { trtllmMetricsPage } from './trtllm-metrics.ts'
import { trtllmChat, trtllmCompletions } from './trtllm-shapes.ts'
import { vllmBounds } from './vllm-metrics.ts'

const VERSION = '1.2.0'

/** `trtllm-serve` of TensorRT-LLM, with performance metrics on. It takes any model name and serves the one it has. */
export function trtllmPersonality(core: SimCore): Personality {
  // Its collector has the bounds of vLLM.
  const histograms = engineHistograms(vllmBounds(core.settings.maxModelLen))
  const iterations = new IterationLog(core)
  const { observer } = histograms
  return {
    routes: [...modelRoutes(), ...adminRoutes(core, () => trtllmMetricsPage(core, histograms), iterations)],
    observer: {
      ...observer,
      onStep(tokens, rank, step) {
        observer.onStep(tokens, rank, step)
        iterations.add(step)
      },
    },
    isProtected: () => false,
    refuseHttp: ({ reply }, status) => {
      if (status === 401) return reply.json(401, { error: 'Unauthorized' })
      reply.json(status, { detail: HTTP_DETAILS[status] })
    },
    commonHeaders: () => ({ server: 'uvicorn' }),
    recordHttp: () => {},
  }
}

const HTTP_DETAILS = { 404: 'Not Found', 405: 'Method Not Allowed', 413: 'Request Entity Too Large' } as const

function modelRoutes(): Route[] {
  return [
    modelRoute('/v1/chat/completions', (exchange) => handleChat(exchange, PROTOCOL, trtllmChat)),
    modelRoute('/v1/completions', (exchange) => handleCompletions(exchange, PROTOCOL, trtllmCompletions)),
    modelRoute('/v1/responses', (exchange) => handleResponses(exchange, PROTOCOL)),
    {
      method: 'GET',
      path: '/health_generate',
      isModelCall: true,
      handle: (exchange) => answerHealthGenerate(exchange, 'Generation health check OK'),
    },
  ]
}

function adminRoutes(core: SimCore, page: () => string, iterations: IterationLog): Route[] {
  const { models } = core.settings
  const created = Math.floor(core.startedS)
  const cards = models.map((id) => ({ id, object: 'model', created, owned_by: 'tensorrt_llm' }))
  return [
    adminRoute('GET', '/health', ({ reply }) => reply.send(200, {}, '')),
    adminRoute('GET', '/version', ({ reply }) => reply.json(200, { version: VERSION })),
    adminRoute('GET', '/v1/models', ({ reply }) => reply.json(200, { object: 'list', data: cards })),
    adminRoute('GET', '/metrics', ({ reply }) => reply.json(200, iterations.drain())),
    adminRoute('GET', '/prometheus/metrics', ({ reply }) =>
      reply.send(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }, page()),
    ),
  ]
}

const PROTOCOL: Protocol = {
  refuse({ reply }: Exchange, { status, type, message, param }: Problem) {
    reply.json(status, { object: 'error', message, type, param, code: status })
  },
  refuseBody: ({ reply }: Exchange, problem: BodyProblem) => reply.json(400, { error: pydanticErrors(problem) }),
  chooseModel: (core, name) => ({ name: name ?? core.settings.baseModel, adapter: undefined }),
  overflow(core, promptTokens, maxTokens) {
    const limit = core.settings.maxModelLen
    if (maxTokens !== undefined && maxTokens < 0) return bad(`max_tokens must be greater than 0, got ${maxTokens}`)
    const room = limit - promptTokens
    if (room > 0 && (maxTokens ?? 1) <= room) return undefined
    if (room > 0) {
      return bad(
        `The sum of prompt length (${promptTokens}) and max_tokens (${maxTokens}) should not exceed max_seq_len (${limit})`,
      )
    }
    return bad(
      `\`default_max_tokens\` (${room}) must be greater than 0, \`default_max_tokens\` (${room}) = max_seq_len (${limit}) - \`splited_prompt_len\` (${promptTokens}) - \`query_token_len\` (0)`,
    )
  },
  overload(core) {
    if (core.engine.openCount < core.settings.maxQueuedReqs) return undefined
    return { status: 503, type: 'ServiceUnavailableError', message: 'The request queue is full.', param: null }
  },
  headers: () => ({}),
}

function bad(message: string): Problem {
  return { status: 400, type: 'BadRequestError', message, param: null }
}
