/** What an upstream may send so that two readers disagree on where its answer ends; the other direction of smuggling.ts. */

/** What an upstream sends. */
export interface ResponseCase {
  readonly name: string
  /** As latin1. */
  readonly bytes: string
  /**
   * `reused`: read, and the connection carries the next request; `dropped`: read, and the connection is given up;
   * `refused`: not taken for an answer. `cut`: begun, then given up.
   */
  readonly answer: 'reused' | 'dropped' | 'refused' | 'cut'
  /** Of what is read. */
  readonly body?: string
  readonly why: string
}

const body = '{"ok":1}'
/** An answer that must never reach anybody. */
const inner = 'HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{"no":0}'
const ok = 'HTTP/1.1 200 OK\r\n'
const length = `content-length: ${body.length}\r\n`
const coding = 'transfer-encoding: chunked\r\n'
const chunks = `8\r\n${body}\r\n0\r\n\r\n`

type Row = readonly [name: string, bytes: string, answer: ResponseCase['answer'], why: string, body?: string]

const rows: readonly Row[] = [
  ['a length', `${ok}${length}\r\n${body}`, 'reused', 'RFC 9112 6.3', body],
  ['chunks', `${ok}${coding}\r\n${chunks}`, 'reused', 'RFC 9112 7.1', body],
  [
    'chunks with trailers',
    `${ok}${coding}\r\n8\r\n${body}\r\n0\r\nx: y\r\n\r\n`,
    'reused',
    'RFC 9112 7.1.2: dropped',
    body,
  ],
  [
    'a connection option in the trailers',
    `${ok}${coding}\r\n8\r\n${body}\r\n0\r\nconnection: close\r\n\r\n`,
    'cut',
    'RFC 9110 6.5.1: what concerns the connection stands in the head',
    body,
  ],
  ['a length and chunks', `${ok}${length}${coding}\r\n${chunks}`, 'refused', 'RFC 9112 6.3: both is an attack'],
  ['two lengths, different', `${ok}${length}content-length: 0\r\n\r\n${body}`, 'refused', 'RFC 9112 6.3'],
  ['two lengths, equal', `${ok}${length}${length}\r\n${body}`, 'refused', 'RFC 9112 6.3: allows to refuse it'],
  ['a list of lengths', `${ok}content-length: 8, 8\r\n\r\n${body}`, 'refused', 'RFC 9112 6.3: allows to refuse it'],
  ['a length with a plus', `${ok}content-length: +8\r\n\r\n${body}`, 'refused', 'RFC 9110 8.6: digits only'],
  ['a coding twice', `${ok}${coding}${coding}\r\n${chunks}`, 'refused', 'RFC 9112 7.1'],
  [
    'another coding',
    `${ok}transfer-encoding: gzip, chunked\r\n\r\n${chunks}`,
    'refused',
    'RFC 9112 6.1: only chunked is understood',
  ],
  ['identity', `${ok}transfer-encoding: identity\r\n\r\n${body}`, 'refused', 'RFC 9112 7: no such coding any more'],
  ['a vertical tab before chunked', `${ok}transfer-encoding:\vchunked\r\n\r\n${chunks}`, 'refused', 'RFC 9110 5.5'],
  ['HTTP/1.0 with chunks', `HTTP/1.0 200 OK\r\n${coding}\r\n${chunks}`, 'refused', 'RFC 9112 6.1: HTTP/1.0 has none'],
  ['HTTP/1.0 with a length', `HTTP/1.0 200 OK\r\n${length}\r\n${body}`, 'dropped', 'RFC 9112 9.3', body],
  ['a second answer behind a length', `${ok}${length}\r\n${body}${inner}`, 'dropped', 'nobody asked for it', body],
  ['a second answer behind chunks', `${ok}${coding}\r\n${chunks}${inner}`, 'dropped', 'nobody asked for it', body],
  [
    'a body shorter than its length',
    `${ok}${length}\r\n${body.slice(1)}`,
    'cut',
    'RFC 9112 8: incomplete',
    body.slice(1),
  ],
  ['chunks without an end', `${ok}${coding}\r\n8\r\n${body}\r\n`, 'cut', 'RFC 9112 8: incomplete', body],
  ['a chunk size that is none', `${ok}${coding}\r\n8\r\n${body}\r\nx\r\n\r\n${inner}`, 'cut', 'RFC 9112 7.1', body],
  [
    'data longer than its chunk',
    `${ok}${coding}\r\n7\r\n${body}\r\n0\r\n\r\n`,
    'cut',
    'RFC 9112 7.1',
    body.slice(0, 7),
  ],
  ['an extension with a bare LF', `${ok}${coding}\r\n8;a\nb\r\n${body}\r\n0\r\n\r\n`, 'cut', 'RFC 9112 7.1.1', ''],
  [
    '204 with a body',
    `HTTP/1.1 204 No Content\r\n${length}\r\n${body}`,
    'dropped',
    'RFC 9110 15.3.5: has none; what it sends may come late',
    '',
  ],
  [
    '204 that announces a body',
    `HTTP/1.1 204 No Content\r\n${length}\r\n`,
    'dropped',
    'RFC 9110 8.6: must not; the body may come late',
    '',
  ],
  ['204 with length 0', 'HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n', 'reused', 'harmless', ''],
  [
    '304 with a length',
    `HTTP/1.1 304 Not Modified\r\n${length}\r\n`,
    'dropped',
    'RFC 9110 8.6: may; but nobody asked with a condition',
    '',
  ],
  [
    'interim answers',
    `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${ok}${length}\r\n${body}`,
    'reused',
    'RFC 9110 15.2: read over',
    body,
  ],
  [
    'an interim answer with a length',
    `HTTP/1.1 100 Continue\r\n${length}\r\n${body}${ok}${length}\r\n${body}`,
    'refused',
    'RFC 9110 8.6: must not',
  ],
  [
    'an interim answer of HTTP/1.0',
    `HTTP/1.0 100 Continue\r\n\r\n${ok}${length}\r\n${body}`,
    'refused',
    'RFC 9110 15.2: HTTP/1.0 has none',
  ],
  [
    'nine interim answers',
    'HTTP/1.1 100 Continue\r\n\r\n'.repeat(9) + ok + length + `\r\n${body}`,
    'refused',
    'eight at most',
  ],
  [
    '101 that nobody asked for',
    `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n${inner}`,
    'refused',
    'RFC 9110 15.2.2',
  ],
  ['no length at all', `${ok}\r\n${body}`, 'dropped', 'RFC 9112 6.3: until the connection ends', body],
  ['a length and connection: close', `${ok}${length}connection: close\r\n\r\n${body}`, 'dropped', 'RFC 9112 9.6', body],
  [
    'a header split by CR',
    `${ok}x: a\rset-cookie: b\r\n${length}\r\n${body}`,
    'refused',
    'RFC 9112 2.2: no bare CR reaches a client',
  ],
  [
    'a header split by LF',
    `${ok}x: a\nset-cookie: b\r\n${length}\r\n${body}`,
    'refused',
    'RFC 9112 2.2: no bare LF reaches a client',
  ],
  ['a NUL in a header', `${ok}x: a\0b\r\n${length}\r\n${body}`, 'refused', 'RFC 9110 5.5'],
  ['a folded header', `${ok}x: a\r\n b\r\n${length}\r\n${body}`, 'refused', 'RFC 9112 5.2: a proxy may answer 502'],
  [
    'a blank before a colon',
    `${ok}content-length : 8\r\n\r\n${body}`,
    'refused',
    'RFC 9112 5.1: a proxy must remove or refuse it',
  ],
  ['lines ended by LF', `${ok}${length}\r\n${body}`.replaceAll('\r\n', '\n'), 'refused', 'RFC 9112 2.2: CRLF only'],
  ['an empty line before', `\r\n${ok}${length}\r\n${body}`, 'refused', 'RFC 9112 2.2: for requests only'],
  ['HTTP/2.0', `HTTP/2.0 200 OK\r\n${length}\r\n${body}`, 'refused', 'RFC 9112 2.3'],
  ['a status of two digits', `HTTP/1.1 20 OK\r\n${length}\r\n${body}`, 'refused', 'RFC 9112 4'],
  ['a status above 599', `HTTP/1.1 600 OK\r\n${length}\r\n${body}`, 'refused', 'RFC 9110 15'],
  ['no blank behind the status', `HTTP/1.1 200OK\r\n${length}\r\n${body}`, 'refused', 'RFC 9112 4'],
  [
    'no reason',
    `HTTP/1.1 200\r\n${length}\r\n${body}`,
    'reused',
    'RFC 9112 4: wants a blank, peers leave it out',
    body,
  ],
  ['another protocol', 'SSH-2.0-OpenSSH_9.6\r\n', 'refused', 'told at its first byte'],
  [
    'a head of 70 KB',
    `${ok}x: ${'y'.repeat(70_000)}\r\n${length}\r\n${body}`,
    'refused',
    '64 KiB and 256 fields at most',
  ],
]

/** Every case of the response direction. */
export const responseCases: readonly ResponseCase[] = rows.map(([name, bytes, answer, why, content]) => ({
  name,
  bytes,
  answer,
  why,
  ...(content === undefined ? {} : { body: content }),
}))
