import { charClass, charTable } from './chars.ts'
import { trimBlanks } from './trim-blanks.ts'

/** How the length of a message's body is told. */
export interface Framing {
  /** Value of content-length, or -1 when there is none. */
  contentLength: number
  chunked: boolean
  /** A transfer coding other than a single `chunked`. */
  unknownCoding: boolean
  /** Tokens of `connection`, lower case. */
  connection: string[]
  /** Number of host fields. */
  hosts: number
  /** Value of the last host field, '' when there is none. */
  host: string
}

/** Header fields read from a head, flat (name, value, ...), names in lower case. */
export interface FieldsResult {
  readonly headers: string[]
  readonly framing: Framing
}

/** Why a head is refused; each is a sentence fragment for the error message. */
export type HeadError = string

/**
 * Reads header fields from `text[from, text.length)`: complete lines, each ended by CRLF, without the empty line.
 * Grammar of RFC 9112 5 without its leniencies: no folding, no blank before the colon, no control bytes, no bare CR or
 * LF, no empty names; content-length at most once and all digits; no length beside a transfer coding. A tab beside the
 * value of either is refused too, though it is white space: readers differ on it (llhttp refuses some).
 */
export function readFields(text: string, from: number, maxCount: number): FieldsResult | HeadError {
  const headers: string[] = []
  const framing: Framing = {
    contentLength: -1,
    chunked: false,
    unknownCoding: false,
    connection: [],
    hosts: 0,
    host: '',
  }
  let pos = from
  const end = text.length
  while (pos < end) {
    const nameStart = pos
    let bits = 0
    let code = text.charCodeAt(pos)
    while (((charTable[code] as number) & charClass.token) !== 0) {
      bits |= charTable[code] as number
      code = text.charCodeAt(++pos)
    }
    if (code !== 0x3a || pos === nameStart) return 'a header name is not a token followed by a colon'
    const name = (bits & charClass.upper) !== 0 ? text.slice(nameStart, pos).toLowerCase() : text.slice(nameStart, pos)
    const colon = pos++
    code = text.charCodeAt(pos)
    while (code === 0x20 || code === 0x09) code = text.charCodeAt(++pos)
    const valueStart = pos
    while (((charTable[code] as number) & charClass.value) !== 0) code = text.charCodeAt(++pos)
    if (code !== 0x0d || text.charCodeAt(pos + 1) !== 0x0a) return 'a header value has a control byte'
    let valueEnd = pos
    while (valueEnd > valueStart && isBlank(text.charCodeAt(valueEnd - 1))) valueEnd--
    const value = text.slice(valueStart, valueEnd)
    headers.push(name, value)
    if (headers.length > maxCount * 2) return 'too many header fields'
    const error = noteField(framing, name, value) ?? tabProblem(name, text, colon, pos)
    if (error !== undefined) return error
    pos += 2
  }
  if ((framing.chunked || framing.unknownCoding) && framing.contentLength >= 0) {
    return 'both content-length and transfer-encoding'
  }
  return { headers, framing }
}

function tabProblem(name: string, text: string, from: number, to: number): HeadError | undefined {
  if (name !== 'content-length' && name !== 'transfer-encoding') return undefined
  return text.slice(from, to).includes('\t') ? 'a tab beside the value of a framing field' : undefined
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}

/** Switches on the length first: most names match no case, and comparing strings of equal length only is cheap. */
function noteField(framing: Framing, name: string, value: string): HeadError | undefined {
  switch (name.length) {
    case 4:
      if (name !== 'host') return undefined
      framing.hosts++
      framing.host = value
      return undefined
    case 10:
      if (name === 'connection')
        for (const token of value.split(',')) framing.connection.push(trimBlanks(token).toLowerCase())
      return undefined
    case 14:
      return name === 'content-length' ? noteLength(framing, value) : undefined
    case 17:
      if (name !== 'transfer-encoding') return undefined
      if (framing.chunked || framing.unknownCoding) return 'more than one transfer-encoding'
      if (value.toLowerCase() === 'chunked') framing.chunked = true
      else framing.unknownCoding = true
      return undefined
    default:
      return undefined
  }
}

function noteLength(framing: Framing, value: string): HeadError | undefined {
  if (framing.contentLength >= 0) return 'more than one content-length'
  if (value.length === 0 || value.length > 15) return 'content-length is not a number'
  let length = 0
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 0x30
    if (digit < 0 || digit > 9) return 'content-length is not a number'
    length = length * 10 + digit
  }
  framing.contentLength = length
  return undefined
}
