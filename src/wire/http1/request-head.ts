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

const maxMethodLength = 32

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
  const absolute = uri.charCodeAt(0) === 0x2f ? undefined : absoluteForm(uri, method)
  if (absolute === null || method === 'CONNECT') return syntax('the request target is neither a path nor an http URI')
  const minor = versionAt(text, pos + 1)
  if (typeof minor !== 'number') return minor
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
  if (!isHost(framing.host)) return syntax('the host header is not a host')
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
  // User information is refused as RFC 9110 4.2.4 advises: `@` is not a host character.
  if (match === null || authority === undefined || !isHost(authority)) return null
  return { authority, target: `${match[2] ?? '/'}${match[3] ?? ''}` }
}

function isHost(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    if (((charTable[value.charCodeAt(i)] as number) & charClass.host) === 0) return false
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
