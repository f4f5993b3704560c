import type { Random } from './random.ts'

/** Bytes and words that parsers have stumbled over. */
export const tokens: readonly string[] = [
  '\r\n',
  '\n',
  '\r',
  '\r\n\r\n',
  '\n\n',
  '\r\r\n',
  '\0',
  '\t',
  ' ',
  '\v',
  '\f',
  '\x7f',
  '\x80',
  '\xff',
  '\xa0',
  ':',
  ';',
  ',',
  '"',
  '\\',
  '=',
  '/',
  '*',
  '?',
  '#',
  '@',
  '0',
  '1',
  '5',
  'a',
  'F',
  '+',
  '-',
  '_',
  '0x',
  ' 0',
  '00000000',
  'ffffffff',
  '100000000',
  '0\r\n\r\n',
  '5\r\nhello\r\n',
  '5;x\r\n',
  '5;x="\r\n"\r\n',
  ';a=b',
  '; a',
  ';',
  ';"',
  'GET ',
  'POST ',
  ' HTTP/1.1',
  ' HTTP/1.0',
  ' HTTP/2.0',
  'HTTP/1.1',
  'GET / HTTP/1.1\r\nhost: x\r\n\r\n',
  'HTTP/1.1 200 OK\r\n',
  'HTTP/1.1 100 Continue\r\n\r\n',
  'HTTP/1.1 204 No Content\r\n',
  'host: a\r\n',
  'Host:\r\n',
  'content-length: 5\r\n',
  'content-length: 0\r\n',
  'Content-Length: 05\r\n',
  'content-length: +5\r\n',
  'content-length: 5, 5\r\n',
  'transfer-encoding: chunked\r\n',
  'Transfer-Encoding:chunked\r\n',
  'transfer-encoding: xchunked\r\n',
  'transfer-encoding: chunked, identity\r\n',
  'transfer-encoding : chunked\r\n',
  'transfer-encoding:\vchunked\r\n',
  ' transfer-encoding: chunked\r\n',
  'connection: close\r\n',
  'connection: keep-alive\r\n',
  'connection: upgrade\r\n',
  'upgrade: websocket\r\n',
  'expect: 100-continue\r\n',
  'trailer: x\r\n',
  'x: y\r\n',
  ' folded\r\n',
  'http://h/',
  'https://u@h:1/',
  '*',
]

/** Changes `text` (latin1) in one to four places; `other` lends parts. */
export function mutate(text: string, other: string, random: Random): string {
  let result = text
  for (let left = 1 + random.below(4); left > 0; left--) result = mutateOnce(result, other, random)
  return result
}

function mutateOnce(text: string, other: string, random: Random): string {
  const at = placeIn(text, random)
  switch (random.below(8)) {
    case 0:
      return text.slice(0, at) + random.of(tokens) + text.slice(at)
    case 1:
      return text.slice(0, at) + random.of(tokens) + text.slice(at + 1)
    case 2:
      return text.slice(0, at) + text.slice(at + 1 + random.below(random.chance(0.8) ? 3 : 40))
    case 3:
      return text.slice(0, at) + String.fromCharCode(random.below(256)) + text.slice(at + 1)
    case 4: {
      const from = placeIn(text, random)
      return text.slice(0, at) + text.slice(from, from + 1 + random.below(60)) + text.slice(at)
    }
    case 5:
      return text.slice(0, at) + other.slice(placeIn(other, random))
    case 6:
      return duplicatedLine(text, at)
    default:
      return text.slice(0, at) + flipped(text.charCodeAt(at), random) + text.slice(at + 1)
  }
}

/** Often next to what frames a message, where mistakes matter. */
function placeIn(text: string, random: Random): number {
  const at = random.below(text.length + 1)
  if (random.chance(0.5)) return at
  const mark = text.indexOf(random.of(['\r\n', ':', ' ', ';', '0']), at)
  return mark < 0 ? at : mark
}

function duplicatedLine(text: string, at: number): string {
  const start = text.lastIndexOf('\r\n', at) + 2
  const end = text.indexOf('\r\n', at)
  return start < 2 || end < 0 ? text : text.slice(0, end + 2) + text.slice(start, end + 2) + text.slice(end + 2)
}

function flipped(code: number, random: Random): string {
  return Number.isNaN(code) ? '' : String.fromCharCode(code ^ (1 << random.below(8)))
}
