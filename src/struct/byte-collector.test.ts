import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ByteCollector } from './byte-collector.ts'

test('property: what was added comes out once, in order, whatever the sizes', () => {
  const size = fc.oneof(fc.nat(30), fc.nat(1100), fc.constantFrom(0, 1, 1023, 1024, 16_383, 16_384, 16_385))
  const collector = new ByteCollector()
  fc.assert(
    fc.property(fc.array(size, { maxLength: 60 }), (sizes) => {
      const slices = sizes.map((length, i) => Buffer.alloc(length, i + 1))
      for (const slice of slices) collector.add(slice)
      const expected = Buffer.concat(slices)
      assert.equal(collector.bytes, expected.length)
      const taken = collector.take()
      assert.ok(Buffer.concat(taken).equals(expected))
      assert.ok(taken.every(({ length }) => length > 0))
      assert.equal(collector.bytes, 0)
      assert.deepEqual(collector.take(), [])
    }),
    { seed: 43, numRuns: 300 },
  )
})

test('a large slice is kept as it is', () => {
  const collector = new ByteCollector()
  const slices = [Buffer.alloc(5), Buffer.alloc(2000), Buffer.alloc(1024)]
  for (const slice of slices) collector.add(slice)
  const taken = collector.take()
  assert.deepEqual(
    taken.map((slice, i) => slice === slices[i]),
    [true, true, true],
  )
})

test('a body sent byte by byte costs blocks, not an object per byte', () => {
  const collector = new ByteCollector()
  for (let i = 0; i < 100_000; i++) collector.add(Buffer.of(i & 0xff))
  const taken = collector.take()
  assert.ok(taken.length <= 8, `${taken.length} slices`)
  assert.ok(Buffer.concat(taken).every((byte, i) => byte === (i & 0xff)))
})

test('a copied slice may be overwritten afterwards', () => {
  const collector = new ByteCollector()
  collector.add(Buffer.from('first'))
  const reused = Buffer.from('second')
  collector.add(reused)
  reused.fill(0)
  collector.add(Buffer.from('third'))
  assert.equal(Buffer.concat(collector.take()).toString(), 'firstsecondthird')
})
