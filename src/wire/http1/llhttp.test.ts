/**
 * The codec against Node's own parser (llhttp with its strict defaults): what llhttp refuses is refused here too, and
 * what both accept is read the same way.
 */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { ChunkDecoder } from './chunk-decoder.ts'
import { isHeadError, parseRequestHead } from './request-head.ts'
import { parseResponseHead } from './response-head.ts'

type Callback = (...args: never[]) => number | void

interface Parser {
  [callback: number]: Callback
  initialize(type: number, resource: object): void
  execute(data: Buffer): number | Error
}

interface ParserClass {
  new (): Parser
  readonly REQUEST: number
  readonly RESPONSE: number
  readonly kOnHeaders: number
  readonly kOnHeadersComplete: number
  readonly kOnBody: number
  readonly kOnMessageComplete: number
}

const { HTTPParser, methods } = createRequire(import.meta.url)('_http_common') as {
  HTTPParser: ParserClass
  methods: readonly string[]
}

interface Message {
  readonly method: string | undefined
  readonly url: string
  readonly status: number
  readonly minor: number
  readonly headers: readonly string[]
  readonly body: string
  readonly complete: boolean
}

/** What llhttp makes of a text; undefined when it refuses it. */
function llhttp(type: number, text: string): Message | undefined {
  const parser = new HTTPParser()
  parser.initialize(type, {})
  const headers: string[] = []
  const body: Buffer[] = []
  let start: Pick<Message, 'method' | 'url' | 'status' | 'minor'> | undefined
  let complete = false
  const take = (more: readonly string[] | undefined): void => void headers.push(...(more ?? []))
  parser[HTTPParser.kOnHeaders] = (more: readonly string[], url: string) => {
    take(more)
    start = { method: undefined, url, status: 0, minor: 0 }
  }
  parser[HTTPParser.kOnHeadersComplete] = (...args: unknown[]) => {
    const [, minor, more, method, url, status] = args as [number, number, string[]?, number?, string?, number?]
    take(more)
    start = { method: methods[method ?? -1], url: url ?? start?.url ?? '', status: status ?? 0, minor }
    return 0
  }
  parser[HTTPParser.kOnBody] = (data: Buffer) => void body.push(Buffer.from(data))
  parser[HTTPParser.kOnMessageComplete] = () => {
    complete = true
  }
  const result = parser.execute(Buffer.from(text, 'latin1'))
  if (result instanceof Error || start === undefined) return undefined
  return { ...start, headers, body: Buffer.concat(body).toString('latin1'), complete }
}

/** A valid text that is damaged in up to three places: replaced, inserted or deleted bytes. */
const interesting = fc.constantFrom(...'\r\n\t :;,=/*"?#@\0\x01\x7f\x80\xff0019azAZ', '\r\n', 'chunked', 'HTTP/1.1')
const damage = fc.array(
  fc.record({ at: fc.nat(), remove: fc.nat(2), insert: fc.oneof(fc.constant(''), interesting) }),
  { maxLength: 3 },
)

function damaged(text: string, places: readonly { at: number; remove: number; insert: string }[]): string {
  let result = text
  for (const { at, remove, insert } of places) {
    const pos = at % (result.length + 1)
    result = result.slice(0, pos) + insert + result.slice(pos + remove)
  }
  return result
}

const field = fc.constantFrom(
  'content-length: 5',
  'Content-Length:0',
  'transfer-encoding: chunked',
  'Transfer-Encoding: gzip, chunked',
  'connection: close',
  'Connection: keep-alive, x',
  'x: \ty z \t',
  'accept: */*',
  'x-empty:',
  'Expect: 100-continue',
  'x: a:b "c" \xe4',
)
const fields = fc.array(field, { maxLength: 4 }).map((list) => list.map((line) => `${line}\r\n`).join(''))
const requestLine = fc
  .tuple(
    fc.constantFrom('GET', 'POST', 'OPTIONS', 'PUT', 'CONNECT'),
    fc.constantFrom('/', '/v1/chat/completions?x=y', '*', 'http://b/c', 'https://b:1?d', '/a%20b'),
    fc.constantFrom('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0'),
  )
  .map((parts) => `${parts.join(' ')}\r\n`)
