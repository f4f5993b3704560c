import { headerOf } from '#core/header-list.ts'
import type { RefusalReason } from '#core/refusal.ts'
import type { ParsedResponseHead } from '#wire/http1/response-head.ts'

/** An endpoint that broke off or said it cannot serve: it may be the endpoint, or what the request does to any. */
export function isUnableStatus(status: number): boolean {
  return status >= 502 && status <= 504
}

/** Statuses by which an engine says "not now": another endpoint may do better. A 500 is not one: it may be the prompt. */
export function isRetryableStatus(status: number): boolean {
  return status === 429 || status === 502 || status === 503 || status === 504
}

/** What a system says when it has no file descriptors, ports or memory left to connect with. */
const ownShortage = /\b(?:EMFILE|ENFILE|EADDRNOTAVAIL|ENOBUFS|ENOMEM)\b/

/** Whether a connection failed for want of something on our side, which no endpoint is to blame for. */
export function isOwnShortage(detail: string): boolean {
  return ownShortage.test(detail)
}

const maxRestMs = 60_000

/** The three forms of RFC 9110 5.6.7; the last one leaves out that it is UTC. */
const httpDate =
  /^[A-Z][a-z]{2,8}(?:, \d\d[ -][A-Z][a-z]{2}[ -](?:\d\d){1,2}| [A-Z][a-z]{2} [ \d]\d) \d\d:\d\d:\d\d(?: GMT| \d{4})$/

/**
 * How long the engine asked to be left alone (`retry-after`, seconds or a date, RFC 9110 10.2.3), at most a minute; 0
 * when it did not say. `wallMs` is Unix time.
 */
export function retryAfterMs(head: ParsedResponseHead, wallMs: number): number {
  const value = headerOf(head.headers, 'retry-after')
  if (value === undefined) return 0
  if (/^\d{1,10}$/.test(value)) return Math.min(Number(value) * 1000, maxRestMs)
  if (!httpDate.test(value)) return 0
  const atMs = Date.parse(value.endsWith('GMT') ? value : `${value} GMT`)
  return Number.isNaN(atMs) ? 0 : Math.min(Math.max(0, atMs - wallMs), maxRestMs)
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
    case 'upstream-error-event':
      return 'The model server began its answer with an error. Try again.'
    case 'upstream-not-websocket':
      return 'The model server did not switch to WebSocket as it should.'
    case 'upstream-malformed':
      return 'The model server sent something that is not a valid HTTP response.'
    default:
      return 'The model server closed the connection before its answer was complete. Try again.'
  }
}

/** Whether an endpoint said nothing for too long. */
export function isTimeout(reason: RefusalReason): boolean {
  return reason === 'upstream-first-byte-timeout' || reason === 'upstream-idle-timeout'
}
