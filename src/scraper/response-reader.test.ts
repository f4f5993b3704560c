import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { maxBodyBytes, type ReadState, ResponseReader, ResponseStores } from './response-reader.ts'

function readPieces(pieces: readonly Buffer[], ended = false): { readonly state: ReadState; readonly body: string } {
  const reader = new ResponseReader(new ResponseStores())
  // One piece of memory for all of them, as the sockets have.
  const shared = Buffer.alloc(Math.max(1, ...pieces.map((piece) => piece.length)))
  let state: ReadState = 'more'
  for (const piece of pieces) {
    piece.copy(shared)
    state = reader.push(shared.subarray(0, piece.length))
    if (state !== 'more') break
  }
  if (ended && state === 'more') state = reader.end()
  return { state, body: state === 'done' ? reader.body.toString('latin1') : '' }
}

function response(text: string): Buffer {
  return Buffer.from(text.replaceAll('\n', '\r\n'), 'latin1')
}

const good = [
  { name: 'a length', text: 'HTTP/1.1 200 OK\ncontent-length: 5\n\nhello', body: 'hello' },
  { name: 'no body', text: 'HTTP/1.1 204 No Content\n\n', body: '' },
  { name: 'an empty body', text: 'HTTP/1.1 200 OK\ncontent-length: 0\n\n', body: '' },
  {
    name: 'chunks',
    text: 'HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n3\nhel\n2;x=y\nlo\n0\nx: y\n\n',
    body: 'hello',
  },
  {
    name: 'an interim response',
    text: 'HTTP/1.1 103 Early Hints\nlink: x\n\nHTTP/1.1 200 OK\ncontent-length: 2\n\nhi',
    body: 'hi',
  },
] as const

for (const { name, text, body } of good) {
  test(`reads a response with ${name}, whole and in any pieces`, () => {
    const bytes = response(text)
    assert.deepEqual(readPieces([bytes]), { state: 'done', body })
    fc.assert(
      fc.property(fc.array(fc.nat({ max: bytes.length }), { maxLength: 6 }), (cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), bytes.length]
        const pieces = at
          .slice(1)
          .map((end, i) => bytes.subarray(at[i], end))
          .filter((piece) => piece.length > 0)
        assert.deepEqual(readPieces(pieces), { state: 'done', body })
      }),
    )
  })
}

test('reads a body that lasts until the connection ends', () => {
  const bytes = response('HTTP/1.0 200 OK\ncontent-type: text/plain\n\nhello')
  assert.deepEqual(readPieces([bytes], true), { state: 'done', body: 'hello' })
  assert.deepEqual(readPieces([bytes.subarray(0, 40), bytes.subarray(40)], true), { state: 'done', body: 'hello' })
})

const bad = [
  { name: 'another protocol', text: 'SSH-2.0-OpenSSH\n\n' },
  { name: 'bytes after the body', text: 'HTTP/1.1 200 OK\ncontent-length: 2\n\nhello' },
  { name: 'bytes after the last chunk', text: 'HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n0\n\nx' },
  { name: 'length and chunks', text: 'HTTP/1.1 200 OK\ncontent-length: 2\ntransfer-encoding: chunked\n\n' },
  { name: 'a bad chunk size', text: 'HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\nxyz\n' },
  { name: 'an unknown coding', text: 'HTTP/1.1 200 OK\ntransfer-encoding: gzip\n\n' },
  { name: 'a switch of protocols', text: 'HTTP/1.1 101 Switching Protocols\n\n' },
  { name: 'endless interim responses', text: 'HTTP/1.1 100 Continue\n\n'.repeat(20) },
  { name: 'an endless head', text: `HTTP/1.1 200 OK\nx: ${'y'.repeat(20_000)}` },
  { name: 'a body that is too long', text: `HTTP/1.1 200 OK\ncontent-length: ${maxBodyBytes + 1}\n\n` },
] as const

for (const { name, text } of bad) {
  test(`refuses ${name}`, () => {
    const { state } = readPieces([response(text)])
    assert.equal(typeof state, 'object')
  })
}

test('refuses a response that is cut off', () => {
  const bytes = response('HTTP/1.1 200 OK\ncontent-length: 5\n\nhel')
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(typeof readPieces([bytes.subarray(0, length)], true).state, 'object')
  }
})

test('bounds chunked and unbounded bodies', () => {
  const piece = Buffer.alloc(64 * 1024, 0x61)
  const chunk = Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')])
  for (const [head, part] of [
    ['HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n', chunk],
    ['HTTP/1.1 200 OK\n\n', piece],
  ] as const) {
    const { state } = readPieces([response(head), ...Array.from({ length: 70 }, () => part)])
    assert.deepEqual(state, { error: 'the response is too large', reason: 'too-large' })
  }
})

test('never throws, whatever comes', () => {
  const bytes = response('HTTP/1.1 200 OK\ntransfer-encoding: chunked\nx: y\n\n3\nhel\n2\nlo\n0\n\n')
  const edit = fc.record({
    at: fc.nat({ max: bytes.length }),
    with: fc.uint8Array({ maxLength: 4 }),
    cut: fc.nat({ max: 5 }),
  })
  fc.assert(
    fc.property(fc.array(edit, { maxLength: 4 }), fc.nat({ max: 60 }), (edits, cut) => {
      let mutated = bytes
      for (const { at, with: put, cut: gone } of edits) {
        mutated = Buffer.concat([mutated.subarray(0, at), put, mutated.subarray(at + gone)])
      }
      readPieces([mutated.subarray(0, cut), mutated.subarray(cut)], true)
    }),
    { numRuns: 500 },
  )
})

test('hands its memory round', () => {
  const stores = new ResponseStores()
  const first = new ResponseReader(stores)
  assert.equal(first.push(response('HTTP/1.1 200 OK\ncontent-length: 5\n\nhe')), 'more')
  assert.equal(first.push(Buffer.from('llo')), 'done')
  const memory = first.body.buffer
  first.release()
  const second = new ResponseReader(stores)
  assert.equal(second.push(response('HTTP/1.1 200 OK\ncontent-length: 2\n\nh')), 'more')
  assert.equal(second.push(Buffer.from('i')), 'done')
  assert.equal(second.body.buffer, memory)
  assert.equal(second.body.toString(), 'hi')
})
