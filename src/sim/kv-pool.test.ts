import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { blockKeys, type KvLease, KvPool } from './kv-pool.ts'
import { tokenize } from './tokens.ts'

test('block keys are equal for equal prefixes and salts only', () => {
  const a = blockKeys(tokenize('the same start, one end'), 2, '')
  const b = blockKeys(tokenize('the same start, an other'), 2, '')
  const salted = blockKeys(tokenize('the same start, one end'), 2, 'salt')
  assert.deepEqual([a[0] === b[0], a[1] === b[1], a[2] === b[2]], [true, true, false])
  assert.equal(a[0] === salted[0], false)
  assert.equal(a.length, 3)
})

test('evicts the block that was not used for longest', () => {
  const pool = new KvPool(4, 1)
  const admit = (text: string) => {
    const tokens = tokenize(text)
    const lease = pool.admit(blockKeys(tokens, 1, ''), tokens.length, 0)
    lease?.release()
    return lease?.cachedTokens
  }
  assert.equal(admit('aaaaAAAA'), 0)
  assert.equal(admit('bbbbBBBB'), 0)
  assert.equal(admit('aaaaAAAA'), 1)
  assert.equal(admit('ccccCCCC'), 0)
  assert.equal(admit('aaaaAAAA'), 1)
  assert.equal(admit('bbbbBBBB'), 0)
})

test('never promises more blocks than there are and takes all of them back', () => {
  const request = fc.record({
    text: fc.string({ minLength: 1, maxLength: 60, unit: fc.constantFrom('a', 'b') }),
    output: fc.nat(20),
    grown: fc.nat(20),
    releaseAt: fc.nat(10),
  })
  fc.assert(
    fc.property(fc.array(request, { maxLength: 60 }), fc.integer({ min: 8, max: 24 }), (requests, total) => {
      const pool = new KvPool(total, 2)
      const open: KvLease[] = []
      for (const { text, output, grown, releaseAt } of requests) {
        const tokens = tokenize(text)
        const lease = pool.admit(blockKeys(tokens, 2, ''), tokens.length, output)
        if (lease !== undefined) {
          open.push(lease)
          for (let i = 0; i <= Math.min(grown, output); i++) lease.grow(tokens.length + i)
        }
        assert.ok(pool.usedBlocks <= total)
        open.splice(releaseAt, 1)[0]?.release()
      }
      for (const lease of open) lease.release()
      assert.equal(pool.usedBlocks, 0)
      const all = tokenize('z'.repeat(total * 2 * 4))
      assert.notEqual(pool.admit(blockKeys(all, 2, ''), all.length, 0), undefined)
    }),
  )
})
