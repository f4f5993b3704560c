/** Where requests go: the parts of a base URL. */
export interface BaseUrl {
  readonly isTls: boolean
  /** IPv6 without brackets. */
  readonly host: string
  readonly port: number
  /** '' or a path that begins with a slash and does not end with one. */
  readonly path: string
}

/** Takes `http://10.0.0.1:8000` or `https://host/base/path` apart; `fails` follows "must". Never quotes the text. */
export function parseBaseUrl(text: string): BaseUrl | { readonly fails: string } {
  const match = /^(https?):\/\/([^/?#]*)(\/[^?#]*)?([?#])?/i.exec(text)
  if (match === null) return { fails: 'must be a URL that begins with http:// or https://' }
  const [, scheme = '', authority = '', path = '', tail] = match
  if (authority.includes('@')) return { fails: 'must not carry a user or password' }
  if (tail !== undefined) return { fails: `must end before its '${tail}'` }
  const isTls = scheme.toLowerCase() === 'https'
  if (!URL.canParse(text) || authority === '' || /[\s\\%]/.test(text))
    return { fails: 'must be a URL with a valid host' }
  const url = new URL(text)
  if (url.port === '0') return { fails: 'must have a port from 1 to 65535' }
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? (isTls ? 443 : 80) : Number(url.port)
  return { isTls, host, port, path: path.replace(/\/+$/, '') }
}

/** `host:port`, with brackets around IPv6: the id of an endpoint. */
export function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
