import type { Exchange } from '#contracts/exchange.ts'
import type { DialectName } from '#core/api.ts'
import { type Refusal, refusals } from '#core/refusal.ts'
import { apiOfPath } from '#dialect/apis.ts'
import { dialectOf } from '#dialect/dialects.ts'
import { methodOf, pathOf } from '#parse/parse-request.ts'

/**
 * Answers a refusal in the shape the client's library expects, with the machine-readable reason as a header. Returns
 * the status.
 */
export function answerRefusal(exchange: Exchange, refusal: Refusal, requestId: string): number {
  const row = refusals[refusal.reason]
  const headers = ['content-type', 'application/json', 'x-request-id', requestId, 'x-infer-reason', refusal.reason]
  if (refusal.retryAfterS !== undefined) headers.push('retry-after', String(refusal.retryAfterS))
  if (refusal.reason === 'method-not-allowed') headers.push('allow', allowedMethods(exchange.head.target))
  if (refusal.reason === 'websocket-required') headers.push('upgrade', 'websocket')
  const body = dialectOf(dialectOfTarget(exchange.head.target)).errorBody(refusal)
  exchange.reply(row.http, headers, Buffer.from(body))
  return row.http
}

/** Answers a JSON document of the gateway's own. */
export function answerJson(exchange: Exchange, status: number, body: Buffer, requestId: string): void {
  exchange.reply(status, ['content-type', 'application/json', 'x-request-id', requestId], body)
}

/** The API family of a target: what is no known path gets the OpenAI shape, which most clients read. */
function dialectOfTarget(target: string): DialectName {
  const path = pathOf(target)
  return apiOfPath(path)?.dialect ?? (path.startsWith('/v1/messages') ? 'anthropic' : 'openai')
}

function allowedMethods(target: string): string {
  if (target.startsWith('/v1/models')) return 'GET, HEAD'
  const api = apiOfPath(pathOf(target))
  return api === undefined ? 'POST' : methodOf(api)
}
