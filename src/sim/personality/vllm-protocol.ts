import type { BodyProblem, FieldProblem } from '#sim/api/body.ts'
import type { Exchange, Problem, Protocol, SimCore } from '#sim/api/exchange.ts'
import type { ReplyHeaders } from '#sim/reply.ts'
import { inspectVllmBody } from './vllm-checks.ts'

/** The version whose texts these are: captured from a running server. */
export const VLLM_VERSION = '0.32.0'

/** Words errors, models and limits as vLLM 0.32 does. `onRejected` is told of requests refused for a full queue. */
export function vllmProtocol(onRejected: () => void): Protocol {
  return {
    refuse,
    refuseBody,
    chooseModel(core, name) {
      if (name === undefined || name === '') return { name: core.settings.baseModel, adapter: undefined }
      if (core.settings.models.includes(name)) return { name, adapter: undefined }
      if (core.adapters.has(name)) return { name, adapter: name }
      const aliases = core.settings.models.join(', ')
      return notFound(`The model \`${name}\` does not exist. Valid aliases: ${aliases}.`, 'model')
    },
    inspect: inspectVllmBody,
    overflow: contextProblem,
    overload(core) {
      if (core.engine.openCount < core.settings.maxQueuedReqs) return undefined
      onRejected()
      const message =
        'The engine is currently busy and cannot accept new requests. Please try again later or on a different instance.'
      return { status: 503, type: 'Service Unavailable', message, param: null }
    },
    headers: unaryHeaders,
  }
}

/** A 404 in vLLM's words. */
export function notFound(message: string, param: string | null = null): Problem {
  return { status: 404, type: 'NotFoundError', message, param }
}

function refuse({ call, reply }: Exchange, problem: Problem): void {
  const { status, type, message, param } = problem
  if (call.path.startsWith('/v1/messages')) reply.json(status, { type: 'error', error: { type, message } })
  else reply.json(status, { error: { message, type, param, code: status } })
}

/** Complaints that a validation error shows. */
const MOST_ENTRIES = 10

function refuseBody({ reply }: Exchange, problem: BodyProblem): void {
  const entries = validationEntries(problem)
  const noun = entries.length === 1 ? 'error' : 'errors'
  const shown = entries.slice(0, MOST_ENTRIES).map(({ text }) => `\n  ${text}`)
  const rest = entries.length - shown.length
  const more = rest > 0 ? `\n  ...and ${rest} more ${noun}` : ''
  const message = `${entries.length} validation ${noun}:${shown.join('')}${more}`
  reply.json(400, { error: { message, type: 'Bad Request', param: entries[0]?.param ?? null, code: 400 } })
}

function validationEntries(problem: BodyProblem): { param: string | null; text: string }[] {
  if (problem.kind === 'media-type') {
    return [{ param: null, text: "Unsupported Media Type: Only 'application/json' is allowed" }]
  }
  if (problem.kind === 'empty') {
    return [{ param: 'body', text: "{'type': 'missing', 'loc': 'body', 'msg': 'Field required', 'input': 'None'}" }]
  }
  if (problem.kind === 'json') {
    const param = `body.${problem.position}`
    const text = `{'type': 'json_invalid', 'loc': '${param}', 'msg': 'JSON decode error', 'input': '<dict of 0 items>', 'ctx': {'error': '${problem.reason}'}}`
    return [{ param, text }]
  }
  return problem.fields.map(fieldEntry)
}

function fieldEntry({ type, field, message, input }: FieldProblem): { param: string; text: string } {
  const param = field === '' ? 'body' : `body.${field}`
  return { param, text: `{'type': '${type}', 'loc': '${param}', 'msg': '${message}', 'input': ${input}}` }
}

/** Characters of the simulator's tokens, and of the longest one of a usual vocabulary: longer texts are not even tokenized. */
const CHARS_PER_TOKEN = 4
const LONGEST_TOKEN_CHARS = 128

function contextProblem(core: SimCore, promptTokens: number, maxTokens: number | undefined): Problem | undefined {
  const limit = core.settings.maxModelLen
  const bad = (message: string, param: string): Problem => ({ status: 400, type: 'BadRequestError', message, param })
  if (maxTokens !== undefined && maxTokens > limit) {
    const message = `max_tokens=${maxTokens} cannot be greater than max_model_len=${limit}. Please request fewer output tokens. (parameter=max_tokens, value=${maxTokens})`
    return bad(message, 'max_tokens')
  }
  const start = `This model's maximum context length is ${limit} tokens. However, `
  const promptChars = promptTokens * CHARS_PER_TOKEN
  if (promptChars > limit * LONGEST_TOKEN_CHARS) {
    const most = limit * LONGEST_TOKEN_CHARS
    const message = `${start}your prompt contains ${promptChars} characters (more than ${most} characters, which is the upper bound for ${limit} input tokens). Please reduce the length of the input prompt. (parameter=input_text, value=${promptChars})`
    return bad(message, 'input_text')
  }
  if (promptTokens > limit) {
    // The engine stops counting one past the limit.
    const counted = limit + 1
    const message = `${start}your prompt contains at least ${counted} input tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input prompt. (parameter=input_tokens, value=${counted})`
    return bad(message, 'input_tokens')
  }
  const wanted = maxTokens ?? 1
  if (promptTokens + wanted <= limit) return undefined
  const message = `${start}you requested ${wanted} output tokens and your prompt contains at least ${promptTokens} input tokens, for a total of at least ${promptTokens + wanted} tokens. Please reduce the length of the input prompt or the number of requested output tokens. (parameter=input_tokens, value=${promptTokens})`
  return bad(message, 'input_tokens')
}

/** The load when the client asked for it (ORCA), on unary answers only. */
function unaryHeaders({ core, call }: Exchange): ReplyHeaders {
  const format = call.headers.get('endpoint-load-metrics-format')?.toUpperCase()
  return {
    'endpoint-load-metrics': format === 'JSON' || format === 'TEXT' ? orcaLoad(core, format) : undefined,
  }
}

function orcaLoad(core: SimCore, format: 'JSON' | 'TEXT'): string {
  const { waiting, kvUse } = core.engine.stats()
  const decimal = (value: number) => (Number.isInteger(value) ? `${value}.0` : String(value))
  if (format === 'TEXT') {
    return `TEXT named_metrics.num_requests_waiting=${decimal(waiting)}, named_metrics.kv_cache_usage_perc=${decimal(kvUse)}`
  }
  return `JSON {"named_metrics": {"num_requests_waiting": ${decimal(waiting)}, "kv_cache_usage_perc": ${decimal(kvUse)}}}`
}
