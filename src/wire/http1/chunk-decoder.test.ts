import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ChunkDecoder } from './chunk-decoder.ts'

interface Decoded {
  readonly body: string
  readonly done: boolean
  readonly error: string | undefined
  /** Bytes consumed. */
  readonly used: number
}

/** Decodes slices of a text; checks on the way that every call moves on and stays inside its slice. */
function decode(slices: readonly Buffer[]): Decoded {
  const decoder = new ChunkDecoder()
  const parts: Buffer[] = []
  let used = 0
  for (const slice of slices) {
    let pos = 0
    while (pos < slice.length && !decoder.done && decoder.error === undefined) {
      const next = decoder.next(slice, pos, slice.length)
      assert.ok(next > pos && next <= slice.length)
      assert.ok(decoder.dataStart <= decoder.dataEnd && decoder.dataEnd <= next)
      parts.push(slice.subarray(decoder.dataStart, decoder.dataEnd))
      pos = next
    }
    used += pos
  }
  return { body: Buffer.concat(parts).toString('latin1'), done: decoder.done, error: decoder.error, used }
}

const decodeText = (text: string): Decoded => decode([Buffer.from(text, 'latin1')])

function split(text: string, cuts: readonly number[]): Buffer[] {
  const data = Buffer.from(text, 'latin1')
  const at = [0, ...cuts.map((cut) => cut % (data.length + 1)).toSorted((a, b) => a - b), data.length]
  return at.slice(1).map((end, i) => data.subarray(at[i], end))
}

const cuts = fc.array(fc.nat(), { maxLength: 12 })
const bytes = fc.uint8Array({ maxLength: 40 }).map((data) => Buffer.from(data).toString('latin1'))
const extension = fc.constantFrom('', '', '', ';a', ';a=b', ';a="x \\" ;y"', ';a;b=c;d=""')
const sized = fc.tuple(bytes, extension, fc.nat(3), fc.boolean()).map(([data, ext, zeros, upper]) => {
  const hex = data.length.toString(16)
  return { data, text: `${'0'.repeat(zeros)}${upper ? hex.toUpperCase() : hex}${ext}\r\n${data}\r\n` }
})
const body = fc
  .tuple(fc.array(sized, { maxLength: 6 }), extension, fc.constantFrom('', '', 'x: y\r\n', 'A-b:\r\nc: \xe9\t"\r\n'))
  .map(([list, ext, trailers]) => {
    const chunks = list.filter(({ data }) => data.length > 0)
    return {
      data: chunks.map(({ data }) => data).join(''),
      text: `${chunks.map(({ text }) => text).join('')}0${ext}\r\n${trailers}\r\n`,
    }
  })

describe('a body is decoded', () => {
  const cases: readonly [name: string, text: string, data: string][] = [
    ['nothing', '0\r\n\r\n', ''],
    ['zeros', '000\r\n\r\n', ''],
    ['eight digits', '00000005\r\nhello\r\n0\r\n\r\n', 'hello'],
    ['both cases', 'a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n', '01234567890123456789'],
    ['data that looks like framing', '7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n', '\r\n0\r\n\r\n'],
    ['extensions', '1;a\r\nx\r\n0;a=b;c="d; \\"";e=""\r\n\r\n', 'x'],
    ['trailers', '0\r\nx: y\r\nz:\r\n\r\n', ''],
  ]
  for (const [name, text, data] of cases) {
    test(name, () => {
      const decoded = decodeText(text)
      assert.deepEqual(decoded, { body: data, done: true, error: undefined, used: text.length })
    })
  }
})

