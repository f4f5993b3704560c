import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ResponseReader } from './response-reader.ts'

interface Seen {
  readonly heads: readonly number[]
  readonly body: string
  readonly complete: boolean
  readonly error: string | undefined
  readonly keepAlive: boolean
}

/** Reads slices as a connection does: from one buffer that is reused, and no further than the end of the answer. */
function readSlices(slices: readonly Buffer[], isHead = false, reader = new ResponseReader()): Seen {
  const buffer = Buffer.alloc(Math.max(0, ...slices.map(({ length }) => length)) + 16)
  const heads: number[] = []
  const parts: Buffer[] = []
  const sink = {
    head: ({ status }: { status: number }) => void heads.push(status),
    data(data: Buffer, start: number, end: number): void {
      assert.ok(start >= 0 && start < end && end <= data.length)
      parts.push(Buffer.from(data.subarray(start, end)))
    },
  }
  reader.begin(isHead)
  let surplus = 0
  for (const slice of slices) {
    if (reader.error !== undefined) break
    if (reader.complete) {
      surplus += slice.length
      continue
    }
    slice.copy(buffer)
    // What an earlier, longer read left behind: must not be taken for input.
    buffer.write('\r\n\r\n0\r\n\r\n', slice.length, 'latin1')
    reader.read(buffer, slice.length, sink)
    buffer.fill(0)
  }
  const { complete, error } = reader
  const keepAlive = reader.keepAlive && surplus === 0
  return { heads, body: Buffer.concat(parts).toString('latin1'), complete, error, keepAlive }
}

const read = (text: string, isHead = false): Seen => readSlices([Buffer.from(text, 'latin1')], isHead)

function cutAt(text: string, cuts: readonly number[]): Buffer[] {
  const data = Buffer.from(text, 'latin1')
  const at = [0, ...cuts.map((cut) => cut % (data.length + 1)).toSorted((a, b) => a - b), data.length]
  return at.slice(1).flatMap((end, i) => (end === at[i] ? [] : [data.subarray(at[i], end)]))
}

const ok = 'HTTP/1.1 200 OK\r\n'

