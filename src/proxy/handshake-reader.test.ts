import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { HandshakeReader } from './handshake-reader.ts'

const switched = 'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n'

function read(text: string, cuts: readonly number[] = []): HandshakeReader {
  const data = Buffer.from(text, 'latin1')
  const reader = new HandshakeReader()
  let from = 0
  for (const cut of [...cuts.map((each) => each % (data.length + 1)), data.length].toSorted((a, b) => a - b)) {
    // The memory is used again after the call, as the one that sockets read into.
    const memory = Buffer.concat([data.subarray(from, cut), Buffer.alloc(50, 0x58)])
    const isDone = reader.hasSwitched || reader.isComplete || reader.error !== undefined
    if (!isDone) reader.push(memory, cut - from)
    else if (reader.hasSwitched) reader.rest = Buffer.concat([reader.rest, memory.subarray(0, cut - from)])
    memory.fill(0)
    from = cut
  }
  return reader
}

test('a switch is seen, with what came right behind it', () => {
  for (const before of ['', 'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(8)]) {
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 8 }), (cuts) => {
        const reader = read(`${before}${switched}\x81\x01a`, cuts)
        assert.deepEqual([reader.hasSwitched, reader.error, reader.answer?.status], [true, undefined, 101])
        assert.equal(reader.rest.toString('latin1'), '\x81\x01a')
      }),
      { seed: 2, numRuns: 200 },
    )
  }
})

describe('another answer is read whole', () => {
  const answers = [
    ['a length', 'HTTP/1.1 403 No\r\ncontent-length: 5\r\nx: y\r\n\r\nnever'],
    ['chunks', 'HTTP/1.1 403 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\nne\r\n3\r\nver\r\n0\r\n\r\n'],
    ['interim answers before', 'HTTP/1.1 100 C\r\n\r\nHTTP/1.1 403 No\r\ncontent-length: 5\r\n\r\nnever'],
  ] as const
  for (const [title, text] of answers) {
    test(title, () => {
      fc.assert(
        fc.property(fc.array(fc.nat(), { maxLength: 8 }), (cuts) => {
          const reader = read(text, cuts)
          assert.deepEqual([reader.isComplete, reader.answer?.status, reader.body.toString()], [true, 403, 'never'])
        }),
        { seed: 3, numRuns: 200 },
      )
    })
  }

  test('until the end of the connection', () => {
    const reader = read('HTTP/1.1 404 No\r\n\r\nnothing here', [20])
    assert.equal(reader.isComplete, false)
    assert.equal(reader.endOfInput(), true)
    assert.equal(reader.body.toString(), 'nothing here')
  })
})

describe('what is no answer is an error', () => {
  const cases = [
    ['something else', 'SSH-2.0-x\r\n\r\n', /status line/],
    ['a bad head', 'HTTP/1.1 101 x\r\nbad header: y\r\n\r\n', /token/],
    ['too many interim answers', 'HTTP/1.1 100 C\r\n\r\n'.repeat(9), /interim/],
    ['an endless head', `HTTP/1.1 101 x\r\n${'a: b\r\n'.repeat(20_000)}`, /too large/],
    ['an endless body', `HTTP/1.1 500 x\r\ncontent-length: 999999\r\n\r\n${'x'.repeat(300_000)}`, /too long/],
    ['a bad chunk', 'HTTP/1.1 500 x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n', /chunk/],
  ] as const
  for (const [title, text, error] of cases) {
    test(title, () => {
      const reader = read(text)
      assert.match(reader.error ?? '', error)
      assert.deepEqual([reader.hasSwitched, reader.isComplete, reader.endOfInput()], [false, false, false])
    })
  }

  test('a connection that ends too early', () => {
    for (const text of ['', 'HTTP/1.1 10', 'HTTP/1.1 403 No\r\ncontent-length: 5\r\n\r\nnev'])
      assert.equal(read(text).endOfInput(), false)
  })
})
