import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isHeadError, parseRequestHead } from '#wire/http1/request-head.ts'
import { isHttp2HeadError, readHttp2Head } from './request-head.ts'

const limits = { headBytes: 4096, headerCount: 20 }
const base = [':method', 'POST', ':scheme', 'https', ':path', '/v1/x?y', ':authority', 'gw.test:8443']

test('a head takes the shape of HTTP/1.1', () => {
  const fields = [
    ...base,
    'cookie',
    'a=1',
    'x',
    '1',
    'cookie',
    'b=2',
    'x',
    '2',
    'te',
    'trailers',
    'content-length',
    '7',
  ]
  assert.deepEqual(readHttp2Head(fields, limits), {
    method: 'POST',
    target: '/v1/x?y',
    headers: ['host', 'gw.test:8443', 'cookie', 'a=1; b=2', 'x', '1', 'x', '2', 'content-length', '7'],
    contentLength: 7,
  })
})

test('the host header stands in for the authority, and may say the same', () => {
  const [, , , , , , , , ...none] = base
  const without = base.slice(0, 6)
  for (const fields of [
    [...without, 'host', 'gw.test'],
    [...without, ':authority', 'gw.test', 'host', 'gw.test'],
    [...without, ':authority', 'gw.test', ...none],
  ]) {
    const head = readHttp2Head(fields, limits)
    assert.ok(!isHttp2HeadError(head))
    assert.deepEqual(head.headers, ['host', 'gw.test'])
  }
})

const path = (target: string, method = 'GET'): string[] => [
  ':method',
  method,
  ':scheme',
  'http',
  ':path',
  target,
  ':authority',
  'a',
]

const refused: readonly (readonly [string, readonly string[]])[] = [
  ['no fields', []],
  ['a method that is no token', path('/', 'G T')],
  ['CONNECT', path('/', 'CONNECT')],
  ['an empty method', path('/', '')],
  ['a method that is too long', path('/', 'M'.repeat(33))],
  ['a relative path', path('a')],
  ['an empty path', path('')],
  ['a star for anything but OPTIONS', path('*')],
  ['a line break in the path', path('/\r\nx: y')],
  ['a byte in the path that no URI has', path('/\xe4')],
  ['a fragment', path('/#a')],
  ['user information', [...base.slice(0, 6), ':authority', 'me@gw.test']],
  ['no host', base.slice(0, 6)],
  ['two hosts', [...base.slice(0, 6), 'host', 'a', 'host', 'b']],
  ['another host', [...base, 'host', 'other']],
  ['another scheme', [':method', 'GET', ':scheme', 'file', ':path', '/', ':authority', 'a']],
  ['a pseudo-header twice', [...base, ':path', '/']],
  ['a pseudo-header behind a header', [...base.slice(0, 6), 'x', 'y', ':authority', 'a']],
  ['an unknown pseudo-header', [...base, ':protocol', 'websocket']],
  ['a pseudo-header that every object has', [...base, ':constructor', 'x']],
  ['an upper-case name', [...base, 'X', 'y']],
  ['an empty name', [...base, '', 'y']],
  ['a colon in a name', [...base, 'x:y', 'z']],
  ['a line break in a value', [...base, 'x', 'a\nb']],
  ['a zero byte in a value', [...base, 'x', 'a\0']],
  ['a blank around a value', [...base, 'x', ' a']],
  ['a character that is no byte', [...base, 'x', '\u0142']],
  ['connection', [...base, 'connection', 'close']],
  ['a transfer coding', [...base, 'transfer-encoding', 'chunked']],
  ['an upgrade', [...base, 'upgrade', 'h2c']],
  ['te with more than trailers', [...base, 'te', 'trailers, gzip']],
  ['two lengths', [...base, 'content-length', '1', 'content-length', '1']],
  ['a length with a sign', [...base, 'content-length', '+1']],
  ['an empty length', [...base, 'content-length', '']],
]

for (const [what, fields] of refused) {
  test(`a head with ${what} is refused`, () => {
    const head = readHttp2Head(fields, limits)
    assert.ok(isHttp2HeadError(head))
    assert.equal(head.kind, 'syntax')
    assert.ok(head.detail.length > 0 && head.detail.length < 100)
  })
}

test('a head beyond the limits is told from a malformed one', () => {
  const many = Array.from({ length: 21 }, (_, i) => [`x-${i}`, 'y']).flat()
  const long = ['x', 'y'.repeat(4096)]
  for (const more of [many, long]) {
    const head = readHttp2Head([...base, ...more], limits)
    assert.ok(isHttp2HeadError(head))
    assert.equal(head.kind, 'size')
  }
})

test('what is accepted means the same to the next hop, written as HTTP/1.1: nothing is smuggled', () => {
  const nasty = fc.constantFrom(
    ...'\r\n\t :;,="/?#@%\0\x7f\xe4aZ09',
    '\r\n',
    'chunked',
    'host',
    ' HTTP/1.1\r\n',
    '\u0142',
  )
  const made = fc.array(nasty, { maxLength: 4 }).map((list) => list.join(''))
  const among = (...texts: readonly string[]) =>
    fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...texts) }, { weight: 1, arbitrary: made })
  const text = among('a', '/a?b', '1', '', 'trailers', 'gw.test:80', '*')
  const rare = fc.constantFrom('connection', 'transfer-encoding', 'upgrade', 'keep-alive', ':status', ':path', 'Host')
  const name = fc.oneof(
    { weight: 8, arbitrary: among('host', 'cookie', 'x', 'x-y', 'content-length', 'te') },
    { weight: 1, arbitrary: rare },
  )
  const more = fc.array(fc.tuple(name, text), { maxLength: 4 })
  const changes = fc.record(
    {
      method: among('GET', 'POST', 'OPTIONS'),
      path: among('/', '/a?b=%20', '*'),
      authority: among('a', 'a:1', '[::1]:2', ''),
    },
    { requiredKeys: [] },
  )
  let accepted = 0
  fc.assert(
    fc.property(changes, more, ({ method = 'GET', path: target = '/', authority = 'a' }, fields) => {
      const head = readHttp2Head(
        [':method', method, ':scheme', 'http', ':path', target, ':authority', authority, ...fields.flat()],
        limits,
      )
      if (isHttp2HeadError(head)) return
      accepted++
      let lines = `${head.method} ${head.target} HTTP/1.1\r\n`
      for (let i = 0; i < head.headers.length; i += 2) lines += `${head.headers[i]}: ${head.headers[i + 1]}\r\n`
      const parsed = parseRequestHead(lines, 100)
      assert.ok(!isHeadError(parsed), lines)
      assert.deepEqual([parsed.method, parsed.target, parsed.headers], [head.method, head.target, head.headers])
      assert.deepEqual([parsed.framing.chunked, parsed.framing.contentLength], [false, head.contentLength])
    }),
    { seed: 4, numRuns: 5000 },
  )
  assert.ok(accepted > 500, `${accepted} were accepted`)
})
