import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ReplayBuffer } from './replay-buffer.ts'

function filled(buffer: ReplayBuffer, sizes: readonly number[]): readonly number[] {
  sizes.forEach((size, sequence) => buffer.add({ sequence, payload: Buffer.alloc(size) }))
  return buffer.from(0n).map(({ sequence }) => sequence)
}

test('it gives the batches from a number on, and nothing for a number to come', () => {
  const buffer = new ReplayBuffer(10, 1000)
  assert.deepEqual(filled(buffer, [1, 1, 1]), [0, 1, 2])
  assert.deepEqual(
    buffer.from(2n).map(({ sequence }) => sequence),
    [2],
  )
  assert.deepEqual(buffer.from(3n), [])
  assert.deepEqual(buffer.from(2n ** 64n - 1n), [])
})

test('the oldest go when there are too many', () => {
  const buffer = new ReplayBuffer(2, 1000)
  assert.deepEqual(filled(buffer, [1, 1, 1, 1]), [2, 3])
  assert.deepEqual([buffer.steps, buffer.bytes], [2, 2])
})

test('the oldest go when they are too large together; the newest stays whatever its size', () => {
  assert.deepEqual(filled(new ReplayBuffer(10, 100), [60, 30, 30]), [1, 2])
  assert.deepEqual(filled(new ReplayBuffer(10, 100), [60, 30, 300]), [2])
})
