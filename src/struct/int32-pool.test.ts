import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Int32Pool } from './int32-pool.ts'

test('an array has room for what was asked, and at most twice as much beyond the least', () => {
  const pool = new Int32Pool()
  for (const words of [0, 1, 31, 32, 33, 64, 65, 1000, 8192]) {
    const { length } = pool.take(words)
    assert.ok(length >= words && (length <= 2 * words || length === 32), `${length} for ${words}`)
  }
})

test('an array that was given back is used again, for any length of its size', () => {
  const pool = new Int32Pool()
  const array = pool.take(40)
  pool.giveBack(array)
  assert.notEqual(pool.take(100), array)
  assert.equal(pool.take(64), array)
})

test('the pool keeps a bounded number of each size', () => {
  const pool = new Int32Pool()
  const arrays = Array.from({ length: 1000 }, () => pool.take(10))
  for (const array of arrays) pool.giveBack(array)
  const again = new Set(Array.from({ length: 1000 }, () => pool.take(10)))
  assert.equal(arrays.filter((array) => again.has(array)).length, 256)
})
