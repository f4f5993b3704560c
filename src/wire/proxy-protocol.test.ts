import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { crc32c } from './crc32c.ts'
import { ProxyHeaderReader, type ProxySource } from './proxy-protocol.ts'

interface Read {
  readonly done: boolean
  readonly error: string | undefined
  readonly source: ProxySource | undefined
  /** Bytes taken. */
  readonly taken: number
}

/** Reads `bytes` in pieces that end at `cuts`. */
function readIn(bytes: Buffer, cuts: readonly number[] = []): Read {
  const reader = new ProxyHeaderReader()
  let taken = 0
  for (const cut of [...cuts, bytes.length]) {
    // A piece lies anywhere in its buffer.
    const piece = Buffer.concat([Buffer.from('??'), bytes.subarray(taken, cut), Buffer.from('??')])
    taken += reader.read(piece, 2, piece.length - 2) - 2
    if (reader.done || reader.error !== undefined) break
  }
  const { done, error, source } = reader
  return { done, error, source, taken }
}

const signature = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')

function binary(command: number, family: number, rest: Buffer, length = rest.length): Buffer {
  return Buffer.concat([signature, Buffer.from([command, family, length >> 8, length & 255]), rest])
}

const four = Buffer.from([192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 0x01, 0xbb])
const six = Buffer.from(
  '20010db8000000000000000000000001 20010db8000000000000000000000002 3039 01bb'.replace(/ /g, ''),
  'hex',
)

function extension(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type, value.length >> 8, value.length & 255]), value])
}

/** The header with a checksum over all of it behind the addresses. */
function summed(family: number, addresses: Buffer, more: Buffer = Buffer.alloc(0)): Buffer {
  const header = binary(0x21, family, Buffer.concat([addresses, extension(3, Buffer.alloc(4)), more]))
  header.writeUInt32BE(crc32c(header), 16 + addresses.length + 3)
  return header
}

const good: readonly (readonly [string, Buffer | string, ProxySource | undefined])[] = [
  ['IPv4 as text', 'PROXY TCP4 192.0.2.1 198.51.100.2 12345 443\r\n', { address: '192.0.2.1', port: 12345 }],
  ['IPv6 as text', 'PROXY TCP6 2001:DB8:0:0::1 ::1 1 65535\r\n', { address: '2001:db8::1', port: 1 }],
  ['IPv4 within IPv6', 'PROXY TCP6 ::ffff:c000:201 ::1 1 2\r\n', { address: '::ffff:192.0.2.1', port: 1 }],
  ['nobody in short', 'PROXY UNKNOWN\r\n', undefined],
  ['nobody with words', 'PROXY UNKNOWN ffff::1 what ever 99999999\r\n', undefined],
  ['IPv4 in binary', binary(0x21, 0x11, four), { address: '192.0.2.1', port: 12345 }],
  ['IPv6 in binary', binary(0x21, 0x21, six), { address: '2001:db8::1', port: 12345 }],
  ['datagrams of QUIC', binary(0x21, 0x12, four), { address: '192.0.2.1', port: 12345 }],
  ['a socket file', binary(0x21, 0x31, Buffer.alloc(216)), undefined],
  ['no family', binary(0x21, 0x00, Buffer.alloc(0)), undefined],
  ['no family and what nobody understands', binary(0x21, 0x00, Buffer.from('abc')), undefined],
  ['the proxy itself', binary(0x20, 0x00, Buffer.alloc(0)), undefined],
  ['the proxy itself, whatever follows', binary(0x20, 0xff, Buffer.from('abc')), undefined],
  [
    'extensions',
    binary(0x21, 0x11, Buffer.concat([four, extension(0xe0, Buffer.alloc(300)), extension(4, Buffer.alloc(0))])),
    { address: '192.0.2.1', port: 12345 },
  ],
  ['a checksum', summed(0x11, four), { address: '192.0.2.1', port: 12345 }],
  [
    'a checksum among extensions',
    summed(0x21, six, extension(0x20, Buffer.from('tls'))),
    { address: '2001:db8::1', port: 12345 },
  ],
]

for (const [title, header, source] of good) {
  test(`the PROXY protocol tells ${title}, however it is cut, and takes no byte more`, () => {
    const bytes = Buffer.concat([Buffer.from(header), Buffer.from('GET / HTTP/1.1\r\n')])
    const length = Buffer.from(header).length
    const expected = { done: true, error: undefined, source, taken: length }
    for (let cut = 0; cut <= length; cut++) assert.deepEqual(readIn(bytes, [cut]), expected, `cut at ${cut}`)
    for (let end = 0; end < length; end++) assert.equal(readIn(bytes.subarray(0, end)).done, false)
  })
}

