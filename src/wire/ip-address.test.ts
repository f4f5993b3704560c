import assert from 'node:assert/strict'
import { isIPv4, isIPv6, SocketAddress } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { ipv6Groups, ipv6Text, isIpv4 } from './ip-address.ts'

const part = fc.constantFrom(
  '0',
  '1',
  'ffff',
  '00',
  'fFfF',
  '12345',
  'g',
  ':',
  '::',
  '.',
  '1.2.3.4',
  '1.2.3.04',
  '255.0.0.1',
  '',
)
const nearlySix = fc.array(part, { maxLength: 9 }).map((parts) => parts.join(':'))
const nearlyFour = fc
  .array(fc.constantFrom('0', '1', '255', '256', '01', ' 1', 'a', ''), { maxLength: 5 })
  .map((parts) => parts.join('.'))

test('what is an address here is one for the system, and the other way round', () => {
  fc.assert(
    fc.property(fc.oneof(nearlySix, fc.ipV6(), nearlyFour, fc.ipV4()), (text) => {
      assert.equal(isIpv4(text), isIPv4(text), text)
      assert.equal(ipv6Groups(text) !== undefined, isIPv6(text), text)
    }),
    { seed: 4, numRuns: 3000 },
  )
})

test('an IPv6 address is written as the system writes it, and read back the same', () => {
  const group = fc.oneof(fc.constant(0), fc.constant(0xffff), fc.nat(0xffff))
  const groups = fc.array(group, { minLength: 8, maxLength: 8 })
  fc.assert(
    fc.property(groups, (given) => {
      const text = ipv6Text(given)
      assert.deepEqual(ipv6Groups(text), given)
      const system = new SocketAddress({ address: text, family: 'ipv6' }).address
      // The system writes addresses below 2^32 in the form that RFC 5952 5 leaves to those known to carry IPv4.
      if (!system.includes('.')) assert.equal(text, system)
    }),
    { seed: 4, numRuns: 2000 },
  )
})
