import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type ParsedResponseHead, parseResponseHead } from './response-head.ts'

function parsed(text: string, isHead = false): ParsedResponseHead {
  const head = parseResponseHead(text, 128, isHead)
  assert.ok(typeof head === 'object', `refused: ${JSON.stringify(head)}`)
  return head
}

test('a head becomes status, fields, body and persistence', () => {
  assert.deepEqual(parsed('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n'), {
    status: 200,
    headers: ['content-type', 'text/event-stream', 'transfer-encoding', 'chunked'],
    body: 'chunked',
    bodyBytes: 0,
    keepAlive: true,
  })
})

describe('the end of the body and the connection follow from status, version and fields', () => {
  const cases: readonly [text: string, body: ParsedResponseHead['body'], bytes: number, keepAlive: boolean][] = [
    ['HTTP/1.1 200 OK\r\ncontent-length: 5\r\n', 'length', 5, true],
    ['HTTP/1.1 200\r\ncontent-length: 0\r\n', 'length', 0, true],
    ['HTTP/1.1 200 \r\ncontent-length: 5\r\nconnection: close\r\n', 'length', 5, false],
    ['HTTP/1.1 200 OK\r\n', 'close', 0, false],
    ['HTTP/1.1 200 OK\r\nconnection: keep-alive\r\n', 'close', 0, false],
    ['HTTP/1.0 200 OK\r\ncontent-length: 5\r\n', 'length', 5, false],
    ['HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: Keep-Alive\r\n', 'length', 5, true],
    ['HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive, close\r\n', 'length', 5, false],
    ['HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: x\r\nconnection: CLOSE\r\n', 'length', 5, false],
    ['HTTP/1.1 204 No Content\r\n', 'none', 0, true],
    ['HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n', 'none', 0, true],
    ['HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n', 'none', 0, false],
    ['HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n', 'none', 0, false],
    ['HTTP/1.1 304 Not Modified\r\n', 'none', 0, true],
    ['HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n', 'none', 0, false],
    ['HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n', 'none', 0, false],
    ['HTTP/1.1 100 Continue\r\n', 'none', 0, true],
    ['HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n', 'none', 0, false],
    ['HTTP/1.1 503 Gr\xfc\xdfe \t!\r\ncontent-length: 3\r\n', 'length', 3, true],
  ]
  for (const [text, body, bodyBytes, keepAlive] of cases) {
    test(JSON.stringify(text), () => {
      const head = parsed(text)
      assert.deepEqual([head.body, head.bodyBytes, head.keepAlive], [body, bodyBytes, keepAlive])
    })
  }
})

test('an answer to HEAD has no body whatever it says', () => {
  for (const field of ['content-length: 5\r\n', 'transfer-encoding: chunked\r\n', '']) {
    assert.equal(parsed(`HTTP/1.1 200 OK\r\n${field}`, true).body, 'none')
  }
})

describe('a head is refused', () => {
  const cases: readonly string[] = [
    '',
    '\r\n',
    'HTTP/1.1\r\n',
    'HTTP/2 200 OK\r\n',
    'HTTP/1.2 200 OK\r\n',
    'http/1.1 200 OK\r\n',
    'ICY 200 OK\r\n',
    'HTTP/1.1  200 OK\r\n',
    'HTTP/1.1 20 OK\r\n',
    'HTTP/1.1 2000 OK\r\n',
    'HTTP/1.1 099 OK\r\n',
    'HTTP/1.1 600 OK\r\n',
    'HTTP/1.1 200OK\r\n',
    'HTTP/1.1 200 O\x01K\r\n',
    'HTTP/1.1 200 OK\nx: y\r\n',
    'HTTP/1.1 200 OK\r\rx: y\r\n',
    ' HTTP/1.1 200 OK\r\n',
    'HTTP/1.1 200 OK\r\nx : y\r\n',
    'HTTP/1.1 200 OK\r\nx: y\r\n z\r\n',
    'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n',
    'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n',
    'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n',
    'HTTP/1.1 100 Continue\r\ncontent-length: 5\r\n',
    'HTTP/1.1 103 Early Hints\r\ntransfer-encoding: chunked\r\n',
    'HTTP/1.0 100 Continue\r\n',
    'HTTP/1.1 103 Early Hints\r\nconnection: close\r\n',
  ]
  for (const text of cases)
    test(JSON.stringify(text), () => assert.equal(typeof parseResponseHead(text, 128, false), 'string'))
})
