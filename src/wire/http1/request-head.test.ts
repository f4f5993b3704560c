import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isHeadError, type ParsedRequestHead, parseRequestHead, type RequestHeadError } from './request-head.ts'

const parse = (text: string, maxHeaders = 128): ParsedRequestHead | RequestHeadError =>
  parseRequestHead(text, maxHeaders)
const post = (fields: string): string => `POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n${fields}`

function accepted(text: string): ParsedRequestHead {
  const head = parse(text)
  assert.ok(!isHeadError(head), `refused: ${JSON.stringify(head)}`)
  return head
}

function refused(text: string): RequestHeadError {
  const head = parse(text)
  assert.ok(isHeadError(head), `accepted: ${JSON.stringify(text)}`)
  return head
}

test('a head becomes method, target, version, fields and framing', () => {
  const head = accepted(
    'POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: gateway:8080\r\nContent-Type: application/json\r\n' +
      'X-Two: 1\r\nx-two:\t2 \t\r\nContent-Length: 17\r\nConnection: Keep-Alive, X-Two\r\nEmpty:\r\n',
  )
  assert.deepEqual(head, {
    method: 'POST',
    target: '/v1/chat/completions?a=b',
    minor: 1,
    headers: [
      ['host', 'gateway:8080', 'content-type', 'application/json', 'x-two', '1', 'x-two', '2'],
      ['content-length', '17', 'connection', 'Keep-Alive, X-Two', 'empty', ''],
    ].flat(),
    framing: {
      contentLength: 17,
      chunked: false,
      unknownCoding: false,
      connection: ['keep-alive', 'x-two'],
      hosts: 1,
      host: 'gateway:8080',
    },
  })
})

describe('a head is accepted', () => {
  const cases: readonly [name: string, text: string][] = [
    ['HTTP/1.0 without a host', 'POST / HTTP/1.0\r\n'],
    ['an empty host', 'GET / HTTP/1.1\r\nhost:\r\n'],
    ['an IPv6 host', 'GET / HTTP/1.1\r\nhost: [::1]:8080\r\n'],
    ['bytes above 0x7f in a value', post('x: caf\xe9 \xff\r\n')],
    ['a value of blanks', post('x: \t \r\n')],
    ['a colon in a value', post('x: a:b: c\r\n')],
    ['every token character in a name', post("!#$%&'*+-.^_`|~09azAZ: x\r\n")],
    ['a method nobody knows', 'BREW / HTTP/1.1\r\nhost: a\r\n'],
    ['an asterisk with OPTIONS', 'OPTIONS * HTTP/1.1\r\nhost: a\r\n'],
    ['chunked in capitals', post('Transfer-Encoding: CHUNKED\r\n')],
    ['a length of 15 digits', post('content-length: 999999999999999\r\n')],
    ['a length with leading zeros', post('content-length: 0017\r\n')],
    ['two slashes', 'GET //a//b HTTP/1.1\r\nhost: a\r\n'],
  ]
  for (const [name, text] of cases) test(name, () => void accepted(text))
})

