/** Put in the place of a secret. */
export const redacted = '[redacted]'

/** Nothing logged is nested deeper; what is, is left out. */
const maxDepth = 6

/** Keys, in lower case and without `-` and `_`, whose values are secrets. */
const secretKeys = new Set([
  'authorization',
  'proxyauthorization',
  'cookie',
  'setcookie',
  'apikey',
  'xapikey',
  'xgoogapikey',
  'password',
  'secret',
  'clientsecret',
  'token',
  'accesstoken',
  'refreshtoken',
  'privatekey',
])

/** A private key gives itself away, whatever its key. */
const privateKeyMark = /-----BEGIN [A-Z ]*PRIVATE KEY-----/

/** Whether values under this key are secrets: `authorization`, `api-key`, `X-API-Key`, `apiKey`... */
export function isSecretKey(key: string): boolean {
  return secretKeys.has(key.toLowerCase().replace(/[-_]/g, ''))
}

/**
 * A copy of `fields` with the values of secret keys replaced, at any depth; errors keep their name, message, stack and cause.
 * Pairs of a `name` and a `value`, as header lists are written in the configuration, count as a key and its value.
 */
export function redactSecrets(fields: object): Record<string, unknown> {
  return fields instanceof Error ? { error: copyError(fields, 0) } : copyObject(fields, 0)
}

function copyObject(source: object, depth: number): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  const entries = Object.entries(source) as [string, unknown][]
  const named = (source as { name?: unknown }).name
  for (const [key, value] of entries) {
    const isNamedSecret = key === 'value' && typeof named === 'string' && isSecretKey(named)
    copy[key] = isNamedSecret || isSecretKey(key) ? redacted : copyValue(value, depth + 1)
  }
  return copy
}

function copyValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return privateKeyMark.test(value) ? redacted : value
  if (typeof value === 'bigint') return value.toString()
  if (typeof value !== 'object' || value === null) return value
  if (depth > maxDepth) return '[too deep]'
  if (value instanceof Error) return copyError(value, depth)
  if (Array.isArray(value)) return value.map((item) => copyValue(item, depth + 1))
  if (value instanceof Date || value instanceof URL) return value.toJSON()
  return copyObject(value, depth)
}

function copyError(error: Error, depth: number): Record<string, unknown> {
  const { name, message, stack, cause } = error
  const known = { type: name, message, stack, ...copyObject(error, depth) }
  return cause === undefined ? known : { ...known, cause: copyValue(cause, depth + 1) }
}
