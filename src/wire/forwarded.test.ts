import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { lastElementStart, nodeAddress, parseForwardedElement } from './forwarded.ts'

describe('an element of a forwarded header', () => {
  const good: readonly [text: string, expected: readonly (string | undefined)[]][] = [
    ['for=192.0.2.43', ['192.0.2.43']],
    ['For="[2001:db8:cafe::17]:4711"', ['[2001:db8:cafe::17]:4711']],
    ['for=192.0.2.60;proto=http;by=203.0.113.43', ['192.0.2.60', 'http']],
    ['proto=https; host="a.example:8443" ;for=_hidden', ['_hidden', 'https', 'a.example:8443']],
    ['for=unknown', ['unknown']],
    ['for="a\\"b\\\\c"', ['a"b\\c']],
    ['secret=x;HOST=h', [undefined, undefined, 'h']],
    ['for=""', ['']],
  ]
  for (const [text, [of, proto, host]] of good) {
    test(text, () => assert.deepEqual(parseForwardedElement(text), { for: of, proto, host }))
  }

  const bad = [
    '',
    'for',
    'for=',
    '=x',
    'for =x',
    'for= x',
    'for=a b',
    'for=[::1]',
    'for=1.2.3.4:80',
    'for="x',
    'for=x"',
    'for="x"y',
    'for="a"b"',
    'for=a;for=b',
    'proto=http;Proto=https',
    'for=a,for=b',
    ';for=a',
    'for=a;;proto=http',
    'for="a\nb"',
    'for=\x00',
    'for="\\',
  ]
  for (const text of bad) {
    test(`${JSON.stringify(text)} is malformed`, () => assert.equal(parseForwardedElement(text), undefined))
  }
})

test('the address of a node identifier stands without brackets and port', () => {
  const cases: readonly [node: string, address: string | undefined][] = [
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1:8080', '192.0.2.1'],
    ['192.0.2.1:_port', '192.0.2.1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['2001:db8::1', '2001:db8::1'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
    ['unknown', undefined],
    ['_obfuscated', undefined],
    ['', undefined],
    ['host.example', undefined],
    ['[::1', undefined],
    ['[::1]x', undefined],
    ['[fe80::1%eth0]', undefined],
    [`[${':'.repeat(60)}]`, undefined],
    ['192.0.2.1 ', undefined],
  ]
  for (const [node, address] of cases) assert.equal(nodeAddress(node), address, node)
})

const token = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,8}$/)
const quoted = fc.string({ unit: fc.constantFrom('a', '"', '\\', ',', ';', '=', ' ', '\xe9'), maxLength: 8 })
const value = fc.oneof(
  token.map((text) => ({ text, value: text })),
  quoted.map((text) => ({ text: `"${text.replaceAll(/["\\]/g, '\\$&')}"`, value: text })),
)

test('property: what the nearest proxy appends is read as it wrote it, whatever stands to the left', () => {
  const left = fc.string({ unit: fc.constantFrom('f', '"', '\\', ',', ';', '=', ' '), maxLength: 20 })
  fc.assert(
    fc.property(left, value, token, (before, node, proto) => {
      const written = `for=${node.text};proto=${proto}`
      const line = `${before},${written}`
      const start = lastElementStart(line, line.length)
      assert.equal(line.slice(start), written)
      assert.deepEqual(parseForwardedElement(line.slice(start)), { for: node.value, proto, host: undefined })
    }),
    { seed: 7, numRuns: 2000 },
  )
})

test('property: a list is taken apart into the elements it was made of', () => {
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 5 }), (values) => {
      const written = values.map(({ text }) => `for=${text}`)
      const line = written.join(', ')
      const found: string[] = []
      for (let end = line.length; end >= 0; ) {
        const start = lastElementStart(line, end)
        found.unshift(line.slice(start, end).trim())
        end = start - 1
      }
      assert.deepEqual(found, written)
    }),
    { seed: 8, numRuns: 2000 },
  )
})
