import { BlockList, isIP, SocketAddress } from 'node:net'
import type { ClientOrigin } from '#contracts/exchange.ts'
import { type HeaderList, headerOf } from '#core/header-list.ts'
import { lastElementStart, nodeAddress, parseForwardedElement } from '#wire/forwarded.ts'
import { trimBlanks } from '#wire/http1/trim-blanks.ts'

/** Networks whose forwarding headers are believed. */
export interface TrustedProxies {
  /** Nobody is believed: the usual case, and the one that costs nothing. */
  readonly isEmpty: boolean
  /** `address` as `plainAddress` gives it. */
  has(address: string): boolean
}

/** The peer of a connection, or whom its PROXY protocol header names. */
export interface PeerAddress {
  readonly address: string
  readonly isSecure: boolean
}

/** Elements of a forwarding header that are looked at, from the nearest on: more proxies in a row are a loop. */
const maxHops = 32

const mappedPrefix = '::ffff:'

/** Compiles networks written `address/bits` or `address`. Throws the system's error for what is neither. */
export function compileTrustedProxies(cidrs: readonly string[]): TrustedProxies {
  const list = new BlockList()
  for (const cidr of cidrs) {
    const [network = '', bits] = cidr.split('/', 2)
    const address = plainAddress(network)
    const isMapped = address !== network && isIP(address) === 4
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
    const most = family === 'ipv4' ? 32 : 128
    const given = bits === undefined ? most : Number(bits) - (isMapped ? 96 : 0)
    list.addSubnet(address, given, family)
  }
  return {
    isEmpty: cidrs.length === 0,
    has: (address) => {
      const family = isIP(address)
      return family !== 0 && list.check(address, family === 4 ? 'ipv4' : 'ipv6')
    },
  }
}

/** An address in the one spelling used everywhere: IPv4 also where IPv6 carries it, no zone. */
export function plainAddress(address: string): string {
  if (!address.includes(':')) return address
  const zone = address.indexOf('%')
  const bare = zone < 0 ? address : address.slice(0, zone)
  if (isIP(bare) !== 6) return bare
  const { address: spelled } = new SocketAddress({ address: bare, family: 'ipv6' })
  return spelled.startsWith(mappedPrefix) && spelled.includes('.') ? spelled.slice(mappedPrefix.length) : spelled
}

/** What one proxy says of the request it received. */
interface Hop {
  /** Who asked it; undefined when it does not say (`unknown`, an obfuscated name). */
  readonly address: string | undefined
  readonly scheme: ClientOrigin['scheme'] | undefined
  readonly host: string | undefined
}

/**
 * Who the client is. A peer that is not trusted is the client, whatever its headers say. A trusted one is believed
 * about who asked it, that one (when trusted too) about who asked it, and so on: the client is the first address on the
 * way that is not trusted, and what is written beyond it counts for nothing. An element that is malformed, or that
 * names no address, ends the walk: the proxy before it is then all that is known.
 *
 * `forwarded` (RFC 7239) is read before `x-forwarded-for`, `-proto`, `-host`. Where a request has both, an address
 * counts only if both name it: most proxies write one of the two and pass on the other as the client sent it.
 */
export function clientOrigin(peer: PeerAddress, headers: HeaderList, trusted: TrustedProxies): ClientOrigin {
  const scheme = peer.isSecure ? 'https' : 'http'
  const host = headerOf(headers, 'host') ?? ''
  const address = plainPeer(peer.address)
  if (trusted.isEmpty || !trusted.has(address)) {
    return { address, scheme, host, forwardedFor: forwardedName(address) }
  }
  return walk({ address, scheme, host, forwardedFor: forwardedName(address) }, hopsOf(headers), trusted)
}

/** What the system gives is spelled as it should be but for IPv4 in IPv6: no need to parse it. */
function plainPeer(address: string): string {
  if (!address.startsWith(mappedPrefix)) return address.includes('%') ? plainAddress(address) : address
  return address.includes('.') ? address.slice(mappedPrefix.length) : plainAddress(address)
}

function forwardedName(address: string): string {
  return address === '' ? 'unknown' : address
}

function walk(peer: ClientOrigin, hops: readonly Hop[], trusted: TrustedProxies): ClientOrigin {
  let { address, scheme, host, forwardedFor } = peer
  for (const hop of hops) {
    scheme = hop.scheme ?? scheme
    host = hop.host ?? host
    if (hop.address === undefined) break
    address = hop.address
    forwardedFor = `${address}, ${forwardedFor}`
    if (!trusted.has(address)) break
  }
  return { address, scheme, host, forwardedFor }
}

/** What is said of the way here, the nearest proxy first. */
function hopsOf(headers: HeaderList): readonly Hop[] {
  const standard = elementsOf(headers, 'forwarded')
  const addresses = elementsOf(headers, 'x-forwarded-for')
  if (standard.length === 0) return legacyHops(headers, addresses)
  const hops = standardHops(standard)
  if (addresses.length === 0) return hops
  const other = legacyHops(headers, addresses)
  const differs = hops.findIndex((hop, i) => hop.address !== other[i]?.address)
  return differs < 0 ? hops : hops.slice(0, differs)
}

function standardHops(elements: readonly string[]): Hop[] {
  const hops: Hop[] = []
  for (const text of elements) {
    const element = parseForwardedElement(text)
    if (element === undefined) break
    const address = addressOf(element.for ?? '')
    hops.push({ address, scheme: schemeOf(element.proto), host: authorityOf(element.host) })
    if (address === undefined) break
  }
  return hops
}

/**
 * `x-forwarded-proto` and `-host` are lists beside that of the addresses with some proxies, and one value that each
 * proxy overwrites or leaves with others: then it is said of the whole way.
 */
function legacyHops(headers: HeaderList, addresses: readonly string[]): Hop[] {
  const schemes = elementsOf(headers, 'x-forwarded-proto')
  const hosts = elementsOf(headers, 'x-forwarded-host')
  if (addresses.length === 0) return [{ address: undefined, scheme: schemeOf(schemes[0]), host: authorityOf(hosts[0]) }]
  return addresses.map((text, i) => ({
    address: addressOf(text),
    scheme: schemeOf(schemes[schemes.length === addresses.length ? i : 0]),
    host: authorityOf(hosts[hosts.length === addresses.length ? i : 0]),
  }))
}

/** Elements of a list header over all its lines, the last first, empty ones left out; at most `maxHops`. */
function elementsOf(headers: HeaderList, name: string): string[] {
  const elements: string[] = []
  for (let i = headers.length - 2; i >= 0; i -= 2) {
    if (headers[i] !== name) continue
    const value = headers[i + 1] as string
    for (let end = value.length; end >= 0; ) {
      const start = lastElementStart(value, end)
      const text = trimBlanks(value.slice(start, end))
      if (text !== '') elements.push(text)
      if (elements.length >= maxHops) return elements
      end = start - 1
    }
  }
  return elements
}

function addressOf(node: string): string | undefined {
  const address = nodeAddress(node)
  return address !== undefined && isIP(address) !== 0 ? plainAddress(address) : undefined
}

function schemeOf(text: string | undefined): ClientOrigin['scheme'] | undefined {
  const scheme = text?.toLowerCase()
  return scheme === 'http' || scheme === 'https' ? scheme : undefined
}

const authority = /^(?:[0-9A-Za-z._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/

function authorityOf(text: string | undefined): string | undefined {
  return text !== undefined && authority.test(text) ? text : undefined
}
