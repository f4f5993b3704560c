import { type EventKind, isJsonRecord, type JsonRecord } from '#dialect/dialect.ts'

/** Events of the Responses API that come before anything was generated. */
const responsesPreamble: ReadonlySet<unknown> = new Set([
  'response.created',
  'response.queued',
  'response.in_progress',
  'response.output_item.added',
  'response.content_part.added',
])

/**
 * What an event of an OpenAI stream is. Errors come in these forms (model-servers.md 1.1.3, 1.3): vLLM and SGLang
 * `{"error":{message,type,code}}`, older ones `{"object":"error",message,code}`, TGI `{"error":{message,
 * http_status_code}}` in chats and `{"error":"...","error_type":"..."}` in /generate_stream; the Responses API
 * `{"type":"error",...}` and `{"type":"response.failed",...}`.
 */
export function openaiEventKind(record: JsonRecord): EventKind {
  const error = errorOf(record)
  if (error !== undefined) return isRequestsFault(error) ? 'content' : 'error'
  if (typeof record.type === 'string' && record.type.startsWith('response.')) {
    return responsesPreamble.has(record.type) || record.delta === '' ? 'preamble' : 'content'
  }
  if (!Array.isArray(record.choices)) return 'content'
  // A chunk of usage alone ends a stream; an empty one without is a filter's report or a keep-alive.
  if (record.choices.length === 0) return isJsonRecord(record.usage) ? 'content' : 'preamble'
  return record.choices.some(hasContent) ? 'content' : 'preamble'
}

/** The error in an event, or undefined when it is none. */
function errorOf(record: JsonRecord): JsonRecord | undefined {
  if (isJsonRecord(record.error)) return record.error
  if (typeof record.error === 'string' || record.object === 'error' || record.type === 'error') return record
  if (record.type !== 'response.failed') return undefined
  const { response } = record
  return isJsonRecord(response) && isJsonRecord(response.error) ? response.error : record
}

/** Names that vLLM, TGI and OpenAI have for what is wrong with a request. */
const requestErrorTypes: ReadonlySet<unknown> = new Set([
  'validation',
  'BadRequestError',
  'NotFoundError',
  'invalid_request_error',
  'invalid_prompt',
  'context_length_exceeded',
])

/** 4xx that are not the request's doing: too slow, too much, and TGI's failure to generate (model-servers.md 1.3). */
const enginesOwn: ReadonlySet<number> = new Set([408, 424, 429])

/** Whether any endpoint would say the same: a 4xx that came too late for a status. */
function isRequestsFault(error: JsonRecord): boolean {
  const status = Number(error.code ?? error.http_status_code)
  if (status >= 400 && status < 500) return !enginesOwn.has(status)
  return [error.type, error.error_type, error.code].some((name) => requestErrorTypes.has(name))
}

function hasContent(choice: unknown): boolean {
  if (!isJsonRecord(choice)) return true
  if (choice.finish_reason !== null && choice.finish_reason !== undefined) return true
  const { delta } = choice
  if (!isJsonRecord(delta)) return choice.text !== ''
  for (const name in delta) if (name !== 'role' && isFilled(delta[name])) return true
  return false
}

function isFilled(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0
  return value !== '' && value !== null && value !== undefined
}
