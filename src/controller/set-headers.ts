import type { DialectName } from '#core/api.ts'
import { below, complain, type Findings, type Spot } from './findings.ts'

/** A header set on every upstream request. */
export interface SetHeader {
  /** Lower case. */
  readonly name: string
  readonly value: string
}

/** Headers that belong to the connection or that the proxy writes itself. */
export const connectionHeaders: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'trailer',
  'te',
  'expect',
  'x-request-id',
  'x-data-parallel-rank',
])

/** Names that a provider's static headers must not have beside those (kthena-router.md 1.3). */
export const credentialHeaders: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'x-api-key',
])

/** RFC 9110 5.6.2: a token. */
const headerName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/

/** RFC 9110 5.5, in latin1: nothing that ends a line, no blanks at the ends. */
const headerValue = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/

/** Whether the name of a header is well formed. */
export function isHeaderName(name: string): boolean {
  return headerName.test(name)
}

/** Whether a value may stand in a header as it is. */
export function isHeaderValue(value: string): boolean {
  return headerValue.test(value)
}

/** Checks static headers; `spot` is the mapping. Values are never quoted in messages. */
export function setHeadersOf(
  headers: Readonly<Record<string, string>>,
  reserved: ReadonlySet<string>,
  spot: Spot,
  findings: Findings,
): SetHeader[] {
  const byName = new Map<string, SetHeader>()
  for (const [key, value] of Object.entries(headers)) {
    const name = key.toLowerCase()
    const at = below(spot, key)
    const onKey = { spot: 'key' } as const
    if (!isHeaderName(key)) complain(findings, at, `'${key}' is not a valid header name`, onKey)
    else if (connectionHeaders.has(name))
      complain(findings, at, `header '${key}' is written by the gateway itself`, onKey)
    else if (reserved.has(name))
      complain(findings, at, `header '${key}' must not be set here`, { ...onKey, hint: credentialHint(name) })
    else if (byName.has(name)) complain(findings, at, `header '${key}' stands here twice in different case`, onKey)
    else if (!isHeaderValue(value))
      complain(findings, at, `the value of header '${key}' has characters that a header must not have`)
    else byName.set(name, { name, value })
  }
  return [...byName.values()]
}

function credentialHint(name: string): string | undefined {
  return credentialHeaders.has(name)
    ? 'a credential goes into apiKey (short form) or auth.secretRef (manifest)'
    : undefined
}

/** The header that carries a credential: Anthropic has its own, everybody else takes a bearer token. */
export function credentialHeader(dialect: DialectName, credential: string): SetHeader {
  return dialect === 'anthropic'
    ? { name: 'x-api-key', value: credential }
    : { name: 'authorization', value: `Bearer ${credential}` }
}