const requestText = fc.tuple(requestLine, fc.constantFrom('Host: a\r\n', 'host: a:8080\r\n', ''), fields, damage)

/** Where a reader of the stream sees the end of the head. */
function headOf(text: string): string {
  const end = text.indexOf('\r\n\r\n')
  return text.slice(0, end + 2)
}

const lower = (headers: readonly string[]): string[] =>
  headers.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text))

test('property: a request head that llhttp refuses is refused, and one that both accept reads the same', () => {
  let accepted = 0
  let refusedByBoth = 0
  fc.assert(
    fc.property(requestText, ([line, host, more, places]) => {
      const head = headOf(`${damaged(line + host + more, places)}\r\n`)
      const ours = parseRequestHead(head, 128)
      const theirs = llhttp(HTTPParser.REQUEST, `${head}\r\n`)
      if (isHeadError(ours)) {
        if (theirs === undefined) refusedByBoth++
        return
      }
      accepted++
      // llhttp knows a closed list of methods; here any token is one and the path decides.
      if (theirs === undefined && !methods.includes(ours.method)) return
      assert.ok(theirs !== undefined, `only we accept ${JSON.stringify(head)}`)
      assert.equal(theirs.minor, ours.minor)
      assert.equal(theirs.method, ours.method)
      if (theirs.url.startsWith('/')) assert.deepEqual([theirs.url, lower(theirs.headers)], [ours.target, ours.headers])
      else assert.ok(theirs.url === '*' || theirs.url.includes(ours.framing.host))
    }),
    { seed: 21, numRuns: 6000 },
  )
  assert.ok(accepted > 500 && refusedByBoth > 500, `the cases are one-sided: ${accepted}, ${refusedByBoth}`)
})

test('property: a response head that llhttp refuses is refused, and one that both accept reads the same', () => {
  const statusLine = fc.constantFrom(
    'HTTP/1.1 200 OK',
    'HTTP/1.1 503',
    'HTTP/1.0 404 Not Found',
    'HTTP/1.1 204 No Content',
  )
  let accepted = 0
  fc.assert(
    fc.property(statusLine, fields, damage, (line, more, places) => {
      const head = headOf(`${damaged(`${line}\r\n${more}`, places)}\r\n`)
      const ours = parseResponseHead(head, 128, false)
      if (typeof ours === 'string') return
      accepted++
      const theirs = llhttp(HTTPParser.RESPONSE, `${head}\r\n`)
      assert.ok(theirs !== undefined, `only we accept ${JSON.stringify(head)}`)
      assert.deepEqual([theirs.status, lower(theirs.headers)], [ours.status, ours.headers])
    }),
    { seed: 22, numRuns: 3000 },
  )
  assert.ok(accepted > 300)
})

test('property: a chunked body that llhttp refuses is refused, and one that both accept has the same data', () => {
  const chunk = fc.constantFrom(
    '5\r\nhello\r\n',
    '00a;x=y\r\n0123456789\r\n',
    '1;q="a\\"b"\r\n\r\r\n',
    'B\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n',
  )
  const last = fc.constantFrom('0\r\n\r\n', '0\r\nx: y\r\n\r\n', '000;a\r\nx: y\r\nZ:\r\n\r\n')
  let accepted = 0
  fc.assert(
    fc.property(fc.array(chunk, { maxLength: 3 }), last, damage, (chunks, end, places) => {
      const text = damaged(chunks.join('') + end, places)
      const decoder = new ChunkDecoder()
      const data = Buffer.from(text, 'latin1')
      let decoded = ''
      let pos = 0
      while (pos < data.length && !decoder.done && decoder.error === undefined) {
        pos = decoder.next(data, pos, data.length)
        decoded += data.toString('latin1', decoder.dataStart, decoder.dataEnd)
      }
      if (!decoder.done) return
      accepted++
      const theirs = llhttp(
        HTTPParser.REQUEST,
        `POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${text.slice(0, pos)}`,
      )
      assert.ok(theirs !== undefined, `only we accept ${JSON.stringify(text)}`)
      assert.deepEqual([theirs.complete, theirs.body], [true, decoded])
    }),
    { seed: 23, numRuns: 4000 },
  )
  assert.ok(accepted > 400)
})
