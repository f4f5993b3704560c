import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { AdapterSlots } from './adapter-slots.ts'
import { hashSegmentBlocks, hashTokenBlocks, type Segment } from './block-hash.ts'
import { engineSettings } from './engine-settings.ts'
import { enginePresets, kvCapacityTokens } from './presets.ts'
import { RankGroup } from './rank-group.ts'
import { stepMs } from './step-time.ts'

describe('block hashes', () => {
  test('are equal for equal prefixes only, and depend on the salt', () => {
    const tokens = Uint32Array.from({ length: 70 }, (_, i) => i)
    const hashes = hashTokenBlocks(tokens, 16, 0)
    assert.equal(hashes.length, 4)
    assert.equal(new Set(hashes).size, 4)
    const other = tokens.slice()
    other[20]!++
    const changed = hashTokenBlocks(other, 16, 0)
    assert.equal(changed[0], hashes[0])
    for (let i = 1; i < 4; i++) assert.notEqual(changed[i], hashes[i])
    assert.notEqual(hashTokenBlocks(tokens, 16, 1)[0], hashes[0])
    for (const hash of hashes) assert.ok(Number.isSafeInteger(hash) && hash >= 0)
  })

  test('of segments do not depend on how the text is handed over', () => {
    const segment = fc.record({ seed: fc.nat(5), tokens: fc.nat(40) })
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 6 }), fc.nat(200), (segments: readonly Segment[], cut) => {
        const hashes = hashSegmentBlocks(segments, 8, 1)
        const known = hashes.subarray(0, Math.min(cut, hashes.length))
        assert.deepEqual(hashSegmentBlocks(segments, 8, 1, known), hashes)
        const head = hashSegmentBlocks(segments.slice(0, -1), 8, 1)
        assert.deepEqual(hashes.subarray(0, head.length), head)
      }),
      { seed: 4 },
    )
  })

  test('of segments go through a block that two segments share', () => {
    const prompt: Segment[] = [
      { seed: 1, tokens: 20 },
      { seed: 2, tokens: 30 },
    ]
    const other: Segment[] = [
      { seed: 1, tokens: 20 },
      { seed: 3, tokens: 30 },
    ]
    const [hashes, others] = [hashSegmentBlocks(prompt, 16, 0), hashSegmentBlocks(other, 16, 0)]
    assert.deepEqual(
      Array.from(hashes, (hash, i) => hash === others[i]),
      [true, false, false],
    )
  })
})

describe('presets', () => {
  test('have the KV capacity of the reference', () => {
    const blocks = (name: keyof typeof enginePresets): number => engineSettings(name).kvBlocks
    assert.ok(Math.abs(blocks('llama-8b-h100') - 26_313) < 5)
    assert.ok(Math.abs(blocks('llama-70b-4xh100') - 30_451) < 15)
    assert.ok(Math.abs(blocks('llama-70b-8xh100') - 88_942) < 30)
    assert.equal(blocks('qwen3-32b-2xh100'), 19_208)
    assert.equal(kvCapacityTokens({ memoryGiB: 10, accelerators: 1, parameters: 8e9, kvBytesPerToken: 1 }), 0)
  })

  const none = { decodes: 0, contextTokens: 0, chunks: 0, chunkTokens: 0, pairs: 0 }
  const cases = [
    { name: '8B, 1 decode at 1k', preset: 'llama-8b-h100', work: { decodes: 1, contextTokens: 1_024 }, ms: 6.9 },
    { name: '8B, 32 at 4k', preset: 'llama-8b-h100', work: { decodes: 32, contextTokens: 32 * 4_096 }, ms: 12.3 },
    { name: '8B, 64 at 1k', preset: 'llama-8b-h100', work: { decodes: 64, contextTokens: 64 * 1_024 }, ms: 10.1 },
    { name: '70B, 8 at 4k', preset: 'llama-70b-4xh100', work: { decodes: 8, contextTokens: 8 * 4_096 }, ms: 16.8 },
    {
      name: '8B, prefill 2048',
      preset: 'llama-8b-h100',
      work: { chunks: 1, chunkTokens: 2_048, pairs: 2_048 * 1_024 },
      ms: 47,
    },
    {
      name: '70B, prefill 8192',
      preset: 'llama-70b-4xh100',
      work: { chunks: 1, chunkTokens: 8_192, pairs: 8_192 * 4_096 },
      ms: 502,
    },
  ] as const
  for (const { name, preset, work, ms } of cases) {
    test(`give the step time of the reference: ${name}`, () => {
      const found = stepMs(enginePresets[preset].cost, { ...none, ...work })
      assert.ok(Math.abs(found / ms - 1) < 0.12, `${found} ms instead of ${ms} ms`)
    })
  }
})

describe('adapter slots', () => {
  test('keep adapters loaded and unload the one unused for longest', () => {
    const slots = new AdapterSlots(2)
    assert.equal(slots.start(1), true)
    assert.equal(slots.start(2), true)
    assert.deepEqual([slots.hasRoom(3), slots.hasRoom(2), slots.hasRoom(-1)], [false, true, true])
    slots.stop(1)
    slots.stop(2)
    assert.equal(slots.start(1), false, 'it is still loaded')
    slots.stop(1)
    assert.equal(slots.start(3), true)
    assert.deepEqual(slots.loaded(), [1, 3])
    assert.deepEqual(slots.running(), [3])
  })
})

describe('data-parallel ranks', () => {
  const settings = engineSettings('llama-8b-h100', { kvBlocks: 1_000 })
  const request = { promptTokens: 160, outputTokens: 50, blockHashes: new Float64Array(0) }

  test('share the requests that name no rank', () => {
    const group = new RankGroup(settings, 4)
    const ranks = Array.from({ length: 8 }, (_, i) => group.submit(request, i).rank)
    assert.deepEqual(ranks, [0, 1, 2, 3, 0, 1, 2, 3])
  })

  test('take a request that names its rank, and balance around it', () => {
    const group = new RankGroup(settings, 2)
    for (let i = 0; i < 3; i++) group.submit(request, 0, 1)
    assert.equal(group.submit(request, 1).rank, 0)
    assert.throws(() => group.submit(request, 2, 2), RangeError)
  })

  test('do a bounded part of what is due after a pause when a request comes', () => {
    let steps = 0
    const group = new RankGroup(settings, 2, () => ({ onToken: () => {}, onStep: () => void steps++ }))
    for (let i = 0; i < 4; i++) group.submit({ ...request, outputTokens: 3_000 }, 0)
    group.submit(request, 3_600_000)
    assert.ok(steps > 0 && steps <= 2_048, `${steps} steps`)
  })

  test('serve to the end, one event after the other', () => {
    const group = new RankGroup(settings, 3)
    const calls = Array.from({ length: 30 }, (_, i) => group.submit(request, i * 30).call)
    while (group.nextEventMs < Number.POSITIVE_INFINITY) group.advance(group.nextEventMs)
    assert.ok(calls.every(({ phase, producedTokens }) => phase === 'finished' && producedTokens === 50))
  })
})