describe('an answer is read', () => {
  const cases: readonly [name: string, text: string, body: string, keepAlive: boolean][] = [
    ['with a length', `${ok}content-length: 5\r\n\r\nhello`, 'hello', true],
    ['with no bytes', `${ok}content-length: 0\r\n\r\n`, '', true],
    ['chunked', `${ok}transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n`, 'hello', true],
    ['chunked and empty', `${ok}transfer-encoding: chunked\r\n\r\n0\r\n\r\n`, '', true],
    ['chunked with trailers', `${ok}transfer-encoding: chunked\r\n\r\n0\r\nx: y\r\n\r\n`, '', true],
    [
      'after interim answers',
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nlink: y\r\n\r\n${ok}content-length: 1\r\n\r\nx`,
      'x',
      true,
    ],
    ['without a body', 'HTTP/1.1 204 No Content\r\n\r\n', '', true],
    ['that closes', `${ok}content-length: 1\r\nconnection: close\r\n\r\nx`, 'x', false],
    ['with bytes behind its length', `${ok}content-length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n`, 'x', false],
    ['with bytes behind its last chunk', `${ok}transfer-encoding: chunked\r\n\r\n0\r\n\r\nx`, '', false],
    ['with bytes behind an empty body', 'HTTP/1.1 304 x\r\ncontent-length: 5\r\n\r\nhello', '', false],
  ]
  for (const [name, text, body, keepAlive] of cases) {
    test(`${name}, cut at any byte too`, () => {
      const whole = read(text)
      assert.deepEqual([whole.error, whole.body, whole.complete, whole.keepAlive], [undefined, body, true, keepAlive])
      assert.equal(whole.heads.length, 1)
      for (let cut = 1; cut < text.length; cut++)
        assert.deepEqual(readSlices(cutAt(text, [cut])), whole, `cut at ${cut}`)
      assert.deepEqual(
        readSlices(
          cutAt(
            text,
            Array.from(text, (_, i) => i),
          ),
        ),
        whole,
      )
    })
  }
})

test('an answer without length lasts until the connection ends', () => {
  const reader = new ResponseReader()
  const seen = readSlices(cutAt(`${ok}\r\nhello world`, [3, 25]), false, reader)
  assert.deepEqual([seen.body, seen.complete, seen.keepAlive], ['hello world', false, false])
  assert.equal(reader.endOfInput(), true)
  assert.equal(reader.complete, true)
})

test('the end of the connection completes no other answer', () => {
  for (const text of [
    '',
    'HTTP/1.1 200',
    `${ok}content-length: 5\r\n\r\nhell`,
    `${ok}transfer-encoding: chunked\r\n\r\n1\r\nx\r\n`,
  ]) {
    const reader = new ResponseReader()
    readSlices([Buffer.from(text)], false, reader)
    assert.equal(reader.endOfInput(), false, text)
    assert.equal(reader.complete, false)
  }
})

test('an answer to HEAD has no body', () => {
  const seen = read(`${ok}content-length: 5\r\n\r\n`, true)
  assert.deepEqual([seen.complete, seen.body, seen.keepAlive], [true, '', true])
})

describe('what is no answer is an error, cut at any byte too', () => {
  const cases: readonly [name: string, text: string, error: RegExp][] = [
    ['garbage', 'SSH-2.0-OpenSSH\r\n', /not HTTP/],
    ['TLS', '\x15\x03\x01\0\x02\x02\x46', /not HTTP/],
    ['HTTP/2', '\0\0\x12\x04\0\0\0\0\0\0\x03', /not HTTP/],
    ['a blank line', '\r\n', /not HTTP/],
    ['another version', 'HTTP/2.0 200 OK\r\n\r\n', /not HTTP/],
    ['a bad status', 'HTTP/1.1 2xx OK\r\n\r\n', /not HTTP/],
    ['a folded field', `${ok}x: y\r\n z\r\n\r\n`, /name/],
    ['a bare LF', `${ok}x: y\nz: a\r\n\r\n`, /control byte/],
    ['two lengths', `${ok}content-length: 1\r\ncontent-length: 2\r\n\r\n`, /content-length/],
    ['a length and chunked', `${ok}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n`, /both/],
    ['another coding', `${ok}transfer-encoding: gzip\r\n\r\n`, /not chunked/],
    ['a bad chunk', `${ok}transfer-encoding: chunked\r\n\r\nx\r\n`, /hexadecimal/],
    ['a switch of protocols', 'HTTP/1.1 101 x\r\nupgrade: websocket\r\n\r\n', /switched/],
    ['nine interim answers', 'HTTP/1.1 100 x\r\n\r\n'.repeat(9), /interim/],
    ['too many fields', `${ok}${'x: y\r\n'.repeat(257)}\r\n`, /too many/],
  ]
  for (const [name, text, error] of cases) {
    test(name, () => {
      const whole = read(text)
      assert.match(whole.error ?? '', error)
      assert.equal(whole.complete, false)
      for (let cut = 1; cut < Math.min(text.length, 300); cut++) assert.deepEqual(readSlices(cutAt(text, [cut])), whole)
    })
  }
})

test('a head of more than 64 KiB is an error however it arrives', () => {
  const field = `x: ${'y'.repeat(996)}\r\n`
  const large = `${ok}${field.repeat(66)}content-length: 0\r\n\r\n`
  for (const size of [1000, 16_384, 65_536, large.length]) {
    const cuts = Array.from({ length: Math.ceil(large.length / size) - 1 }, (_, i) => (i + 1) * size)
    assert.match(readSlices(cutAt(large, cuts)).error ?? '', /too large/)
  }
  assert.equal(read(`${ok}${field.repeat(60)}content-length: 0\r\n\r\n`).complete, true)
})

test('nothing is delivered after the sink has cancelled', () => {
  for (const text of [
    `${ok}transfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n`,
    `${ok}content-length: 2\r\n\r\nab`,
  ]) {
    const reader = new ResponseReader()
    reader.begin(false)
    let delivered = 0
    const sink = {
      head: () => reader.cancel(),
      data: () => void delivered++,
    }
    reader.read(Buffer.from(text), text.length, sink)
    assert.equal(delivered, 0)
  }
  const reader = new ResponseReader()
  reader.begin(false)
  let delivered = 0
  const text = `${ok}transfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n`
  const sink = {
    head: () => {},
    data: () => {
      delivered++
      reader.cancel()
    },
  }
  reader.read(Buffer.from(text), text.length, sink)
  assert.equal(delivered, 1)
  assert.equal(reader.complete, false)
})

test('one reader reads answer after answer, and the announced idle time', () => {
  const reader = new ResponseReader()
  const announced = (text: string): number | undefined => {
    const { error } = readSlices([Buffer.from(text)], false, reader)
    assert.equal(error, undefined)
    return reader.keepAliveMs
  }
  assert.equal(announced(`${ok}content-length: 1\r\nkeep-alive: timeout=5, max=100\r\n\r\nx`), 5000)
  assert.equal(announced(`${ok}transfer-encoding: chunked\r\nKeep-Alive: Timeout=75\r\n\r\n0\r\n\r\n`), 75_000)
  assert.equal(announced(`${ok}content-length: 1\r\n\r\nx`), undefined)
  assert.equal(announced('HTTP/1.1 204 x\r\nkeep-alive: max=5\r\n\r\n'), undefined)
  reader.begin(false)
  assert.deepEqual([reader.started, reader.complete, reader.keepAlive], [false, false, false])
})

test('property: damaged answers never throw, and how they are cut does not matter', () => {
  const text = fc.constantFrom(
    `HTTP/1.1 100 Continue\r\n\r\n${ok}transfer-encoding: chunked\r\nx: y\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
    `${ok}content-length: 5\r\nkeep-alive: timeout=5\r\n\r\nhello`,
    `HTTP/1.0 500 x\r\nconnection: keep-alive\r\n\r\nhello`,
  )
  const place = fc.tuple(fc.nat(), fc.nat(1), fc.constantFrom('', ...'\r\n\0 :;a0\xff', '\r\n', '\r\n\r\n'))
  fc.assert(
    fc.property(
      text,
      fc.array(place, { maxLength: 3 }),
      fc.array(fc.nat(), { maxLength: 6 }),
      (valid, places, cuts) => {
        let damaged = valid
        for (const [at, remove, insert] of places) {
          const pos = at % (damaged.length + 1)
          damaged = damaged.slice(0, pos) + insert + damaged.slice(pos + remove)
        }
        const whole = read(damaged)
        const pieces = readSlices(cutAt(damaged, cuts))
        // A head that breaks in its first bytes is refused before its end is seen: the reason may be another.
        const { error, ...rest } = pieces
        assert.deepEqual({ ...rest, isError: error !== undefined }, { ...rest, isError: whole.error !== undefined })
        assert.deepEqual(
          [pieces.heads, pieces.complete, pieces.keepAlive],
          [whole.heads, whole.complete, whole.keepAlive],
        )
        assert.equal(pieces.body, whole.body)
      },
    ),
    { seed: 71, numRuns: 2000 },
  )
})
