import { type Refusal, refusals } from '#core/refusal.ts'

/** Error object of the Anthropic API: `{"type":"error","error":{type,message}}`. */
export function anthropicError(refusal: Refusal): string {
  const { anthropicType } = refusals[refusal.reason]
  return JSON.stringify({ type: 'error', error: { type: anthropicType, message: refusal.message } })
}

/** Error event of an Anthropic stream. */
export function anthropicErrorEvent(refusal: Refusal): string {
  return `event: error\ndata: ${anthropicError(refusal)}\n\n`
}
