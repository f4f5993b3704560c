import assert from 'node:assert/strict'
import { test } from 'node:test'
import { markedBlocks, marksOf } from './prompt-marks.ts'

function chainOf(hashes: readonly number[]) {
  const words = Int32Array.from(hashes.flatMap((low) => [low, -low]))
  return { chain: { hashes: words, blocks: hashes.length }, blockTokens: 64 }
}

test('a chain is marked at each of its first blocks, then in steps of an eighth, and where it ends', () => {
  const cases: readonly (readonly [number, readonly number[]])[] = [
    [0, []],
    [1, [1]],
    [5, [1, 2, 3, 4, 5]],
    [9, [1, 2, 3, 4, 5, 6, 7, 8, 9]],
    [20, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 20]],
  ]
  for (const [blocks, marked] of cases) assert.deepEqual(markedBlocks(blocks), marked)
})

test('the longest prompt has less than a hundred marks, none more than an eighth after the one before', () => {
  const marked = markedBlocks(4096)
  assert.ok(marked.length < 100, `${marked.length}`)
  for (const [i, at] of marked.entries()) {
    const before = marked[i - 1] ?? 0
    assert.ok(at > before && at - before <= Math.max(1, before / 8), `${before} ${at}`)
  }
})

test('marks are the low words of the hashes at the marked blocks', () => {
  assert.deepEqual(marksOf(chainOf([11, 12, 13])), { blockTokens: 64, blocks: 3, hashes: [11, 12, 13] })
  assert.equal(marksOf(chainOf([])), undefined)
})
