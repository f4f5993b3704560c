import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BlockChain, PrefixIndex, prefixIndexMemory } from './prefix-index.ts'
import {
  blockTokens,
  chainOf,
  indexOf,
  matchedOf,
  newMatch,
  scramble,
  serve,
  slotsOf,
  withCells,
} from './prefix-index-case.ts'

test('matches without a gap from the first block on, for every candidate at once', () => {
  const index = indexOf(1000)
  for (const slot of [0, 7, 4095]) index.setCapacity(slot, 1e6)
  serve(index, chainOf(1, 10, 1, 0), 0)
  serve(index, chainOf(1, 6, 2, 10), 7)
  const result = newMatch()
  const best = index.match(chainOf(1, 12, 3, 5), slotsOf(0, 7, 4095), result)
  assert.equal(best, 10)
  assert.deepEqual([result.matched[0], result.matched[7], result.matched[4095]], [10, 6, 0])
})

test('matches for candidates only, and counts the holders beyond them', () => {
  const index = indexOf(1000)
  const chain = chainOf(1, 10, 1, 0)
  for (let slot = 0; slot < 40; slot++) {
    index.setCapacity(slot, 1e6)
    serve(index, chain, slot)
  }
  assert.deepEqual(matchedOf(index, chain, 3, 39), [10, 10])
  assert.equal(index.holders(9), 40)
  assert.equal(index.holders(10), 0)
  assert.deepEqual(matchedOf(index, chain), [])
})

test('finds every holder of a prefix that a thousand endpoints hold', () => {
  const index = indexOf(100_000)
  const head = chainOf(1, 16, 0, 0)
  const slots = Array.from({ length: 1000 }, (_, slot) => slot * 4)
  for (const slot of slots) {
    index.setCapacity(slot, 1e6)
    serve(index, head, slot)
  }
  assert.ok(matchedOf(index, head, ...slots).every((blocks) => blocks === 16))
  assert.equal(index.holders(15), 1000)
  for (const slot of slots.filter((each) => each % 8 === 0)) index.forget(slot)
  assert.equal(matchedOf(index, head, ...slots).filter((blocks) => blocks === 16).length, 500)
})

test('counts requests in flight by block and says what they use', () => {
  const index = indexOf(1000)
  for (const slot of [1, 2]) index.setCapacity(slot, 1e6)
  const long = chainOf(1, 10, 1, 0)
  const short = chainOf(1, 4, 2, 2)
  index.dispatch(long, 1, 0)
  index.dispatch(short, 1, 4)
  index.dispatch(short, 2, 0)
  const result = newMatch()
  index.match(long, slotsOf(1, 2), result)
  assert.deepEqual([result.inUse[1], result.inUse[2]], [10, 4])
  assert.deepEqual([index.uses(3), index.holdersInUse(3), index.holders(3)], [3, 2, 2])
  assert.deepEqual([index.uses(4), index.holdersInUse(4)], [1, 1])
  index.release(long, 1)
  index.release(short, 2)
  index.match(long, slotsOf(1, 2), result)
  assert.deepEqual([result.matched[1], result.inUse[1], result.matched[2], result.inUse[2]], [10, 4, 4, 0])
  assert.deepEqual([index.uses(3), index.holdersInUse(3)], [1, 1])
})

test('forgets a chain from its tail once the endpoint has taken its capacity of new tokens', () => {
  const index = indexOf(1000)
  index.setCapacity(3, 20 * blockTokens)
  const first = chainOf(1, 10, 1, 0)
  serve(index, first, 3)
  assert.deepEqual(matchedOf(index, first, 3), [10])
  serve(index, chainOf(2, 14, 2, 0), 3)
  // 14 new blocks and 10 older ones, of which the last lay deepest: room for 20, and for the one just falling out.
  assert.deepEqual(matchedOf(index, first, 3), [7])
  index.setCapacity(3, 40 * blockTokens)
  assert.deepEqual(matchedOf(index, first, 3), [10], 'what a larger cache holds is still known')
  index.setCapacity(3, 5 * blockTokens)
  assert.deepEqual(matchedOf(index, first, 3), [0])
})

