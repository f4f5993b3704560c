import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { noSalt, PromptHasher } from './prompt-hasher.ts'

interface Span {
  start: number
  end: number
  countsAs?: number
}

/** The hashes as text, one per block. */
function hashesOf(hasher: PromptHasher, slices: Uint8Array[], spans: Span[], salt = noSalt): string[] {
  const out = new Int32Array(2 * hasher.maxBlocks)
  const blocks = hasher.hash(slices, spans, salt, out)
  return Array.from({ length: blocks }, (_, i) => `${out[2 * i]}:${out[2 * i + 1]}`)
}

const textOf = (bytes: number, seed = 1): Buffer =>
  Buffer.from(Array.from({ length: bytes }, (_, i) => 32 + ((Math.imul(i + seed * 7919, 0x9e3779b1) >>> 20) % 90)))

const whole = (bytes: Uint8Array): Span[] => [{ start: 0, end: bytes.length }]

test('hashes full blocks only', () => {
  const hasher = new PromptHasher({ blockBytes: 64 })
  for (const [bytes, blocks] of [
    [0, 0],
    [63, 0],
    [64, 1],
    [127, 1],
    [128, 2],
    [200_000, 3125],
  ] as const)
    assert.equal(hashesOf(hasher, [textOf(bytes)], [{ start: 0, end: bytes }]).length, blocks, `${bytes} bytes`)
})

test('gives prompts with a common prefix common hashes up to the first difference', () => {
  const hasher = new PromptHasher()
  const one = textOf(10 * 256)
  const other = Buffer.from(one)
  other[5 * 256 + 17] = 0
  const [a, b] = [hashesOf(hasher, [one], whole(one)), hashesOf(hasher, [other], whole(other))]
  assert.deepEqual(a.slice(0, 5), b.slice(0, 5))
  for (let i = 5; i < 10; i++) assert.notEqual(a[i], b[i])
})

test('does not depend on how the body is sliced', () => {
  const hasher = new PromptHasher({ blockBytes: 32 })
  const body = textOf(5000)
  const spans = [
    { start: 3, end: 1200 },
    { start: 1300, end: 1300 },
    { start: 1301, end: 1310 },
    { start: 2000, end: 5000 },
  ]
  const expected = hashesOf(hasher, [body], spans)
  assert.equal(expected.length, Math.floor((1197 + 0 + 9 + 3000 + 3) / 32))
  fc.assert(
    fc.property(fc.array(fc.nat(5000), { maxLength: 12 }), (cuts) => {
      const bounds = [0, ...cuts.toSorted((a, b) => a - b), 5000]
      const slices = bounds.slice(1).map((end, i) => body.subarray(bounds[i], end))
      assert.deepEqual(hashesOf(hasher, slices, spans), expected)
    }),
    { numRuns: 100, seed: 3 },
  )
})

test('tells texts from one another by where one span ends', () => {
  const hasher = new PromptHasher({ blockBytes: 16 })
  const body = textOf(64)
  const cut = (at: number): string[] =>
    hashesOf(
      hasher,
      [body],
      [
        { start: 0, end: at },
        { start: at, end: 64 },
      ],
    )
  const [a, b] = [cut(34), cut(36)]
  assert.deepEqual(a.slice(0, 2), b.slice(0, 2), 'up to the block of the cut they are one text')
  for (let i = 2; i < 4; i++) assert.notEqual(a[i], b[i])
})

test('stops at the maximum of blocks and at the end of the output', () => {
  const body = textOf(100_000)
  const all = hashesOf(new PromptHasher({ blockBytes: 16, maxBlocks: 6250 }), [body], whole(body))
  assert.equal(all.length, 6250)
  const hasher = new PromptHasher({ blockBytes: 16, maxBlocks: 4500 })
  assert.deepEqual(hashesOf(hasher, [body], whole(body)), all.slice(0, 4500))
  const out = new Int32Array(11)
  assert.equal(hasher.hash([body], whole(body), noSalt, out), 5)
  assert.equal(out[10], 0)
  assert.equal(hasher.hash([body], whole(body), noSalt, new Int32Array(0)), 0)
})

test('reads no further than the slices go', () => {
  const hasher = new PromptHasher({ blockBytes: 16 })
  assert.equal(hashesOf(hasher, [textOf(40)], [{ start: 8, end: 1000 }]).length, 2)
  assert.equal(hashesOf(hasher, [], [{ start: 8, end: 1000 }]).length, 0)
})

