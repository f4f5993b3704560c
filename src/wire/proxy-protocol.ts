import { crc32c } from './crc32c.ts'
import { ipv6Groups, ipv6Text, isIpv4 } from './ip-address.ts'

/** Who a connection comes from, as the proxy in front names it. */
export interface ProxySource {
  /** IPv4 in dotted decimal, or IPv6 as RFC 5952 writes it. */
  readonly address: string
  readonly port: number
}

const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
/** Longest header of version 1, the line end included. */
const maxTextBytes = 107
const fixedBytes = 16
/** The format allows 64 KiB; the addresses are at most 216 bytes and a TLS report of HAProxy is a few hundred. */
const maxExtraBytes = 4096

const checksumType = 0x03
const lf = 0x0a

/**
 * Reads the header of the PROXY protocol, version 1 or 2, from the front of a connection (HAProxy, proxy-protocol.txt).
 * Any split of the bytes is read the same. One reader for one header.
 */
export class ProxyHeaderReader {
  /** The header is complete. */
  done = false
  /** What is wrong; nothing is read after it. */
  error: string | undefined = undefined
  /** Undefined when the proxy speaks for itself (LOCAL: health checks) or names nobody (UNKNOWN, UNSPEC, UNIX). */
  source: ProxySource | undefined = undefined
  #held = Buffer.allocUnsafe(maxTextBytes)
  #bytes = 0
  /** Of the whole header, as soon as that is known. */
  #length = -1

  /** Takes `input[from, end)`; returns where the bytes behind the header begin, `end` while it is incomplete. */
  read(input: Uint8Array, from: number, end: number): number {
    let pos = from
    while (pos < end && !this.done && this.error === undefined) {
      this.#hold(input[pos++] as number)
      this.#advance()
    }
    return pos
  }

  #hold(byte: number): void {
    if (this.#bytes === this.#held.length) {
      const longer = Buffer.allocUnsafe(fixedBytes + maxExtraBytes)
      this.#held.copy(longer)
      this.#held = longer
    }
    this.#held[this.#bytes++] = byte
  }

  #advance(): void {
    const held = this.#held
    const last = held[this.#bytes - 1]
    if (held[0] === signature[0]) return this.#advanceBinary()
    if (this.#bytes <= 6 && last !== 'PROXY '.charCodeAt(this.#bytes - 1)) this.error = 'it does not begin with PROXY'
    else if (last === lf) this.#finish(readText(held.toString('latin1', 0, this.#bytes)))
    else if (this.#bytes >= maxTextBytes) this.error = 'its line is longer than 107 bytes'
  }

  #advanceBinary(): void {
    const held = this.#held
    const count = this.#bytes
    if (count <= signature.length && held[count - 1] !== signature[count - 1]) this.error = 'its signature is wrong'
    else if (count === fixedBytes) {
      const extra = held.readUInt16BE(14)
      this.#length = fixedBytes + extra
      if (extra > maxExtraBytes) this.error = `it is longer than ${fixedBytes + maxExtraBytes} bytes`
      else this.error = fixedPartError(held[12] as number, held[13] as number)
    }
    if (count === this.#length && this.error === undefined) this.#finish(readBinary(held.subarray(0, count)))
  }

  #finish(result: ProxySource | string | undefined): void {
    if (typeof result === 'string') this.error = result
    else {
      this.source = result
      this.done = true
    }
  }
}

/** Version 1: the source, undefined for UNKNOWN, or what is wrong. */
function readText(line: string): ProxySource | string | undefined {
  if (!line.endsWith('\r\n')) return 'its line does not end with CRLF'
  const [, family, ...rest] = line.slice(0, -2).split(' ')
  if (family === 'UNKNOWN') return undefined
  if (family !== 'TCP4' && family !== 'TCP6') return 'its protocol is none of TCP4, TCP6, UNKNOWN'
  const [from = '', to = '', fromPort = '', toPort = ''] = rest
  if (rest.length !== 4) return 'it has not two addresses and two ports'
  const [address, destination] = [plainAddress(from, family), plainAddress(to, family)]
  if (address === undefined || destination === undefined) return `an address of it is not one of ${family}`
  const [port, destinationPort] = [portOf(fromPort), portOf(toPort)]
  if (port < 0 || destinationPort < 0) return 'a port of it is not a number up to 65535'
  return { address, port }
}

function plainAddress(text: string, family: 'TCP4' | 'TCP6'): string | undefined {
  if (family === 'TCP4') return isIpv4(text) ? text : undefined
  const groups = ipv6Groups(text)
  return groups === undefined ? undefined : ipv6Text(groups)
}

function portOf(text: string): number {
  return /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535 ? Number(text) : -1
}

const command = { local: 0x20, proxy: 0x21 } as const
/** High half of the byte that tells family and transport; the low half is 1 for streams, 2 for datagrams. */
const family = { unspecified: 0, ipv4: 1, ipv6: 2, unix: 3 } as const
/** Both addresses and both ports, by family. */
const addressBytes = [0, 12, 36, 216] as const

function fixedPartError(commandByte: number, familyByte: number): string | undefined {
  if (commandByte >> 4 !== 2) return 'its version is not 2'
  if (commandByte !== command.local && commandByte !== command.proxy) return 'its command is neither LOCAL nor PROXY'
  // What a proxy says of itself is not read.
  if (commandByte === command.local) return undefined
  if (familyByte >> 4 > family.unix || (familyByte & 15) > 2) return 'its address family is unknown'
  return undefined
}

/** Version 2: the source, undefined when there is none, or what is wrong. */
function readBinary(header: Buffer): ProxySource | string | undefined {
  if (header[12] === command.local) return undefined
  const which = (header[13] as number) >> 4
  if (which === family.unspecified || (header[13] as number) % 16 === 0) return undefined
  const end = fixedBytes + (addressBytes[which] as number)
  if (header.length < end) return 'it is too short for its addresses'
  const error = extensionError(header, end)
  if (error !== undefined) return error
  if (which === family.ipv4) return { address: header.subarray(16, 20).join('.'), port: header.readUInt16BE(24) }
  if (which === family.unix) return undefined
  const groups = Array.from({ length: 8 }, (_, index) => header.readUInt16BE(16 + 2 * index))
  return { address: ipv6Text(groups), port: header.readUInt16BE(48) }
}

/** What is wrong with the extensions (type, length, value) behind the addresses; they are skipped but the checksum. */
function extensionError(header: Buffer, from: number): string | undefined {
  let pos = from
  while (pos < header.length) {
    if (pos + 3 > header.length) return 'an extension of it is cut off'
    const start = pos + 3
    const length = header.readUInt16BE(pos + 1)
    if (start + length > header.length) return 'an extension of it is cut off'
    if (header[pos] === checksumType) {
      if (length !== 4) return 'its checksum has not 4 bytes'
      const sum = header.readUInt32BE(start)
      header.fill(0, start, start + 4)
      const isRight = crc32c(header) === sum
      header.writeUInt32BE(sum, start)
      if (!isRight) return 'its checksum is wrong'
    }
    pos = start + length
  }
  return undefined
}
