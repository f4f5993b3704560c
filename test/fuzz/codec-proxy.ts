import { isIPv4, isIPv6, SocketAddress } from 'node:net'
import { crc32c } from '#wire/crc32c.ts'
import { ProxyHeaderReader, type ProxySource } from '#wire/proxy-protocol.ts'
import type { Codec, Verdict } from './codec.ts'
import { type Random, slicesOf } from './random.ts'

interface Reading {
  /** Bytes of the header; -1 when it is not complete or not good. */
  readonly end: number
  readonly source: ProxySource | undefined
  readonly error: string | undefined
}

const signature = '\r\n\r\n\0\r\nQUIT\n'

/** Headers of the PROXY protocol beside a reading of the whole text with Node's own idea of addresses. */
export const proxyCodec: Codec = {
  name: 'proxy',
  generate: (random) =>
    (random.chance(0.5) ? textHeader(random) : binaryHeader(random)) + random.of(['', 'GET / HTTP/1.1\r\n']),
  check(input: Buffer, cuts: readonly number[]): Verdict {
    const whole = read([input])
    const cut = read(slicesOf(input, cuts))
    const accepted = whole.end >= 0
    const [a, b] = [JSON.stringify(whole), JSON.stringify(cut)]
    if (a !== b) return { accepted, difference: `cut, it reads differently:\n  whole ${a}\n  cut   ${b}` }
    if (!accepted) return { accepted, difference: undefined }
    const judge = JSON.stringify(judged(input))
    const { source } = whole
    const ours = JSON.stringify([
      whole.end,
      source === undefined ? null : { ...source, address: canonical(source.address) },
    ])
    return {
      accepted,
      difference: ours === judge ? undefined : `it reads differently:\n  ours  ${ours}\n  judge ${judge}`,
    }
  },
}

function read(slices: readonly Buffer[]): Reading {
  const reader = new ProxyHeaderReader()
  let before = 0
  for (const slice of slices) {
    const pos = reader.read(slice, 0, slice.length)
    if (reader.done) return { end: before + pos, source: reader.source, error: undefined }
    if (reader.error !== undefined) return { end: -1, source: undefined, error: reader.error }
    before += slice.length
  }
  return { end: -1, source: undefined, error: undefined }
}

/** Length of the header and its source; undefined when there is no good one. */
function judged(input: Buffer): readonly [number, ProxySource | null] | undefined {
  return input.toString('latin1', 0, signature.length) === signature ? judgedBinary(input) : judgedText(input)
}

function judgedText(input: Buffer): readonly [number, ProxySource | null] | undefined {
  const line = /^PROXY ([^\n]*)\r\n/.exec(input.toString('latin1', 0, 107))
  if (line === null) return undefined
  const [text, rest = ''] = line
  if (rest === 'UNKNOWN' || rest.startsWith('UNKNOWN ')) return [text.length, null]
  const match = /^TCP([46]) ([^ ]+) ([^ ]+) (\d+) (\d+)$/.exec(rest)
  if (match === null) return undefined
  const [, version, from = '', to = '', port] = match
  const isAddress = version === '4' ? isIPv4 : isIPv6
  if (!isAddress(from) || !isAddress(to)) return undefined
  return [text.length, { address: canonical(from), port: Number(port) }]
}

/** As Node spells it; what is compared is the address and not its spelling. */
function canonical(address: string): string {
  return isIPv4(address) ? address : new SocketAddress({ address, family: 'ipv6' }).address
}

function judgedBinary(input: Buffer): readonly [number, ProxySource | null] | undefined {
  const length = 16 + input.readUInt16BE(14)
  if (input.length < length) return undefined
  const familyByte = input.readUInt8(13)
  if (input.readUInt8(12) === 0x20 || (familyByte & 15) === 0) return [length, null]
  if (familyByte >> 4 === 1)
    return [length, { address: [...input.subarray(16, 20)].join('.'), port: input.readUInt16BE(24) }]
  if (familyByte >> 4 !== 2) return [length, null]
  const groups = Array.from({ length: 8 }, (_, i) => input.readUInt16BE(16 + 2 * i).toString(16))
  return [length, { address: canonical(groups.join(':')), port: input.readUInt16BE(48) }]
}

function textHeader(random: Random): string {
  if (random.chance(0.15)) return `PROXY UNKNOWN${random.of(['', ' x', ' ::1 ::2 1 2'])}\r\n`
  const four = ['192.0.2.1', '0.0.0.0', '255.255.255.255', '10.1.2.3']
  const six = ['::1', '2001:db8::7', '::', '1:2:3:4:5:6:7:8', '::ffff:1.2.3.4', 'fe80::1:0:0:2', 'ABCD::0:1']
  const isFour = random.chance(0.5)
  const address = (): string => random.of(isFour ? four : six)
  const port = (): string => random.of(['0', '1', '443', '65535'])
  return `PROXY TCP${isFour ? 4 : 6} ${address()} ${address()} ${port()} ${port()}\r\n`
}

function binaryHeader(random: Random): string {
  const family = random.of([0x11, 0x11, 0x21, 0x21, 0x12, 0x31, 0x00])
  const addresses = [0, 12, 36, 216][family >> 4] ?? 0
  const extensions = random.times(random.below(3), () => extension(random))
  const body = Buffer.concat([
    Buffer.from(random.times(addresses, () => random.below(random.chance(0.5) ? 2 : 256))),
    ...extensions,
  ])
  const head = Buffer.alloc(16)
  head.write(signature, 'latin1')
  head[12] = random.chance(0.9) ? 0x21 : 0x20
  head[13] = family
  head.writeUInt16BE(body.length, 14)
  const header = Buffer.concat([head, body])
  if (random.chance(0.3)) return withChecksum(header)
  return header.toString('latin1')
}

function extension(random: Random): Buffer {
  const value = Buffer.from(random.times(random.below(9), () => random.below(256)))
  return Buffer.concat([Buffer.from([random.of([1, 2, 4, 5, 0x20, 0xea]), 0, value.length]), value])
}

function withChecksum(header: Buffer): string {
  const full = Buffer.concat([header, Buffer.from([3, 0, 4, 0, 0, 0, 0])])
  full.writeUInt16BE(full.length - 16, 14)
  full.writeUInt32BE(crc32c(full), full.length - 4)
  return full.toString('latin1')
}
