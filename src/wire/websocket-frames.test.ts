import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { closeFrame, FrameTracker } from './websocket-frames.ts'
import { acceptOf, tokensOf } from './websocket-handshake.ts'

function frameOf(opcode: number, bytes: number, isMasked: boolean): Buffer {
  const mask = isMasked ? 0x80 : 0
  const long = Buffer.alloc(8)
  long.writeBigUInt64BE(BigInt(bytes))
  const length =
    bytes < 126
      ? Buffer.from([mask | bytes])
      : bytes < 65536
        ? Buffer.concat([Buffer.from([mask | 126]), long.subarray(6)])
        : Buffer.concat([Buffer.from([mask | 127]), long])
  return Buffer.concat([Buffer.from([opcode]), length, Buffer.alloc(isMasked ? 4 : 0, 0x88), Buffer.alloc(bytes, 0x88)])
}

const frame = fc.record({
  opcode: fc.constantFrom(0x01, 0x02, 0x80, 0x81, 0x82, 0x89, 0x8a, 0xc1),
  bytes: fc.oneof(fc.nat(130), fc.constantFrom(125, 126, 127, 65_535, 65_536)),
  isMasked: fc.boolean(),
})

test('property: the ends of frames are found wherever the bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(frame, { minLength: 1, maxLength: 5 }),
      fc.array(fc.nat(), { maxLength: 6 }),
      (frames, cuts) => {
        const parts = frames.map(({ opcode, bytes, isMasked }) => frameOf(opcode, bytes, isMasked))
        const all = Buffer.concat(parts)
        const ends = new Set([0])
        let end = 0
        for (const part of parts) ends.add((end += part.length))
        const tracker = new FrameTracker()
        assert.equal(tracker.isBetweenFrames, true)
        let from = 0
        for (const cut of [...cuts.map((each) => each % (all.length + 1)), all.length].toSorted((a, b) => a - b)) {
          tracker.push(all, from, cut)
          from = cut
          assert.equal(tracker.isBetweenFrames, ends.has(cut), `at ${cut}`)
        }
        assert.equal(tracker.hasClosed, false)
      },
    ),
    { seed: 5, numRuns: 500 },
  )
})

test('a frame longer than anything never ends', () => {
  const tracker = new FrameTracker()
  const bytes = Buffer.concat([Buffer.from([0x82, 127]), Buffer.alloc(8, 0xff), Buffer.alloc(1000)])
  tracker.push(bytes, 0, bytes.length)
  assert.equal(tracker.isBetweenFrames, false)
})

test('a close frame is seen as soon as it begins, and one of ours is a whole frame', () => {
  const masked = closeFrame(1012, 'restart', Buffer.from([1, 2, 3, 4]))
  assert.deepEqual(closeFrame(1012, ''), Buffer.from([0x88, 2, 0x03, 0xf4]))
  assert.deepEqual([...masked.subarray(0, 8)], [0x88, 0x89, 1, 2, 3, 4, 0x03 ^ 1, 0xf4 ^ 2])
  for (const bytes of [closeFrame(1012, 'restart'), masked, closeFrame(1001, 'x'.repeat(300))]) {
    const tracker = new FrameTracker()
    tracker.push(bytes, 0, 1)
    assert.deepEqual([tracker.hasClosed, tracker.isBetweenFrames], [true, false])
    tracker.push(bytes, 1, bytes.length)
    assert.equal(tracker.isBetweenFrames, true)
  }
})

test('the answer to a key is the one of RFC 6455 1.3', () => {
  assert.equal(acceptOf('dGhlIHNhbXBsZSBub25jZQ=='), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
  assert.deepEqual(tokensOf(['a, b,,', '', ' c']), ['a', 'b', 'c'])
})