describe('a violation is an error', () => {
  const cases: readonly [name: string, text: string][] = [
    ['no size', '\r\n'],
    ['an extension without a size', ';a\r\n'],
    ['a sign', '+1\r\n'],
    ['a prefix', '0x1\r\n'],
    ['a blank before', ' 1\r\n'],
    ['a blank after', '1 \r\n'],
    ['a letter beyond f', 'g\r\n'],
    ['nine digits', '000000001\r\n'],
    ['a size ended by LF', '1\nx'],
    ['a size ended by CR', '1\rx'],
    ['less data than the size', '2\r\nx\r\n\r\n'],
    ['more data than the size', '1\r\nxy\r\n'],
    ['data ended by LF', '1\r\nx\n0\r\n\r\n'],
    ['data ended by CR', '1\r\nx\r0\r\n\r\n'],
    ['an empty extension', '1;\r\n'],
    ['an extension without a name', '1;=b\r\n'],
    ['an extension with an empty value', '1;a=\r\n'],
    ['a blank in an extension', '1;a b\r\n'],
    ['an extension with a line break', '1;a="\n"\r\n'],
    ['an extension with a control byte', '1;a=\x01\r\n'],
    ['text behind a quoted extension', '1;a="b"c\r\n'],
    ['a quote inside an extension value', '1;a=b"c"\r\n'],
    ['a trailer without a colon', '0\r\nx\r\n\r\n'],
    ['a trailer without a name', '0\r\n: x\r\n\r\n'],
    ['a blank before the colon of a trailer', '0\r\nx : y\r\n\r\n'],
    ['a folded trailer', '0\r\nx: y\r\n z\r\n\r\n'],
    ['a trailer with a control byte', '0\r\nx: \0\r\n\r\n'],
    ['a trailer ended by LF', '0\r\nx: y\n\r\n'],
    ['a trailer ended by CR', '0\r\nx: y\rz: a\r\n\r\n'],
    ['a length as a trailer', '0\r\nContent-Length: 5\r\n\r\n'],
    ['a coding as a trailer', '0\r\ntransfer-encoding: chunked\r\n\r\n'],
    ['an end without LF', '0\r\n\rx'],
    ['an end of LF', '0\r\n\n'],
  ]
  for (const [name, text] of cases) {
    test(name, () => {
      const decoded = decodeText(text)
      assert.notEqual(decoded.error, undefined)
      assert.equal(decoded.done, false)
    })
  }
})

test('the largest size is accepted and its data passes piece by piece', () => {
  const decoder = new ChunkDecoder()
  const head = Buffer.from('ffffffff\r\n')
  assert.equal(decoder.next(head, 0, head.length), head.length)
  const data = Buffer.alloc(10)
  assert.equal(decoder.next(data, 0, 10), 10)
  assert.deepEqual([decoder.dataStart, decoder.dataEnd, decoder.error], [0, 10, undefined])
})

test('extensions and trailers are bounded over the whole body', () => {
  const chunk = `1;${'a'.repeat(200)}\r\nx\r\n`
  assert.equal(decodeText(chunk.repeat(70)).error, undefined)
  assert.match(decodeText(chunk.repeat(100)).error ?? '', /too long/)
  assert.match(decodeText(`0\r\n${`x: ${'y'.repeat(100)}\r\n`.repeat(200)}\r\n`).error ?? '', /too long/)
})

test('nothing is consumed after the end or after an error', () => {
  const decoder = new ChunkDecoder()
  const text = Buffer.from('0\r\n\r\nGET / HTTP/1.1')
  assert.equal(decoder.next(text, 0, text.length), 5)
  assert.equal(decoder.done, true)
  assert.equal(decoder.next(text, 5, text.length), 5)
  const bad = new ChunkDecoder()
  const at = bad.next(Buffer.from('xyz'), 0, 3)
  const { error } = bad
  assert.equal(bad.next(Buffer.from('1\r\n'), at, 3), at)
  assert.equal(bad.error, error)
})

test('property: a valid body gives the same data however it is cut', () => {
  fc.assert(
    fc.property(body, cuts, ({ data, text }, at) => {
      assert.deepEqual(decode(split(text, at)), { body: data, done: true, error: undefined, used: text.length })
    }),
    { seed: 11, numRuns: 500 },
  )
})

test('property: a body cut after every byte gives the same data', () => {
  fc.assert(
    fc.property(body, ({ data, text }) => {
      const single = [...Buffer.from(text, 'latin1')].map((byte) => Buffer.of(byte))
      assert.deepEqual(decode(single), { body: data, done: true, error: undefined, used: text.length })
    }),
    { seed: 12, numRuns: 100 },
  )
})

test('property: a damaged body never throws or loops, and how it is cut does not matter', () => {
  fc.assert(
    fc.property(body, fc.nat(), fc.integer({ min: 0, max: 255 }), cuts, ({ text }, at, byte, where) => {
      const data = Buffer.from(text, 'latin1')
      data[at % data.length] = byte
      const damaged = data.toString('latin1')
      const whole = decodeText(damaged)
      assert.ok(whole.body.length <= text.length)
      const inPieces = decode(split(damaged, where))
      assert.deepEqual([inPieces.body, inPieces.done, inPieces.error], [whole.body, whole.done, whole.error])
    }),
    { seed: 13, numRuns: 1000 },
  )
})
