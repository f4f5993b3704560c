import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { ClientOrigin } from '#contracts/exchange.ts'
import { clientOrigin, compileTrustedProxies, plainAddress } from './client-origin.ts'

const trusted = compileTrustedProxies(['10.0.0.0/8', '192.0.2.7', 'fd00::/8'])
const nobody = compileTrustedProxies([])

function originOf(headers: readonly string[], address = '10.0.0.1', proxies = trusted): ClientOrigin {
  return clientOrigin({ address, isSecure: false }, ['host', 'gateway:8080', ...headers], proxies)
}

test('without trusted proxies the peer is the client, whatever the headers say', () => {
  const lies = [
    'x-forwarded-for',
    '10.0.0.9',
    'forwarded',
    'for=10.0.0.9;proto=https;host=evil',
    'x-forwarded-proto',
    'https',
    'x-forwarded-host',
    'evil',
  ]
  for (const proxies of [nobody, trusted]) {
    assert.deepEqual(originOf(lies, '203.0.113.5', proxies), {
      address: '203.0.113.5',
      scheme: 'http',
      host: 'gateway:8080',
      forwardedFor: '203.0.113.5',
    })
  }
  assert.equal(clientOrigin({ address: '::1', isSecure: true }, [], nobody).scheme, 'https')
  assert.equal(clientOrigin({ address: '::1', isSecure: true }, [], nobody).host, '')
  assert.equal(originOf([], '', nobody).forwardedFor, 'unknown')
})

describe('the client is the first address on the way that is not trusted', () => {
  const cases: readonly [title: string, headers: readonly string[], address: string, forwardedFor: string][] = [
    ['nothing is said', [], '10.0.0.1', '10.0.0.1'],
    ['one proxy', ['x-forwarded-for', '203.0.113.5'], '203.0.113.5', '203.0.113.5, 10.0.0.1'],
    ['two proxies', ['x-forwarded-for', '203.0.113.5, 10.0.0.2'], '203.0.113.5', '203.0.113.5, 10.0.0.2, 10.0.0.1'],
    [
      'several lines are one list',
      ['x-forwarded-for', '203.0.113.5', 'x-forwarded-for', '10.0.0.2'],
      '203.0.113.5',
      '203.0.113.5, 10.0.0.2, 10.0.0.1',
    ],
    [
      'a client that makes up a chain',
      ['x-forwarded-for', '1.1.1.1, 10.9.9.9, 203.0.113.5'],
      '203.0.113.5',
      '203.0.113.5, 10.0.0.1',
    ],
    [
      'a client that makes up a line',
      ['x-forwarded-for', '10.9.9.9', 'x-forwarded-for', '203.0.113.5'],
      '203.0.113.5',
      '203.0.113.5, 10.0.0.1',
    ],
    ['all are trusted', ['x-forwarded-for', '10.0.0.3, 10.0.0.2'], '10.0.0.3', '10.0.0.3, 10.0.0.2, 10.0.0.1'],
    [
      'a single address as network',
      ['x-forwarded-for', '1.1.1.1,192.0.2.7'],
      '1.1.1.1',
      '1.1.1.1, 192.0.2.7, 10.0.0.1',
    ],
    ['a port', ['x-forwarded-for', '203.0.113.5:4711'], '203.0.113.5', '203.0.113.5, 10.0.0.1'],
    ['IPv6', ['x-forwarded-for', '2001:DB8::5, fd00::2'], '2001:db8::5', '2001:db8::5, fd00::2, 10.0.0.1'],
    ['IPv6 in brackets', ['x-forwarded-for', '[2001:db8::5]:1'], '2001:db8::5', '2001:db8::5, 10.0.0.1'],
    ['IPv4 in IPv6', ['x-forwarded-for', '1.1.1.1, ::ffff:10.0.0.2'], '1.1.1.1', '1.1.1.1, 10.0.0.2, 10.0.0.1'],
    ['unknown', ['x-forwarded-for', '1.1.1.1, unknown'], '10.0.0.1', '10.0.0.1'],
    ['a name', ['x-forwarded-for', '1.1.1.1, localhost, 10.0.0.2'], '10.0.0.2', '10.0.0.2, 10.0.0.1'],
    ['no address', ['x-forwarded-for', '1.1.1.1, 999.1.1.1'], '10.0.0.1', '10.0.0.1'],
    ['empty elements', ['x-forwarded-for', ' ,1.1.1.1,, ,10.0.0.2 ,'], '1.1.1.1', '1.1.1.1, 10.0.0.2, 10.0.0.1'],
    ['forwarded', ['forwarded', 'for=203.0.113.5'], '203.0.113.5', '203.0.113.5, 10.0.0.1'],
    [
      'forwarded, quoted IPv6 and a second proxy',
      ['forwarded', 'for="[2001:db8::5]:99";proto=https, for=10.0.0.2'],
      '2001:db8::5',
      '2001:db8::5, 10.0.0.2, 10.0.0.1',
    ],
    ['forwarded, obfuscated', ['forwarded', 'for=1.1.1.1, for=_proxy, for=10.0.0.2'], '10.0.0.2', '10.0.0.2, 10.0.0.1'],
    ['forwarded, unknown', ['forwarded', 'for=unknown'], '10.0.0.1', '10.0.0.1'],
    ['forwarded without for', ['forwarded', 'for=1.1.1.1, proto=http'], '10.0.0.1', '10.0.0.1'],
    ['forwarded, malformed', ['forwarded', 'for=1.1.1.1, for=10.0.0.2;;'], '10.0.0.1', '10.0.0.1'],
    [
      'forwarded, an open quote made up by the client',
      ['forwarded', 'for="1.1.1.1, for=203.0.113.5'],
      '203.0.113.5',
      '203.0.113.5, 10.0.0.1',
    ],
    [
      'both agree',
      ['forwarded', 'for=203.0.113.5, for=10.0.0.2', 'x-forwarded-for', '203.0.113.5, 10.0.0.2'],
      '203.0.113.5',
      '203.0.113.5, 10.0.0.2, 10.0.0.1',
    ],
    [
      'a client that makes up what its proxy passes on unread',
      ['forwarded', 'for=127.0.0.1', 'x-forwarded-for', '203.0.113.5'],
      '10.0.0.1',
      '10.0.0.1',
    ],
    [
      'a client that makes up the other one, behind two proxies',
      ['forwarded', 'for=203.0.113.5, for=10.0.0.2', 'x-forwarded-for', '1.1.1.1, 10.0.0.2'],
      '10.0.0.2',
      '10.0.0.2, 10.0.0.1',
    ],
  ]
  for (const [title, headers, address, forwardedFor] of cases) {
    test(title, () => {
      const origin = originOf(headers)
      assert.deepEqual([origin.address, origin.forwardedFor], [address, forwardedFor])
    })
  }
})

