import { type HeadError, readFields } from './header-fields.ts'

/** A response head whose syntax has been checked, and how its body ends. */
export interface ParsedResponseHead {
  readonly status: number
  readonly headers: string[]
  /** `none`: no body; `length`: `bodyBytes`; `chunked`; `close`: until the connection ends. */
  readonly body: 'none' | 'length' | 'chunked' | 'close'
  /** Exact length when `body` is `length`, else 0. */
  readonly bodyBytes: number
  /** Whether the connection may carry another request afterwards. */
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
  if (framing.unknownCoding) return 'the transfer coding is not chunked'
  if (framing.chunked && match[1] === '0') return 'HTTP/1.0 has no transfer coding'
  const status = Number(match[2])
  const noBody = isHead || status < 200 || status === 204 || status === 304
  const body = noBody ? 'none' : framing.chunked ? 'chunked' : framing.contentLength >= 0 ? 'length' : 'close'
  const { connection } = framing
  const persistent = !connection.includes('close') && (match[1] === '1' || connection.includes('keep-alive'))
  return {
    status,
    headers,
    body,
    bodyBytes: body === 'length' ? framing.contentLength : 0,
    keepAlive: persistent && body !== 'close' && status !== 101,
  }
}
