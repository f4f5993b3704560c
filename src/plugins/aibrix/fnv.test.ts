import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Fnv64 } from './fnv.ts'

function reference(text: string): bigint {
  let hash = 0xcbf29ce484222325n
  for (const byte of Buffer.from(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n)
  return hash
}

const valueOf = ({ high, low }: Fnv64): bigint => (BigInt(high) << 32n) | BigInt(low)

test('FNV-1a of 64 bits has its published values', () => {
  // http://www.isthe.com/chongo/tech/comp/fnv, test vectors.
  const cases = { '': 0xcbf29ce484222325n, a: 0xaf63dc4c8601ec8cn, foobar: 0x85944171f73967e8n }
  for (const [text, value] of Object.entries(cases)) assert.equal(valueOf(new Fnv64().addText(text)), value)
})

test('FNV-1a of any text is what the definition says', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
      assert.equal(valueOf(new Fnv64().addText(text)), reference(text))
    }),
    { seed: 5, numRuns: 300 },
  )
})
