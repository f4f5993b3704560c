import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encode } from '@msgpack/msgpack'
import { keysOfTokens } from '#struct/token-chain.ts'
import { BlocksCase, blockTokens, cleared, removed, stored } from './event-case.ts'
import { readBatch } from './read-batch.ts'

function caseOf(...payloads: readonly Uint8Array[]): BlocksCase {
  const known = new BlocksCase()
  for (const payload of payloads) known.blocks.apply(readBatch(payload))
  return known
}

test('blocks are held from the first on, as far as none is missing', () => {
  const known = caseOf(stored(1, 1, 0, 2), stored(2, 1, 3, 4), removed(3, 1, 3))
  assert.equal(known.held(1), 3)
  assert.equal(known.blocks.size, 4)
})

test('a block that was announced twice is held until its second copy is gone', () => {
  const known = caseOf(stored(1, 1, 0, 2), stored(2, 1, 2, 2), removed(3, 1, 2))
  assert.equal(known.held(1), 3)
  known.blocks.apply(readBatch(removed(4, 1, 2)))
  assert.equal(known.held(1), 2)
})

test('a block that moves to the memory of the host is held; each tier is counted by itself', () => {
  const known = caseOf(stored(1, 1, 0, 1), stored(2, 1, 1, 1, { medium: 'CPU' }), removed(3, 1, 1))
  assert.equal(known.held(1), 2)
  known.blocks.apply(readBatch(removed(4, 1, 1, 'CPU')))
  assert.equal(known.held(1), 1)
})

test('adapters and salts have keys of their own', () => {
  const known = caseOf(
    stored(1, 1, 0, 1, { lora_name: 'sql', extra_keys: [['sql', 'a'], ['sql']] }),
    stored(1, 2, 0, 1, { lora_name: 'sql', lora_id: 3 }),
    stored(1, 3, 0, 1, { extra_keys: [['a'], null] }),
  )
  const held = (text: number): number[] =>
    [
      ['', ''],
      ['sql', ''],
      ['', '["a"]'],
      ['sql', '["a"]'],
    ].map(([adapter, extras]) => known.held(text, 2, adapter, extras))
  assert.deepEqual(
    [held(1), held(2), held(3)],
    [
      [0, 0, 0, 2],
      [0, 2, 0, 0],
      [0, 0, 2, 0],
    ],
  )
})

test('blocks after a picture are not those of the same tokens without it', () => {
  const known = caseOf(stored(1, 1, 0, 2, { extra_keys: [null, ['image', 3], null] }))
  assert.equal(known.held(1), 1)
})

test('a block after an unknown one has no place', () => {
  const known = caseOf(stored(1, 1, 2, 4))
  assert.deepEqual([known.blocks.size, known.blocks.unplaced], [0, 3])
})

test('a clear forgets everything, but a request that runs through it goes on', () => {
  const known = caseOf(stored(1, 1, 0, 2), cleared(2), stored(3, 1, 3, 3))
  assert.equal(known.held(1), 0)
  known.blocks.apply(readBatch(stored(4, 1, 0, 2)))
  assert.equal(known.held(1), 4)
})

test('groups of another kind of attention are left out, and what is removed from them', () => {
  const other = { group_idx: 1, kv_cache_spec_kind: 'sliding_window' }
  const known = caseOf(stored(1, 1, 0, 2), stored(2, 1, 0, 2, other))
  known.blocks.apply(readBatch(encode([3, [['BlockRemoved', [1001], 'GPU', 1]], 0])))
  assert.equal(known.held(1), 3)
  known.blocks.apply(readBatch(encode([3, [['BlockRemoved', [1001], 'GPU', 0]], 0])))
  assert.equal(known.held(1), 1)
})

test('pages of one token make keys at every 16th', () => {
  const known = new BlocksCase()
  const tokens = [...blockTokens(1, 0), ...blockTokens(1, 1), 7, 8]
  const events = tokens.map((token, i) => ['BlockStored', [i + 1], i === 0 ? null : i, [token], 1, null])
  known.blocks.apply(readBatch(encode([1, events])))
  assert.equal(known.held(1, 2), 2)
  known.blocks.apply(readBatch(encode([1, [['BlockRemoved', [34, 33, 32]]]])))
  assert.equal(known.held(1, 2), 1)
})

test('keys do not depend on the size of the blocks', () => {
  const tokens = [0, 1, 2, 3].flatMap((n) => blockTokens(9, n))
  const known = new BlocksCase()
  known.blocks.apply(readBatch(encode([1, [['BlockStored', [1, 2], null, tokens, 32, null]]])))
  const keys = keysOfTokens(tokens, '', '')
  const matched = new Int32Array(4096)
  const pairs = Int32Array.of(keys[2] ?? 0, keys[3] ?? 0, keys[6] ?? 0, keys[7] ?? 0)
  known.index.match({ hashes: pairs, blocks: 2 }, { slots: [3], count: 1 }, { matched, inUse: new Int32Array(4096) })
  assert.equal(matched[3], 2)
  assert.equal(known.held(9), 0)
})
