import { createHash } from 'node:crypto'
import { trimBlanks } from './http1/trim-blanks.ts'

const guid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** What a server answers to the key of a client, so that it cannot be one that knows nothing of WebSocket (RFC 6455 4.2.2). */
export function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}${guid}`).digest('base64')
}

/** Elements of a list of tokens over several lines of a header, in order, empty ones left out. */
export function tokensOf(values: readonly string[]): string[] {
  return values
    .flatMap((value) => value.split(','))
    .map(trimBlanks)
    .filter((token) => token !== '')
}
