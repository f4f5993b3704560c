import { charClass, charTable } from '#wire/http1/chars.ts'
import { isAuthority, maxMethodLength } from '#wire/http1/request-head.ts'

/** A request head of HTTP/2 in the shape of HTTP/1.1: `:authority` is the host header, cookies are one line. */
export interface Http2RequestHead {
  readonly method: string
  readonly target: string
  readonly headers: readonly string[]
  /** Value of content-length; -1 when there is none. */
  readonly contentLength: number
}

/** Why a head is refused. */
export interface Http2HeadError {
  readonly kind: 'syntax' | 'size'
  readonly detail: string
}

/** Most bytes and fields, counted as they would be in HTTP/1.1. */
export interface HeadLimits {
  readonly headBytes: number
  readonly headerCount: number
}

/** What RFC 9113 8.2.2 forbids: the framing of HTTP/2 has taken their place. */
const connectionFields: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
])

interface Pseudo {
  ':method': string | undefined
  ':scheme': string | undefined
  ':authority': string | undefined
  ':path': string | undefined
}

/** Tells an error from a head. */
export function isHttp2HeadError(result: Http2RequestHead | Http2HeadError): result is Http2HeadError {
  return 'kind' in result
}

/**
 * Reads a decoded header block: flat (name, value, ...), as sent. The rules of RFC 9113 8.2 and 8.3, and of what the
 * next hop, which speaks HTTP/1.1, must not be told; whatever decoded the block has checked some of them before.
 */
export function readHttp2Head(fields: readonly string[], limits: HeadLimits): Http2RequestHead | Http2HeadError {
  const pseudo: Pseudo = { ':method': undefined, ':scheme': undefined, ':authority': undefined, ':path': undefined }
  const headers: string[] = []
  let bytes = 0
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string
    const value = fields[i + 1] as string
    bytes += name.length + value.length + 4
    const error = name.startsWith(':') ? notePseudo(pseudo, name, value, headers) : noteField(headers, name, value)
    if (error !== undefined) return syntax(error)
  }
  if (bytes > limits.headBytes || headers.length > 2 * limits.headerCount) return { kind: 'size', detail: '' }
  const { ':method': method, ':path': target } = pseudo
  if (method === undefined || !isMethod(method)) return syntax('the method')
  if (target === undefined || !isTarget(target, method)) return syntax('the path')
  if (pseudo[':scheme'] !== 'http' && pseudo[':scheme'] !== 'https') return syntax('the scheme')
  const host = hostOf(pseudo[':authority'], headers)
  if (host === undefined) return syntax('the authority')
  const contentLength = lengthOf(headers)
  if (contentLength === undefined) return syntax('the content-length')
  return { method, target, headers: withHost(host, headers), contentLength }
}

function syntax(what: string): Http2HeadError {
  return { kind: 'syntax', detail: what }
}

function notePseudo(pseudo: Pseudo, name: string, value: string, headers: readonly string[]): string | undefined {
  if (!(name in pseudo) || headers.length > 0) return `the pseudo-header ${name.slice(0, 32)}`
  const key = name as keyof Pseudo
  if (pseudo[key] !== undefined) return `the second ${key}`
  pseudo[key] = value
  return undefined
}

/** Adds a field; crumbs of a cookie are put together (RFC 9113 8.2.3). */
function noteField(headers: string[], name: string, value: string): string | undefined {
  if (name === '' || !isAll(name, charClass.token) || name.toLowerCase() !== name) return 'a header name'
  if (!isAll(value, charClass.value) || value.trim() !== value) return `the header ${name.slice(0, 64)}`
  if (connectionFields.has(name)) return `the header ${name}`
  if (name === 'te') return value === 'trailers' ? undefined : 'the header te'
  if (name !== 'cookie' || !addCrumb(headers, value)) headers.push(name, value)
  return undefined
}

/** False when it is the first. */
function addCrumb(headers: string[], crumb: string): boolean {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'cookie') continue
    const before = headers[i + 1] as string
    headers[i + 1] = before === '' || crumb === '' ? before + crumb : `${before}; ${crumb}`
    return true
  }
  return false
}

function isAll(text: string, bit: number): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 255 || ((charTable[code] as number) & bit) === 0) return false
  }
  return true
}

/** CONNECT, which has no path, is for proxies. */
function isMethod(method: string): boolean {
  return method !== '' && method.length <= maxMethodLength && method !== 'CONNECT' && isAll(method, charClass.token)
}

function isTarget(target: string, method: string): boolean {
  if (target === '*') return method === 'OPTIONS'
  return target.startsWith('/') && isAll(target, charClass.target)
}

/** The one host of `:authority` and host header; undefined when they differ, or neither is there. */
function hostOf(authority: string | undefined, headers: readonly string[]): string | undefined {
  let host = authority
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'host') continue
    const value = headers[i + 1] as string
    if (host !== undefined && host.toLowerCase() !== value.toLowerCase()) return undefined
    host = value
  }
  return host !== undefined && isAuthority(host) ? host : undefined
}

function withHost(host: string, headers: readonly string[]): string[] {
  const all = ['host', host]
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'host') all.push(headers[i] as string, headers[i + 1] as string)
  }
  return all
}

/** -1 when there is none, undefined when it is not one number. */
function lengthOf(headers: readonly string[]): number | undefined {
  let length = -1
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'content-length') continue
    if (length >= 0 || !/^\d{1,15}$/.test(headers[i + 1] as string)) return undefined
    length = Number(headers[i + 1])
  }
  return length
}
