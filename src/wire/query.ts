/** One parameter of a query and where its value stands in the target: [start, end). */
export interface QueryParameter {
  /** Unescaped. */
  readonly value: string
  readonly start: number
  readonly end: number
}

/**
 * The parameters of a target that are called `name`, in order, read as HTML forms are (`+` is a blank), so that no
 * spelling of the name hides one from us that an engine would find. Undefined when an escape in one is malformed.
 */
export function queryParameters(target: string, name: string): readonly QueryParameter[] | undefined {
  const found: QueryParameter[] = []
  let at = target.indexOf('?') + 1
  if (at === 0) return found
  while (at <= target.length) {
    const next = target.indexOf('&', at)
    const end = next < 0 ? target.length : next
    const equals = target.indexOf('=', at)
    const nameEnd = equals < 0 || equals > end ? end : equals
    if (unescape(target.slice(at, nameEnd)) === name) {
      const start = Math.min(nameEnd + 1, end)
      const value = unescape(target.slice(start, end))
      if (value === undefined) return undefined
      found.push({ value, start, end })
    }
    at = end + 1
  }
  return found
}

function unescape(text: string): string | undefined {
  const blanks = text.includes('+') ? text.replaceAll('+', ' ') : text
  if (!blanks.includes('%')) return blanks
  try {
    return decodeURIComponent(blanks)
  } catch {
    return undefined
  }
}

/** The target with every parameter called `name` set to `value`; one is added when there is none. */
export function withQueryParameter(target: string, name: string, value: string): string {
  const escaped = encodeURIComponent(value)
  const found = queryParameters(target, name) ?? []
  if (found.length === 0) return `${target}${target.includes('?') ? '&' : '?'}${name}=${escaped}`
  let result = ''
  let at = 0
  for (const { start, end } of found) {
    const hasEquals = target.charCodeAt(start - 1) === 0x3d
    result += `${target.slice(at, start)}${hasEquals ? '' : '='}${escaped}`
    at = end
  }
  return result + target.slice(at)
}
