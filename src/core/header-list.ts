/**
 * Header fields in wire order, flat: name, value, name, value. Names are lower case; values have no surrounding
 * whitespace; repeats are kept. Flat because a proxied head is built, searched and written once, and thrown away.
 */
export type HeaderList = readonly string[]

/** First value of a header, or undefined. `name` is lower case. */
export function headerOf(headers: HeaderList, name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1]
  return undefined
}

/** All values of a header in order. `name` is lower case. */
export function headerValues(headers: HeaderList, name: string): string[] {
  const values: string[] = []
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) values.push(headers[i + 1] as string)
  return values
}

/** First value of a cookie over all `cookie` headers, or undefined. */
export function cookieOf(headers: HeaderList, name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== 'cookie') continue
    for (const pair of (headers[i + 1] as string).split(';')) {
      const equals = pair.indexOf('=')
      if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim()
    }
  }
  return undefined
}
