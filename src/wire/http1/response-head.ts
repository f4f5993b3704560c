import { type Framing, type HeadError, readFields } from './header-fields.ts'

/** A response head whose syntax has been checked, and how its body ends. */
export interface ParsedResponseHead {
  readonly status: number
  readonly headers: string[]
  /** `none`: no body; `length`: `bodyBytes`; `chunked`; `close`: until the connection ends. */
  readonly body: 'none' | 'length' | 'chunked' | 'close'
  /** Exact length when `body` is `length`, else 0. */
  readonly bodyBytes: number
  /**
   * Whether the connection may carry another request afterwards. Not behind a 204 or 304 that announces a body: an
   * upstream that sends it all the same would have it taken for the next answer.
   */
  readonly keepAlive: boolean
}

/**
 * Parses a response head as strictly as a request head. `text` is everything up to and including the CRLF of the last
 * line, without the empty line, as latin1. `isHead` says that the request was HEAD.
 */
export function parseResponseHead(text: string, maxHeaders: number, isHead: boolean): ParsedResponseHead | HeadError {
  const lineEnd = text.indexOf('\r\n')
  const match = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/.exec(text.slice(0, lineEnd))
  if (match === null) return 'the status line is not HTTP/1.x'
  const fields = readFields(text, lineEnd + 2, maxHeaders)
  if (typeof fields === 'string') return fields
  const { framing, headers } = fields
  const status = Number(match[2])
  const isOld = match[1] === '0'
  const problem = framingProblem(framing, status, isOld)
  if (problem !== undefined) return problem
  const noBody = isHead || status < 200 || status === 204 || status === 304
  const body = noBody ? 'none' : bodyOf(framing)
  const mayFollow = noBody && !isHead && hasBody(framing)
  return {
    status,
    headers,
    body,
    bodyBytes: body === 'length' ? framing.contentLength : 0,
    keepAlive: isPersistent(framing, isOld) && body !== 'close' && status !== 101 && !mayFollow,
  }
}

function framingProblem(framing: Framing, status: number, isOld: boolean): HeadError | undefined {
  if (framing.unknownCoding) return 'the transfer coding is not chunked'
  if (framing.chunked && isOld) return 'HTTP/1.0 has no transfer coding'
  if (status >= 200) return undefined
  // RFC 9110 8.6, RFC 9112 6.1: such an answer has no body; whoever says it has one may mean it.
  if (hasBody(framing)) return 'an interim answer with a body'
  if (framing.connection.includes('close')) return 'an interim answer that ends the connection'
  return isOld ? 'HTTP/1.0 has no interim answers' : undefined
}

function hasBody(framing: Framing): boolean {
  return framing.chunked || framing.contentLength > 0
}

function bodyOf(framing: Framing): ParsedResponseHead['body'] {
  if (framing.chunked) return 'chunked'
  return framing.contentLength >= 0 ? 'length' : 'close'
}

function isPersistent({ connection }: Framing, isOld: boolean): boolean {
  return !connection.includes('close') && (!isOld || connection.includes('keep-alive'))
}
