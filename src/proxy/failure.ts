import { headerOf } from '#core/header-list.ts'
import type { RefusalReason } from '#core/refusal.ts'
import type { ParsedResponseHead } from '#wire/http1/response-head.ts'

/** Statuses by which an engine says "not now": another endpoint may do better. A 500 is not one: it may be the prompt. */
export function isRetryableStatus(status: number): boolean {
  return status === 429 || status === 502 || status === 503 || status === 504
}

const maxRestMs = 60_000

/** How long the engine asked to be left alone, at most a minute; 0 when it did not say (dates are not read). */
export function retryAfterMs(head: ParsedResponseHead): number {
  const value = headerOf(head.headers, 'retry-after')
  if (value === undefined || !/^\d{1,6}$/.test(value)) return 0
  return Math.min(Number(value) * 1000, maxRestMs)
}

/** What the client is told about a failed upstream: never an address. */
export function failureMessage(reason: RefusalReason): string {
  switch (reason) {
    case 'upstream-unreachable':
      return 'The model server did not accept a connection. Try again.'
    case 'upstream-connect-timeout':
      return 'The connection to the model server was not made in time. Try again.'
    case 'upstream-first-byte-timeout':
      return 'The model server did not begin its answer in time. Try again later, or ask for less.'
    case 'upstream-idle-timeout':
      return 'The model server stalled in the middle of its answer. Try again.'
    case 'upstream-malformed':
      return 'The model server sent something that is not a valid HTTP response.'
    default:
      return 'The model server closed the connection before its answer was complete. Try again.'
  }
}
