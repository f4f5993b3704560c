import type { Limits } from '#config/snapshot.ts'
import { type HeaderList, headerOf, headerValues } from '#core/header-list.ts'
import { type Refusal, type RefusalReason, refuse } from '#core/refusal.ts'
import { charClass, charTable } from '#wire/http1/chars.ts'
import {
  isHeadError,
  type ParsedRequestHead,
  parseRequestHead,
  type RequestHeadError,
} from '#wire/http1/request-head.ts'
import { trimBlanks } from '#wire/http1/trim-blanks.ts'

/** A complete head at the front of the input. */
export interface FoundHead {
  readonly head: ParsedRequestHead
  /** Offset of the first byte after the head. */
  readonly end: number
}

/** The interim answer to `expect: 100-continue`. */
export const continueLine = 'HTTP/1.1 100 Continue\r\n\r\n'

const lf = 0x0a
const cr = 0x0d

/**
 * The head at the front of `data`: a head, a refusal, or undefined when more bytes are needed. `searched` bytes were
 * there at an earlier call that said so: they are not searched again, so that a head sent byte by byte costs what it
 * costs sent at once.
 */
export function findHead(data: Buffer, limits: Limits, searched = 0): FoundHead | Refusal | undefined {
  // RFC 9112 2.2: one empty line before the request line is ignored.
  const start = data[0] === cr && data[1] === lf ? 2 : 0
  const end = data.indexOf('\r\n\r\n', Math.max(start, searched - 3), 'latin1')
  if (end < 0) return incomplete(data, start, limits, searched)
  if (end + 4 - start > limits.headBytes) return headTooLarge(limits)
  const head = parseRequestHead(data.toString('latin1', start, end + 2), limits.headerCount)
  if (isHeadError(head)) return refusalOf(head, limits)
  return { head, end: end + 4 }
}

/** Whether so little has come that it may be no more than the empty line before a request that is still to come. */
export function isBlankStart(data: Buffer): boolean {
  return data[0] === cr && (data.length === 1 || (data.length === 2 && data[1] === lf))
}

/** What `expect` asks for (RFC 9110 10.1.1); HTTP/1.0 knows no interim answers. */
export function expectation(headers: HeaderList, minor: number): 'none' | 'continue' | 'unknown' {
  if (minor === 0 || headerOf(headers, 'expect') === undefined) return 'none'
  let result: 'none' | 'continue' = 'none'
  for (const value of headerValues(headers, 'expect')) {
    for (const element of value.split(',')) {
      const name = trimBlanks(element).toLowerCase()
      if (name === '100-continue') result = 'continue'
      else if (name !== '') return 'unknown'
    }
  }
  return result
}

/** A head that can no longer become a good one is refused now, not at the timeout. */
function incomplete(data: Buffer, start: number, limits: Limits, searched: number): Refusal | undefined {
  if (data.length - start > limits.headBytes) return headTooLarge(limits)
  // TLS, or a second empty line.
  if (data.length > start && !isBlankStart(data) && !isToken(data[start])) return broken(data, start, start, limits)
  for (let at = data.indexOf(lf, Math.max(start, searched)); at >= 0; at = data.indexOf(lf, at + 1)) {
    if (at === start || data[at - 1] !== cr) return broken(data, start, at, limits)
  }
  return undefined
}

function isToken(byte: number | undefined): boolean {
  return byte !== undefined && ((charTable[byte] as number) & charClass.token) !== 0
}

/** What is wrong at `at`, in the same words as if the head had come whole. */
function broken(data: Buffer, start: number, at: number, limits: Limits): Refusal {
  const head = parseRequestHead(`${data.toString('latin1', start, at + 1)}\r\n`, limits.headerCount)
  if (isHeadError(head)) return refusalOf(head, limits)
  return refuse('malformed-request', 'The request is malformed: a line does not end with CRLF.')
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