const damagedSum = summed(0x11, four)
damagedSum[16] = 193

const bad: readonly (readonly [string, Buffer | string, RegExp])[] = [
  ['HTTP', 'GET / HTTP/1.1\r\n', /begin with PROXY/],
  ['TLS', Buffer.from('160301', 'hex'), /begin with PROXY/],
  ['another word', 'PROXIES', /begin with PROXY/],
  ['a lone line feed', 'PROXY UNKNOWN\n', /CRLF/],
  ['a line that is too long', `PROXY UNKNOWN ${'x'.repeat(100)}`, /107/],
  ['an unknown protocol', 'PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n', /none of TCP4/],
  ['a lower-case protocol', 'PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n', /none of TCP4/],
  ['no address', 'PROXY TCP4\r\n', /two addresses/],
  ['two blanks', 'PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n', /two addresses/],
  ['a word too many', 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n', /two addresses/],
  ['IPv6 called IPv4', 'PROXY TCP4 ::1 ::2 1 2\r\n', /not one of TCP4/],
  ['IPv4 called IPv6', 'PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n', /not one of TCP6/],
  ['a leading zero', 'PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n', /not one of TCP4/],
  ['an octet that is none', 'PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n', /not one of TCP4/],
  ['two gaps in IPv6', 'PROXY TCP6 1::2::3 ::1 1 2\r\n', /not one of TCP6/],
  ['a port that is none', 'PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n', /port/],
  ['a port with a zero in front', 'PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n', /port/],
  ['a signed port', 'PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n', /port/],
  ['a broken signature', Buffer.from('0d0a0d0a000d0a515549540b', 'hex'), /signature/],
  ['version 1 in binary', binary(0x11, 0x11, four), /version/],
  ['an unknown command', binary(0x22, 0x11, four), /command/],
  ['an unknown family', binary(0x21, 0x41, four), /family/],
  ['an unknown transport', binary(0x21, 0x13, four), /family/],
  ['addresses that are too short', binary(0x21, 0x21, four), /too short/],
  ['a length beyond the bound', binary(0x21, 0x11, four, 4097), /longer than/],
  ['half an extension', binary(0x21, 0x11, Buffer.concat([four, Buffer.from([1, 0])])), /cut off/],
  ['an extension that is too long', binary(0x21, 0x11, Buffer.concat([four, Buffer.from([1, 0, 9, 0])])), /cut off/],
  ['a checksum of two bytes', binary(0x21, 0x11, Buffer.concat([four, extension(3, Buffer.alloc(2))])), /4 bytes/],
  ['a wrong checksum', damagedSum, /checksum is wrong/],
]

for (const [title, header, error] of bad) {
  test(`the PROXY protocol refuses ${title}, however it is cut`, () => {
    const bytes = Buffer.from(header)
    const whole = readIn(bytes)
    assert.match(whole.error ?? '', error)
    for (let cut = 0; cut <= bytes.length; cut++) assert.deepEqual(readIn(bytes, [cut]), whole, `cut at ${cut}`)
  })
}

test('a checksum is compared with the header as it came, which is left as it was', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa)
})

test('any bytes in any pieces are read the same, and never beyond the bound', () => {
  const start = fc.constantFrom(...[...good, ...bad].map(([, header]) => Buffer.from(header)))
  const damage = fc.array(fc.record({ at: fc.nat(), byte: fc.nat(255) }), { maxLength: 3 })
  const tail = fc.uint8Array({ maxLength: 20 })
  const cuts = fc.array(fc.nat(300), { maxLength: 6 })
  fc.assert(
    fc.property(start, damage, tail, cuts, (header, places, rest, at) => {
      const bytes = Buffer.concat([header, rest])
      for (const { at: place, byte } of places) bytes[place % bytes.length] = byte
      const whole = readIn(bytes)
      const sorted = at.map((cut) => Math.min(cut, bytes.length)).toSorted((a, b) => a - b)
      assert.deepEqual(readIn(bytes, sorted), whole)
      assert.ok(whole.taken <= 16 + 4096)
      assert.ok(!(whole.done && whole.error !== undefined))
    }),
    { seed: 4, numRuns: 2000 },
  )
})