test('shares nothing between salts', () => {
  const hasher = new PromptHasher()
  const body = textOf(2560)
  const salts = [noSalt, hasher.saltOf([]), hasher.saltOf(['a']), hasher.saltOf(['a', '']), hasher.saltOf(['', 'a'])]
  salts.push(hasher.saltOf(['ab', 'c']), hasher.saltOf(['a', 'bc']), hasher.saltOf(['x'.repeat(100_000)]))
  const first = salts.map((salt) => hashesOf(hasher, [body], whole(body), salt)[0])
  assert.equal(new Set(first).size, salts.length - 1, 'no parts is no salt')
  assert.deepEqual(hasher.saltOf(['model', 'adapter']), new PromptHasher().saltOf(['model', 'adapter']))
})

test('never gives two prompts the same hash, nor one bit of it more often than another', () => {
  const hasher = new PromptHasher({ blockBytes: 16, maxBlocks: 8 })
  const seen = new Set<string>()
  const out = new Int32Array(2)
  const ones = Array.from({ length: 64 }, () => 0)
  const body = Buffer.alloc(16)
  for (let i = 0; i < 20_000; i++) {
    body.writeUInt32LE(i, 4)
    hasher.hash([body], [{ start: 0, end: 16 }], noSalt, out)
    seen.add(`${out[0]}:${out[1]}`)
    for (let bit = 0; bit < 64; bit++)
      ones[bit] = (ones[bit] as number) + (((out[bit >> 5] as number) >>> (bit & 31)) & 1)
  }
  assert.equal(seen.size, 20_000)
  for (const count of ones) assert.ok(Math.abs(count - 10_000) < 400, `${count}`)
})

test('hashes what is no text as what it counts as, by its digest', () => {
  const hasher = new PromptHasher()
  const spansOf = (mediaBytes: number): Span[] => [
    { start: 0, end: 1000 },
    { start: 1000, end: 1000 + mediaBytes, countsAs: 4096 },
    { start: 1000 + mediaBytes, end: 2000 + mediaBytes },
  ]
  const bodyOf = (media: Buffer): Buffer => Buffer.concat([textOf(1000), media, textOf(1000, 2)])
  const hashes = (media: Buffer): string[] => hashesOf(hasher, [bodyOf(media)], spansOf(media.length))
  for (const bytes of [0, 1, 300, 65_528, 65_529, 400_000]) {
    const media = textOf(bytes, 5)
    const first = hashes(media)
    assert.equal(first.length, Math.floor((1000 + 1 + 4096 + 1 + 1000) / 256), `${bytes} bytes`)
    assert.deepEqual(hashes(Buffer.from(media)), first)
    if (bytes === 0) continue
    for (const change of [0, bytes >> 1, bytes - 1]) {
      const other = Buffer.from(media)
      other[change]! ^= 1
      const second = hashes(other)
      assert.deepEqual(second.slice(0, 3), first.slice(0, 3), 'the text before it')
      for (let i = 3; i < first.length; i++) assert.notEqual(second[i], first[i])
    }
    assert.notEqual(hashes(Buffer.concat([media, Buffer.alloc(1)]))[3], first[3])
  }
})

test('does not depend on how the body is sliced, whatever is in it', () => {
  const hasher = new PromptHasher({ blockBytes: 32 })
  const body = textOf(200_000)
  const spans = [
    { start: 3, end: 1200 },
    { start: 1200, end: 150_000, countsAs: 900 },
    { start: 150_000, end: 150_010 },
    { start: 150_010, end: 150_040, countsAs: 40 },
    { start: 160_000, end: 160_500, countsAs: 4 },
    { start: 170_000, end: 171_000 },
  ]
  const expected = hashesOf(hasher, [body], spans)
  assert.equal(expected.length, Math.floor((1197 + 900 + 10 + 40 + 4 + 1000 + 5) / 32))
  fc.assert(
    fc.property(fc.array(fc.nat(200_000), { maxLength: 12 }), (cuts) => {
      const bounds = [0, ...cuts.toSorted((a, b) => a - b), 200_000]
      const slices = bounds.slice(1).map((end, i) => body.subarray(bounds[i], end))
      assert.deepEqual(hashesOf(hasher, slices, spans), expected)
    }),
    { numRuns: 100, seed: 3 },
  )
})

test('refuses blocks of impossible size', () => {
  for (const blockBytes of [0, 15, 16.5, 65_537]) assert.throws(() => new PromptHasher({ blockBytes }), RangeError)
})
