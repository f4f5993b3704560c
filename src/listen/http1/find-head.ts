import type { Limits } from '#config/snapshot.ts'
import { headerOf } from '#core/header-list.ts'
import { type Refusal, type RefusalReason, refuse } from '#core/refusal.ts'
import {
  isHeadError,
  type ParsedRequestHead,
  parseRequestHead,
  type RequestHeadError,
} from '#wire/http1/request-head.ts'

/** A complete head at the front of the input. */
export interface FoundHead {
  readonly head: ParsedRequestHead
  /** Offset of the first byte after the head. */
  readonly end: number
  readonly expectsContinue: boolean
}

/** The interim answer to `expect: 100-continue`. */
export const continueLine = 'HTTP/1.1 100 Continue\r\n\r\n'

const lf = 0x0a
const cr = 0x0d

/** The head at the front of `data`: a head, a refusal, or undefined when more bytes are needed. */
export function findHead(data: Buffer, limits: Limits): FoundHead | Refusal | undefined {
  // RFC 9112 2.2: one empty line before the request line is ignored.
  const start = data[0] === cr && data[1] === lf ? 2 : 0
  const end = data.indexOf('\r\n\r\n', start, 'latin1')
  if (end < 0) return incomplete(data, start, limits)
  if (end + 4 - start > limits.headBytes) return headTooLarge(limits)
  const head = parseRequestHead(data.toString('latin1', start, end + 2), limits.headerCount)
  if (isHeadError(head)) return refusalOf(head, limits)
  const isContinue = head.minor === 1 && headerOf(head.headers, 'expect')?.toLowerCase() === '100-continue'
  return { head, end: end + 4, expectsContinue: isContinue }
}

/** A head that can no longer become a good one is refused now, not at the timeout. */
function incomplete(data: Buffer, start: number, limits: Limits): Refusal | undefined {
  if (data.length - start > limits.headBytes) return headTooLarge(limits)
  for (let at = data.indexOf(lf, start); at >= 0; at = data.indexOf(lf, at + 1)) {
    if (at === start || data[at - 1] !== cr) return refuse('malformed-request', 'A header line does not end with CRLF.')
  }
  return undefined
}

function headTooLarge(limits: Limits): Refusal {
  return refuse(
    'head-too-large',
    `Request line and headers may have ${limits.headBytes} bytes and ${limits.headerCount} fields.`,
  )
}

const reasons: Readonly<Record<RequestHeadError['kind'], RefusalReason>> = {
  syntax: 'malformed-request',
  version: 'unsupported-http-version',
  coding: 'unsupported-transfer-coding',
  count: 'head-too-large',
}

function refusalOf(error: RequestHeadError, limits: Limits): Refusal {
  if (error.kind === 'count') return headTooLarge(limits)
  return refuse(reasons[error.kind], `The request is malformed: ${error.detail}.`)
}