test('advances by what no chain tells of', () => {
  const index = indexOf(1000)
  index.setCapacity(3, 20 * blockTokens)
  const chain = chainOf(1, 10, 1, 0)
  serve(index, chain, 3)
  index.advance(3, 15 * blockTokens)
  assert.deepEqual(matchedOf(index, chain, 3), [6])
})

test('keeps blocks in use whatever else comes', () => {
  const index = indexOf(1000)
  index.setCapacity(3, 20 * blockTokens)
  const chain = chainOf(1, 10, 1, 0)
  index.dispatch(chain, 3, 0)
  for (let i = 0; i < 20; i++) serve(index, chainOf(2 + i, 15, 0, 0), 3)
  assert.deepEqual(matchedOf(index, chain, 3), [10])
  index.release(chain, 3)
  assert.deepEqual(matchedOf(index, chain, 3), [10], 'their age starts when the request ends')
  serve(index, chainOf(40, 20, 0, 0), 3)
  assert.deepEqual(matchedOf(index, chain, 3), [1])
})

test('holds nothing for a slot without a capacity', () => {
  const index = indexOf(1000)
  const chain = chainOf(1, 10, 1, 0)
  index.dispatch(chain, 3, 0)
  assert.equal(index.setHolder(1, 2, 3), false)
  assert.deepEqual(matchedOf(index, chain, 3), [0])
})

test('withdraws what a failed request brought, and no more', () => {
  const index = indexOf(1000)
  for (const slot of [1, 2]) index.setCapacity(slot, 1e6)
  const shared = chainOf(1, 4, 0, 0)
  const failing = chainOf(1, 4, 1, 6)
  serve(index, shared, 1)
  index.dispatch(failing, 2, 0)
  index.confirm(failing, 2)
  index.dispatch(failing, 1, 4)
  index.withdraw(failing, 1)
  assert.deepEqual(matchedOf(index, failing, 1, 2), [4, 10])
})

test('keeps what another request uses or has confirmed when one is withdrawn', () => {
  const index = indexOf(1000)
  index.setCapacity(1, 1e6)
  const chain = chainOf(1, 10, 0, 0)
  index.dispatch(chain, 1, 0)
  index.dispatch(chain, 1, 10)
  index.withdraw(chain, 1)
  assert.deepEqual(matchedOf(index, chain, 1), [10])
  index.withdraw(chain, 1)
  assert.deepEqual(matchedOf(index, chain, 1), [0])
  index.dispatch(chain, 1, 0)
  index.dispatch(chain, 1, 10)
  index.confirm(chain, 1)
  index.withdraw(chain, 1)
  index.release(chain, 1)
  assert.deepEqual(matchedOf(index, chain, 1), [10])
})

test('lets an endpoint vanish at once, and a new one in its slot starts with nothing', () => {
  const index = indexOf(1000)
  index.setCapacity(1, 1e6)
  const chain = chainOf(1, 10, 0, 0)
  serve(index, chain, 1)
  index.dispatch(chain, 1, 10)
  index.forget(1)
  assert.deepEqual(matchedOf(index, chain, 1), [0])
  index.setCapacity(1, 2e6)
  assert.deepEqual(matchedOf(index, chain, 1), [0])
  serve(index, chainOf(1, 3, 7, 3), 1)
  index.release(chain, 1)
  assert.deepEqual(matchedOf(index, chain, 1), [3], 'the end of a request to the former endpoint brings nothing back')
})

test('never brings a former endpoint back, however long the slot is in use', () => {
  const index = indexOf(1000)
  index.setCapacity(1, 1000 * blockTokens)
  const chain = chainOf(1, 10, 0, 0)
  serve(index, chain, 1)
  index.forget(1)
  for (let i = 0; i < 40; i++) {
    index.advance(1, 2 ** 28)
    assert.deepEqual(matchedOf(index, chain, 1), [0])
  }
})

test('takes exact holders from the endpoint itself, whatever the clock says', () => {
  const index = indexOf(1000)
  index.setCapacity(1, 20 * blockTokens)
  const chain = chainOf(1, 10, 0, 0)
  const { hashes } = chain
  for (let i = 0; i < 10; i++) assert.ok(index.setHolder(hashes[2 * i] as number, hashes[2 * i + 1] as number, 1))
  for (let i = 0; i < 50; i++) {
    index.advance(1, 2 ** 27)
  }
  assert.deepEqual(matchedOf(index, chain, 1), [10])
  index.removeHolder(hashes[12] as number, hashes[13] as number, 1)
  assert.deepEqual(matchedOf(index, chain, 1), [6])
  index.forget(1)
  assert.deepEqual(matchedOf(index, chain, 1), [0])
})

