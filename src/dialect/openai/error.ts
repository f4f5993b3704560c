import type { ApiName } from '#core/api.ts'
import { type Refusal, refusals } from '#core/refusal.ts'

/** Error object of the OpenAI API: `{"error":{message,type,param,code}}`. */
export function openaiError(refusal: Refusal): string {
  const { type, code } = refusals[refusal.reason]
  return JSON.stringify({ error: { message: refusal.message, type, param: refusal.param ?? null, code } })
}

/**
 * Error event of an OpenAI stream. Chat and completion clients raise on a data object with `error`; Responses clients
 * know an event of type `error`. No `[DONE]` follows: the stream did not complete.
 */
export function openaiErrorEvent(refusal: Refusal, api: ApiName): string {
  if (api !== 'responses') return `data: ${openaiError(refusal)}\n\n`
  const { code } = refusals[refusal.reason]
  const event = { type: 'error', code, message: refusal.message, param: refusal.param ?? null }
  return `event: error\ndata: ${JSON.stringify(event)}\n\n`
}