describe('a head is refused', () => {
  const cases: readonly [name: string, text: string][] = [
    ['no method', ' / HTTP/1.1\r\nhost: a\r\n'],
    ['a blank line before', '\r\nGET / HTTP/1.1\r\nhost: a\r\n'],
    ['a method of 33 characters', `${'A'.repeat(33)} / HTTP/1.1\r\nhost: a\r\n`],
    ['a method with a bad character', 'GE(T / HTTP/1.1\r\nhost: a\r\n'],
    ['two blanks before the target', 'GET  / HTTP/1.1\r\nhost: a\r\n'],
    ['two blanks after the target', 'GET /  HTTP/1.1\r\nhost: a\r\n'],
    ['a tab for a blank', 'GET\t/ HTTP/1.1\r\nhost: a\r\n'],
    ['a blank in the target', 'GET /a b HTTP/1.1\r\nhost: a\r\n'],
    ['no target', 'GET HTTP/1.1\r\nhost: a\r\n'],
    ['no version', 'GET /\r\nhost: a\r\n'],
    ['a fragment', 'GET /a#b HTTP/1.1\r\nhost: a\r\n'],
    ['bytes above 0x7f in the target', 'GET /\xe4 HTTP/1.1\r\nhost: a\r\n'],
    ['a control byte in the target', 'GET /\x01 HTTP/1.1\r\nhost: a\r\n'],
    ['a relative target', 'GET v1/models HTTP/1.1\r\nhost: a\r\n'],
    ['an asterisk with GET', 'GET * HTTP/1.1\r\nhost: a\r\n'],
    ['authority-form', 'CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n'],
    ['CONNECT with a path', 'CONNECT /a HTTP/1.1\r\nhost: a\r\n'],
    ['another scheme', 'GET ftp://a/ HTTP/1.1\r\nhost: a\r\n'],
    ['a URI without a host', 'GET http:///a HTTP/1.1\r\nhost: a\r\n'],
    ['a URI with user information', 'GET http://b@a/ HTTP/1.1\r\nhost: a\r\n'],
    ['a URI with a backslash in its host', 'GET http://a\\b/ HTTP/1.1\r\nhost: a\r\n'],
    ['a lower-case version', 'GET / http/1.1\r\nhost: a\r\n'],
    ['a version of three digits', 'GET / HTTP/1.10\r\nhost: a\r\n'],
    ['a version in words', 'GET / HTTP/a.b\r\nhost: a\r\n'],
    ['a request line ended by LF', 'GET / HTTP/1.1\nhost: a\r\n'],
    ['a request line ended by CR', 'GET / HTTP/1.1\rhost: a\r\n'],
    ['no host', 'GET / HTTP/1.1\r\n'],
    ['two hosts', 'GET / HTTP/1.1\r\nhost: a\r\nHost: a\r\n'],
    ['two hosts in HTTP/1.0', 'GET / HTTP/1.0\r\nhost: a\r\nHost: b\r\n'],
    ['a list of hosts', 'GET / HTTP/1.1\r\nhost: a, b\r\n'],
    ['a host with a path', 'GET / HTTP/1.1\r\nhost: a/b\r\n'],
    ['a host with user information', 'GET / HTTP/1.1\r\nhost: a@b\r\n'],
    ['a folded value', post('x: a\r\n b\r\n')],
    ['a folded value with a tab', post('x: a\r\n\tb\r\n')],
    ['a fold before the first field', 'GET / HTTP/1.1\r\n host: a\r\n'],
    ['a blank before the colon', post('x : a\r\n')],
    ['a tab before the colon', post('x\t: a\r\n')],
    ['an empty name', post(': a\r\n')],
    ['a line without a colon', post('x\r\n')],
    ['a name above 0x7f', post('caf\xe9: a\r\n')],
    ['a name with a bracket', post('x[]: a\r\n')],
    ['a NUL in a name', post('x\0: a\r\n')],
    ['a NUL in a value', post('x: a\0b\r\n')],
    ['a DEL in a value', post('x: a\x7fb\r\n')],
    ['a vertical tab before a value', post('x:\va\r\n')],
    ['a bare CR in a value', post('x: a\rb\r\n')],
    ['a bare CR at the end of a value', post('x: a\r\r\n')],
    ['a bare LF in a value', post('x: a\nb: c\r\n')],
    ['a line ended by CR CR', post('x: a\r\ry: b\r\n')],
    ['two lengths, different', post('content-length: 1\r\ncontent-length: 2\r\n')],
    ['two lengths, equal', post('content-length: 1\r\ncontent-length: 1\r\n')],
    ['a list of lengths', post('content-length: 1, 1\r\n')],
    ['an empty length', post('content-length:\r\n')],
    ['a signed length', post('content-length: +1\r\n')],
    ['a negative length', post('content-length: -1\r\n')],
    ['a hexadecimal length', post('content-length: 0x1\r\n')],
    ['a broken length', post('content-length: 1 1\r\n')],
    ['a length with a fraction', post('content-length: 1.0\r\n')],
    ['a length in other digits', post('content-length: \xb2\r\n')],
    ['a length of 16 digits', post('content-length: 1000000000000000\r\n')],
    ['a length beyond 64 bits', post('content-length: 18446744073709551617\r\n')],
    ['a length and chunked', post('content-length: 1\r\ntransfer-encoding: chunked\r\n')],
    ['chunked and a length', post('transfer-encoding: chunked\r\ncontent-length: 1\r\n')],
    ['another coding and a length', post('transfer-encoding: gzip\r\ncontent-length: 1\r\n')],
    ['chunked twice', post('transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n')],
    ['another coding and chunked', post('transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n')],
    ['a coding in HTTP/1.0', 'POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n'],
    ['nothing', ''],
    ['a line end', '\r\n'],
  ]
  for (const [name, text] of cases) test(name, () => assert.equal(refused(text).kind, 'syntax'))
})

test('transfer codings other than one chunked have a kind of their own', () => {
  for (const value of [
    '',
    'gzip',
    'gzip, chunked',
    'chunked, chunked',
    'chunked;q=1',
    'identity',
    'xchunked',
    '"chunked"',
  ]) {
    assert.equal(refused(post(`transfer-encoding: ${value}\r\n`)).kind, 'coding', value)
  }
})

test('other versions have a kind of their own', () => {
  for (const version of ['0.9', '1.2', '1.9', '2.0', '3.0']) {
    assert.deepEqual(refused(`GET / HTTP/${version}\r\nhost: a\r\n`), { kind: 'version', detail: `HTTP/${version}` })
  }
})

test('too many fields have a kind of their own', () => {
  const fields = 'x: y\r\n'.repeat(127)
  assert.ok(!isHeadError(parse(post(fields))))
  assert.deepEqual(parse(post(`${fields}x: y\r\n`)), { kind: 'count', detail: 'too many header fields' })
})

test('an absolute-form target gives the path, and its host replaces the host header', () => {
  const cases: readonly [uri: string, target: string, host: string][] = [
    ['http://b', '/', 'b'],
    ['http://b:81/', '/', 'b:81'],
    ['HTTPS://b/v1/models?x=/y', '/v1/models?x=/y', 'b'],
    ['http://b?x', '/?x', 'b'],
    ['http://[::1]:80/a', '/a', '[::1]:80'],
  ]
  for (const [uri, target, host] of cases) {
    const head = accepted(`GET ${uri} HTTP/1.1\r\nx: y\r\nhost: other\r\n`)
    assert.equal(head.target, target)
    assert.deepEqual(head.headers, ['x', 'y', 'host', host])
    assert.equal(head.framing.host, host)
    assert.deepEqual(accepted(`GET ${uri} HTTP/1.0\r\n`).headers, ['host', host])
  }
})