test('keeps the holders of a block whose hash looks like an empty place: a sweep once took them for nobody', () => {
  const index = indexOf(1000)
  const chain = { hashes: Int32Array.of(0, 77), blocks: 1 }
  for (const slot of [0, 2, 9]) index.setCapacity(slot, 1e6)
  for (const slot of [2, 0, 9]) serve(index, chain, slot)
  index.sweep(2000)
  assert.deepEqual(matchedOf(index, chain, 0, 2, 9), [1, 1, 1])
})

test('keeps hot prefixes when far more passes through than there is room for', () => {
  const index = indexOf(4000)
  for (let slot = 0; slot < 4; slot++) index.setCapacity(slot, 1000 * blockTokens)
  const hot = Array.from({ length: 4 }, (_, i) => chainOf(i, 100, 0, 0))
  for (let round = 0; round < 400; round++) {
    for (let slot = 0; slot < 4; slot++) {
      serve(index, hot[slot] as BlockChain, slot)
      serve(index, chainOf(slot, 100, 10 + 4 * round + slot, 100), slot)
    }
  }
  for (let slot = 0; slot < 4; slot++) assert.deepEqual(matchedOf(index, hot[slot] as BlockChain, slot), [100])
})

test('keeps blocks in use when the table is far too small, and goes on', () => {
  const index = indexOf(200)
  index.setCapacity(0, 1e9)
  const kept = chainOf(1, 60, 0, 0)
  index.dispatch(kept, 0, 0)
  for (let i = 0; i < 200; i++) serve(index, chainOf(2, 0, i, 100), 0)
  assert.deepEqual(matchedOf(index, kept, 0), [60])
  assert.ok(index.displaced > 10_000)
})

test('stays as large as it is over any number of insertions', () => {
  const memory = prefixIndexMemory({ blocks: 20_000 })
  const index = new PrefixIndex(memory)
  assert.ok(memory.buffer.byteLength < 60 * 20_000)
  for (let slot = 0; slot < 8; slot++) index.setCapacity(slot, 2000 * blockTokens)
  const chain = { hashes: new Int32Array(400), blocks: 200 }
  const result = newMatch()
  for (let round = 0; round < 3000; round++) {
    for (let i = 0; i < 400; i++) chain.hashes[i] = scramble(round * 400 + i)
    const slot = round % 8
    index.match(chain, slotsOf(0, 1, 2, 3, 4, 5, 6, 7), result)
    index.dispatch(chain, slot, result.matched[slot] as number)
    if (round % 3 === 0) index.withdraw(chain, slot)
    else index.release(chain, slot)
    if (round > 100) assert.deepEqual(matchedOf(index, chain, slot), [round % 3 === 0 ? 0 : 200])
  }
  for (let slot = 0; slot < 8; slot++) index.advance(slot, 1e6)
  index.sweep(4000)
  assert.equal(index.countBlocks(), 0, 'nothing stays behind')
})

test('a chain that keeps its cells changes nothing of another owner: not of a slot without capacity, not after a new beginning', () => {
  const index = indexOf(1000)
  const chain = chainOf(1, 4, 0, 4)
  for (const slot of [0, 1]) index.setCapacity(slot, 1e6)
  index.dispatch(chain, 0, 0)
  const first = withCells(index, chain)
  index.dispatch(chain, 5, 0)
  const nowhere = withCells(index, chain)
  index.release(nowhere, 5)
  matchedOf(index, chain, 0)
  assert.equal(index.uses(3), 1, 'what slot 5 never held is not given back at slot 0')
  index.release(first, 0)
  for (const slot of [0, 1]) index.forget(slot)
  index.sweep(2000)
  index.dispatch(chain, 1, 0)
  index.release(first, 0)
  index.withdraw(first, 0)
  matchedOf(index, chain, 1)
  assert.deepEqual([index.uses(0), index.holders(0)], [1, 1])
})
