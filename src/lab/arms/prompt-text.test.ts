import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { hashSegmentBlocks, hashTokenBlocks, type Segment } from '#sim/model/block-hash.ts'
import { tokensFromBytes } from '#sim/tokens.ts'
import { PromptBody, SegmentTexts } from './prompt-text.ts'

const blockSize = 16

/** Blocks that two lists of hashes begin with alike. */
function common(one: Float64Array, other: Float64Array): number {
  let count = 0
  while (count < Math.min(one.length, other.length) && one[count] === other[count]) count++
  return count
}

const system: Segment = { seed: 7, tokens: 1_000 }
const document: Segment = { seed: 2 ** 27 + 5, tokens: 333 }
const prompts: readonly (readonly Segment[])[] = [
  [system, document, { seed: 40, tokens: 21 }],
  [system, document, { seed: 41, tokens: 21 }],
  [system, document, { seed: 41, tokens: 50 }],
  [system, { seed: 42, tokens: 333 }],
  [
    { ...system, tokens: 990 },
    { seed: 43, tokens: 300 },
  ],
  [document, system],
  [{ seed: 3 * 2 ** 26 + 7, tokens: 1_000 }],
]

describe('the text of prompts', () => {
  test('begins alike exactly as far as the engine finds prompts alike', () => {
    const texts = new SegmentTexts()
    const bySegments = prompts.map((segments) => hashSegmentBlocks(segments, blockSize, 0))
    const byBytes = prompts.map((segments) => {
      const { slices } = new PromptBody(segments, texts)
      return hashTokenBlocks(tokensFromBytes(Buffer.concat(slices).subarray(1, -1)), blockSize, 0)
    })
    for (const [i, hashes] of byBytes.entries()) {
      assert.equal(hashes.length, bySegments[i]?.length)
      for (let j = 0; j < i; j++) {
        const [wanted, found] = [bySegments, byBytes].map((all) => common(all[i] ?? hashes, all[j] ?? hashes))
        assert.equal(found, wanted, `prompts ${j} and ${i}`)
      }
    }
    assert.ok(common(byBytes[0] ?? new Float64Array(), byBytes[1] ?? new Float64Array()) >= 83)
  })

  test('is made when it is read, once, in slices that are shared between prompts', () => {
    const texts = new SegmentTexts()
    const [one, other] = [new PromptBody(prompts[0] ?? [], texts), new PromptBody(prompts[1] ?? [], texts)]
    assert.equal(one.bytes, 4 * (1_000 + 333 + 21) + 2)
    assert.equal(texts.keptBytes, 0)
    assert.equal(one.slices, one.slices)
    assert.equal(one.slices[1]?.buffer, other.slices[1]?.buffer)
    assert.equal(
      one.slices.reduce((sum, { length }) => sum + length, 0),
      one.bytes,
    )
  })

  test('is the same beginning however much of a segment is asked for, also after it was forgotten', () => {
    const texts = new SegmentTexts()
    const short = Buffer.from(texts.textOf({ seed: 9, tokens: 10 }))
    const long = texts.textOf({ seed: 9, tokens: 100 })
    assert.deepEqual(long.subarray(0, 40), short)
    assert.deepEqual(texts.textOf({ seed: 9, tokens: 10 }), short)
    assert.deepEqual(new SegmentTexts().textOf({ seed: 9, tokens: 100 }), long)
    assert.match(long.toString('latin1'), /^[a-zA-Z0-9 .]{400}$/, 'needs no escape in JSON')
  })

  test('takes no more memory than it may, and never drops what it hands out', () => {
    const texts = new SegmentTexts(10_000)
    for (let seed = 0; seed < 50; seed++) {
      assert.equal(texts.textOf({ seed, tokens: 500 }).length, 2_000)
      assert.ok(texts.keptBytes <= 10_000)
    }
    assert.equal(texts.textOf({ seed: 99, tokens: 5_000 }).length, 20_000)
    assert.equal(texts.keptBytes, 20_000, 'one that is larger than all that may be kept')
    texts.textOf({ seed: 1, tokens: 1 })
    assert.equal(texts.keptBytes, 4)
  })
})
