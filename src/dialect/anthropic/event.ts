import { type EventKind, isJsonRecord, type JsonRecord } from '#dialect/dialect.ts'
import { openaiEventKind } from '#dialect/openai/event.ts'

/** Errors that any endpoint would answer with (docs.anthropic.com, errors); the others may pass. */
const requestErrorTypes: ReadonlySet<unknown> = new Set([
  'invalid_request_error',
  'authentication_error',
  'billing_error',
  'permission_error',
  'not_found_error',
  'request_too_large',
])

/** What an event of an Anthropic stream is. Engines that speak the API may still report errors the OpenAI way. */
export function anthropicEventKind(record: JsonRecord): EventKind {
  const { type, error } = record
  if (type === 'error') return isJsonRecord(error) && requestErrorTypes.has(error.type) ? 'content' : 'error'
  if (type === 'message_start' || type === 'ping') return 'preamble'
  if (type === 'content_block_start') return isEmptyBlock(record.content_block) ? 'preamble' : 'content'
  if (type === 'content_block_delta') return isEmptyDelta(record.delta) ? 'preamble' : 'content'
  return typeof type === 'string' ? 'content' : openaiEventKind(record)
}

/** A block of text or thought whose text is still to come; others (tools, results) say something by beginning. */
function isEmptyBlock(block: unknown): boolean {
  if (!isJsonRecord(block)) return false
  return (block.type === 'text' && block.text === '') || (block.type === 'thinking' && block.thinking === '')
}

function isEmptyDelta(delta: unknown): boolean {
  return isJsonRecord(delta) && (delta.text === '' || delta.thinking === '' || delta.partial_json === '')
}