describe('scheme and host are those the client asked with', () => {
  const cases: readonly [title: string, headers: readonly string[], scheme: string, host: string][] = [
    ['nothing is said', ['x-forwarded-for', '1.1.1.1'], 'http', 'gateway:8080'],
    [
      'one value',
      ['x-forwarded-for', '1.1.1.1', 'x-forwarded-proto', 'HTTPS', 'x-forwarded-host', 'a.example'],
      'https',
      'a.example',
    ],
    [
      'one value, two proxies',
      ['x-forwarded-for', '1.1.1.1, 10.0.0.2', 'x-forwarded-proto', 'https'],
      'https',
      'gateway:8080',
    ],
    ['lists', ['x-forwarded-for', '1.1.1.1, 10.0.0.2', 'x-forwarded-proto', 'https, http'], 'https', 'gateway:8080'],
    [
      'a made-up element',
      ['x-forwarded-for', '9.9.9.9, 1.1.1.1', 'x-forwarded-proto', 'https, http'],
      'http',
      'gateway:8080',
    ],
    ['no addresses', ['x-forwarded-proto', 'https', 'x-forwarded-host', 'b:1'], 'https', 'b:1'],
    [
      'nonsense',
      ['x-forwarded-for', '1.1.1.1', 'x-forwarded-proto', 'gopher', 'x-forwarded-host', 'a b'],
      'http',
      'gateway:8080',
    ],
    [
      'forwarded',
      ['forwarded', 'for=1.1.1.1;proto=https;host="c.example:8443", for=10.0.0.2;proto=http;host=x'],
      'https',
      'c.example:8443',
    ],
    [
      'forwarded, the nearer one says more',
      ['forwarded', 'for=1.1.1.1, for=10.0.0.2;proto=https'],
      'https',
      'gateway:8080',
    ],
    ['forwarded, nameless', ['forwarded', 'for=_x;proto=https;host=h'], 'https', 'h'],
  ]
  for (const [title, headers, scheme, host] of cases) {
    test(title, () => {
      const origin = originOf(headers)
      assert.deepEqual([origin.scheme, origin.host], [scheme, host])
    })
  }
})

test('a peer is recognised in every spelling of its address', () => {
  for (const address of ['::ffff:10.0.0.1', '::ffff:a00:1', 'fd00::1', 'fd00::1%eth0', '10.255.255.255']) {
    assert.equal(originOf(['x-forwarded-for', '1.1.1.1'], address).address, '1.1.1.1', address)
  }
  const mapped = compileTrustedProxies(['::ffff:10.0.0.0/104'])
  assert.equal(originOf(['x-forwarded-for', '1.1.1.1'], '10.2.3.4', mapped).address, '1.1.1.1')
  assert.equal(plainAddress('::FFFF:1.2.3.4'), '1.2.3.4')
  assert.equal(originOf([], '::ffff:1.2.3.4', nobody).address, '1.2.3.4')
})

test('an endless chain is looked at from its near end, and not far', () => {
  const chain = Array.from({ length: 5000 }, () => '10.0.0.2').join(',')
  const { address, forwardedFor } = originOf(['x-forwarded-for', `1.1.1.1,${chain}`])
  assert.equal(address, '10.0.0.2')
  assert.equal(forwardedFor.split(', ').length, 33)
})

test('property: nothing a client writes makes it another address than the one the nearest proxy saw', () => {
  const noise = fc.string({
    unit: fc.constantFrom('1', '.', ':', ',', '"', ' ', '\\', '[', ']', 'f', '=', ';'),
    maxLength: 24,
  })
  const node = fc.oneof(noise, fc.ipV4(), fc.ipV6())
  fc.assert(
    fc.property(fc.array(node, { maxLength: 6 }), fc.boolean(), (made, isStandard) => {
      const before = made.map((text) => `${text},`).join('')
      const headers = isStandard
        ? ['forwarded', `${before}for=203.0.113.5;proto=http`]
        : ['x-forwarded-for', `${before}203.0.113.5`]
      assert.equal(originOf(headers).address, '203.0.113.5')
    }),
    { seed: 9, numRuns: 2000 },
  )
})
