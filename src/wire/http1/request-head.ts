import { charClass, charTable } from './chars.ts'
import { type Framing, type HeadError, readFields } from './header-fields.ts'

/** A request head whose syntax has been checked. */
export interface ParsedRequestHead {
  readonly method: string
  /** Origin-form (`/path?query`) or `*`; an absolute-form target is reduced to it, and its host becomes the host header. */
  readonly target: string
  /** Minor version: 0 or 1. */
  readonly minor: number
  readonly headers: string[]
  readonly framing: Framing
}

/** Why a request head is refused. `version` and `coding` have statuses of their own. */
export interface RequestHeadError {
  readonly kind: 'syntax' | 'version' | 'coding' | 'count'
  readonly detail: HeadError
}

/** Longest method; the longest that is registered has 17 bytes. */
export const maxMethodLength = 32

/** Tells an error from a head. */
export function isHeadError(result: ParsedRequestHead | RequestHeadError): result is RequestHeadError {
  return 'kind' in result
}

/**
 * Parses a request head: `text` is everything up to and including the CRLF of its last line, without the empty line,
 * decoded as latin1 (one character per byte).
 */
export function parseRequestHead(text: string, maxHeaders: number): ParsedRequestHead | RequestHeadError {
  let pos = 0
  while (((charTable[text.charCodeAt(pos)] as number) & charClass.token) !== 0) pos++
  if (pos === 0 || pos > maxMethodLength || text.charCodeAt(pos) !== 0x20)
    return syntax('the request line has no method')
  const method = text.slice(0, pos)
  const targetStart = ++pos
  while (((charTable[text.charCodeAt(pos)] as number) & charClass.target) !== 0) pos++
  if (pos === targetStart || text.charCodeAt(pos) !== 0x20)
    return syntax('the request target has a byte that no URI has')
  const uri = text.slice(targetStart, pos)
  const minor = versionAt(text, pos + 1)
  if (typeof minor !== 'number') return minor
  const absolute = uri.charCodeAt(0) === 0x2f ? undefined : absoluteForm(uri, method)
  if (absolute === null || method === 'CONNECT') return syntax('the request target is neither a path nor an http URI')
  const fields = readFields(text, pos + 11, maxHeaders)
  if (typeof fields === 'string') {
    return fields === 'too many header fields' ? { kind: 'count', detail: fields } : syntax(fields)
  }
  const { headers, framing } = fields
  const problem = framingProblem(framing, minor)
  if (problem !== undefined) return problem
  if (absolute === undefined) return { method, target: uri, minor, headers, framing }
  if (absolute.authority !== '') setHost(headers, framing, absolute.authority)
  return { method, target: absolute.target, minor, headers, framing }
}

function framingProblem(framing: Framing, minor: number): RequestHeadError | undefined {
  if (framing.hosts > 1 || (framing.hosts === 0 && minor === 1)) return syntax('exactly one host header is needed')
  if (!isAuthority(framing.host)) return syntax('the host header is not a host')
  if (framing.unknownCoding) return { kind: 'coding', detail: 'the transfer coding is not chunked' }
  if (framing.chunked && minor === 0) return syntax('HTTP/1.0 has no transfer coding')
  return undefined
}

function syntax(detail: string): RequestHeadError {
  return { kind: 'syntax', detail }
}

/** `HTTP/1.x` CRLF at `pos`, as its minor version. */
function versionAt(text: string, pos: number): number | RequestHeadError {
  if (!text.startsWith('HTTP/', pos) || text.charCodeAt(pos + 8) !== 0x0d || text.charCodeAt(pos + 9) !== 0x0a) {
    return syntax('the request line does not end with a version')
  }
  const version = text.slice(pos + 5, pos + 8)
  if (version === '1.1') return 1
  if (version === '1.0') return 0
  return /^\d\.\d$/.test(version)
    ? { kind: 'version', detail: `HTTP/${version}` }
    : syntax('the version is not HTTP/n.n')
}

/** Parts of a target that is no path: authority '' for `*`; null when it is no form that this method may have. */
function absoluteForm(uri: string, method: string): { authority: string; target: string } | null {
  if (uri === '*') return method === 'OPTIONS' ? { authority: '', target: '*' } : null
  const match = /^https?:\/\/([^/?]+)(\/[^?]*)?(\?.*)?$/i.exec(uri)
  const authority = match?.[1]
  if (match === null || authority === undefined || !isAuthority(authority)) return null
  return { authority, target: `${match[2] ?? '/'}${match[3] ?? ''}` }
}

const bracketed = /^\[(?:[0-9A-Fa-f:.]{2,45}|v[0-9A-Fa-f]+\.[\w!$&'()*+,;=:.~-]+)\](?::\d{0,5})?$/

/**
 * `host [":" port]` of RFC 3986 3.2, or nothing at all (RFC 9112 3.2). User information is refused as RFC 9110 4.2.4
 * advises.
 */
export function isAuthority(value: string): boolean {
  if (value.charCodeAt(0) === 0x5b) return bracketed.test(value)
  let pos = 0
  while (pos < value.length) {
    const code = value.charCodeAt(pos)
    if (((charTable[code] as number) & charClass.host) !== 0) pos++
    else if (code === 0x25 && /^[0-9A-Fa-f]{2}$/.test(value.slice(pos + 1, pos + 3))) pos += 3
    else break
  }
  if (pos === value.length) return true
  return pos > 0 && value.charCodeAt(pos) === 0x3a && isPort(value, pos + 1)
}

/** Up to five digits, or none. */
function isPort(value: string, from: number): boolean {
  if (value.length - from > 5) return false
  for (let pos = from; pos < value.length; pos++) {
    const code = value.charCodeAt(pos)
    if (code < 0x30 || code > 0x39) return false
  }
  return true
}

/** RFC 9112 3.2.2: the host of an absolute-form target replaces the one of the host header. */
function setHost(headers: string[], framing: Framing, authority: string): void {
  framing.host = authority
  if (framing.hosts === 0) headers.push('host', authority)
  framing.hosts = 1
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === 'host') headers[i + 1] = authority
}
