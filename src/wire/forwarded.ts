/** One element of a `forwarded` header: what one proxy says of the request it received (RFC 7239 4). */
export interface ForwardedElement {
  /** Node identifier of whoever asked the proxy, unquoted: `192.0.2.1`, `[2001:db8::1]:80`, `unknown`, `_hidden`. */
  readonly for: string | undefined
  /** Scheme the proxy was asked with. */
  readonly proto: string | undefined
  /** Authority the proxy was asked for. */
  readonly host: string | undefined
}

const quote = 0x22
const comma = 0x2c
const backslash = 0x5c

/**
 * Where the last list element of `text[0, end)` begins. Found from the right, so that nothing further left, which a
 * client may have made up, can move the boundaries of what the nearest proxy has appended.
 */
export function lastElementStart(text: string, end: number): number {
  let isQuoted = false
  for (let at = end - 1; at >= 0; at--) {
    const code = text.charCodeAt(at)
    if (code === quote) {
      if (!isEscaped(text, at)) isQuoted = !isQuoted
    } else if (code === comma && !isQuoted) return at + 1
  }
  return 0
}

function isEscaped(text: string, at: number): boolean {
  let before = at - 1
  while (before >= 0 && text.charCodeAt(before) === backslash) before--
  return (at - before) % 2 === 0
}

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
const quoted = '"(?:[\\t \\x21\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]|\\\\[\\t \\x21-\\x7e\\x80-\\xff])*"'

/** One parameter and what separates it from the next (RFC 7239 4: no blanks around `=`, blanks around `;` borne). */
const parameter = new RegExp(`^(${token})=(${token}|${quoted})[\\t ]*(?:;[\\t ]*|$)`)

/**
 * One element, without the blanks around it, read strictly: undefined when it is malformed or names a parameter twice.
 * Unknown parameters are passed over.
 */
export function parseForwardedElement(text: string): ForwardedElement | undefined {
  const found: { for: string | undefined; proto: string | undefined; host: string | undefined } = {
    for: undefined,
    proto: undefined,
    host: undefined,
  }
  let rest = text
  while (rest !== '') {
    const match = parameter.exec(rest)
    if (match === null) return undefined
    rest = rest.slice(match[0].length)
    const name = (match[1] as string).toLowerCase()
    if (name !== 'for' && name !== 'proto' && name !== 'host') continue
    if (found[name] !== undefined) return undefined
    found[name] = unquote(match[2] as string)
  }
  return text === '' ? undefined : found
}

function unquote(value: string): string {
  if (value.charCodeAt(0) !== quote) return value
  const inner = value.slice(1, -1)
  return inner.includes('\\') ? inner.replaceAll(/\\(.)/g, '$1') : inner
}

const bracketed = /^\[([0-9A-Fa-f:.]{2,45})\](?::[0-9A-Za-z._-]{1,32})?$/
const dotted = /^(\d{1,3}(?:\.\d{1,3}){3})(?::[0-9A-Za-z._-]{1,32})?$/
const bareV6 = /^[0-9A-Fa-f:.]{2,45}$/

/**
 * The address in a node identifier, without brackets and port; undefined for `unknown`, an obfuscated identifier
 * (RFC 7239 6.3) and everything else. IPv6 without brackets is taken too: `x-forwarded-for` writes it so. That it looks
 * like an address does not make it one: the caller checks.
 */
export function nodeAddress(node: string): string | undefined {
  const inner = bracketed.exec(node)?.[1] ?? dotted.exec(node)?.[1]
  if (inner !== undefined) return inner
  return node.includes(':') && bareV6.test(node) ? node : undefined
}
