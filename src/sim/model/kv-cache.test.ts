import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { KvCache } from './kv-cache.ts'

function cacheOf(blocks: number): { cache: KvCache; removed: number[] } {
  const removed: number[] = []
  return { cache: new KvCache(blocks, (hash) => void removed.push(hash)), removed }
}

/** Takes a block and stores a hash in it. */
function stored(cache: KvCache, hash: number): number {
  const block = cache.take()
  cache.store(block, hash)
  return block
}

describe('a KV cache', () => {
  test('finds a stored block while it is used and while it is cached', () => {
    const { cache } = cacheOf(4)
    const block = stored(cache, 77)
    assert.equal(cache.find(77), block)
    cache.release(block)
    assert.equal(cache.find(77), block)
    assert.deepEqual([cache.usedBlocks, cache.cachedBlocks, cache.freeBlocks], [0, 1, 3])
    assert.equal(cache.find(78), -1)
  })

  test('makes a block free at its release when nothing was stored in it', () => {
    const { cache } = cacheOf(2)
    cache.release(cache.take())
    assert.deepEqual([cache.usedBlocks, cache.cachedBlocks, cache.freeBlocks], [0, 0, 2])
  })

  test('takes free blocks before cached ones, and of those the longest released', () => {
    const { cache, removed } = cacheOf(3)
    const [first, second] = [stored(cache, 1), stored(cache, 2)]
    cache.release(second)
    cache.release(first)
    cache.take()
    assert.deepEqual(removed, [])
    cache.take()
    assert.deepEqual(removed, [2])
    cache.take()
    assert.deepEqual(removed, [2, 1])
    assert.equal(cache.availableBlocks, 0)
    assert.throws(() => cache.take(), RangeError)
  })

  test('keeps a shared block until its last holder gives it back', () => {
    const { cache } = cacheOf(2)
    const block = stored(cache, 5)
    cache.share(block)
    cache.release(block)
    assert.equal(cache.usedBlocks, 1)
    cache.release(block)
    assert.equal(cache.usedBlocks, 0)
    cache.share(block)
    assert.deepEqual([cache.usedBlocks, cache.cachedBlocks], [1, 0])
  })

  test('finds the older of two blocks with one hash, and the younger when the older is gone', () => {
    const { cache } = cacheOf(2)
    const [older, younger] = [stored(cache, 9), stored(cache, 9)]
    assert.equal(cache.find(9), older)
    cache.release(older)
    cache.take()
    assert.equal(cache.find(9), younger)
  })

  test('forgets what is cached when cleared, and not what is used', () => {
    const { cache, removed } = cacheOf(3)
    const [used, cached] = [stored(cache, 1), stored(cache, 2)]
    cache.release(cached)
    cache.clear()
    assert.deepEqual([cache.find(1), cache.find(2)], [used, -1])
    assert.deepEqual(removed, [2])
    assert.deepEqual([cache.usedBlocks, cache.cachedBlocks, cache.freeBlocks], [1, 0, 2])
  })

  test('agrees with a plain list about what is cached, over random work', () => {
    const work = fc.array(fc.tuple(fc.nat(2), fc.nat(30)), { maxLength: 200 })
    fc.assert(
      fc.property(work, (steps) => {
        const { cache, removed } = cacheOf(8)
        const held: number[] = []
        /** Hashes of cached blocks, the next to go first. */
        let cached: { block: number; hash: number }[] = []
        const hashes = new Map<number, number>()
        for (const [kind, value] of steps) {
          if (kind === 0 && cache.availableBlocks > 0) {
            const evicts = cache.freeBlocks === 0 ? cached[0]?.hash : undefined
            const before = removed.length
            const block = stored(cache, value)
            assert.deepEqual(removed.slice(before), evicts === undefined ? [] : [evicts])
            cached = cached.filter((each) => each.block !== block)
            hashes.set(block, value)
            held.push(block)
          } else if (kind === 1 && held.length > 0) {
            const [block] = held.splice(value % held.length, 1)
            cache.release(block ?? -1)
            if (cache.referencesOf(block ?? -1) === 0)
              cached.push({ block: block ?? -1, hash: hashes.get(block ?? -1) ?? -1 })
          } else if (kind === 2) {
            const block = cache.find(value)
            if (block < 0) continue
            cache.share(block)
            held.push(block)
            cached = cached.filter((each) => each.block !== block)
          }
          assert.equal(cache.cachedBlocks, cached.length)
          assert.equal(cache.usedBlocks, new Set(held).size)
        }
      }),
      { seed: 7, numRuns: 200 },
    )
  })
})
