import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { keysOfTokens, TokenChain, unitsOf } from './token-chain.ts'

test('keys agree exactly as far as tokens do', () => {
  const tokens = fc.array(fc.nat(200_000), { minLength: 64, maxLength: 64 })
  const property = fc.property(tokens, fc.nat(63), fc.integer({ min: 1, max: 100 }), (list, at, by) => {
    const changed = list.with(at, (list[at] ?? 0) + by)
    const [one, other] = [keysOfTokens(list, '', ''), keysOfTokens(changed, '', '')]
    for (let unit = 0; unit < 4; unit++) {
      const isSame = one[2 * unit] === other[2 * unit] && one[2 * unit + 1] === other[2 * unit + 1]
      assert.equal(isSame, at >= (unit + 1) * 16)
    }
  })
  fc.assert(property, { numRuns: 300, seed: 3 })
})

test('adapters, salts and the places between them are told apart', () => {
  const tokens = Array.from({ length: 16 }, (_, i) => i)
  const keys = [
    ['', ''],
    ['a', ''],
    ['', 'a'],
    ['ab', ''],
    ['a', 'b'],
  ].map(([adapter = '', extras = '']) => keysOfTokens(tokens, adapter, extras).join())
  assert.equal(new Set(keys).size, keys.length)
})

test('200,000 sequences have as many keys, spread over all bits', () => {
  const seen = new Set<number>()
  const chain = new TokenChain()
  const words = new Int32Array(2)
  const ones = new Int32Array(64)
  for (let i = 0; i < 200_000; i++) {
    chain.start('', '')
    chain.push(i >> 10)
    chain.push(i & 1023)
    chain.write(words, 0)
    const [low = 0, high = 0] = words
    seen.add((high & 0x1fffff) * 2 ** 32 + (low >>> 0))
    for (let bit = 0; bit < 32; bit++) {
      ones[bit]! += (low >>> bit) & 1
      ones[32 + bit]! += (high >>> bit) & 1
    }
  }
  assert.equal(seen.size, 200_000)
  for (const count of ones) assert.ok(Math.abs(count - 100_000) < 3_000, `${count}`)
})

test('keys of blocks stand where units end', () => {
  const cases = [1, 2, 8, 16, 24, 32, 48, 528].map((block) => [block, unitsOf(block)])
  assert.deepEqual(cases, [
    [1, 1],
    [2, 1],
    [8, 1],
    [16, 1],
    [24, 3],
    [32, 2],
    [48, 3],
    [528, 33],
  ])
})
