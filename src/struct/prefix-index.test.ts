import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type BlockChain, PrefixIndex, prefixIndexMemory, prefixIndexSlots } from './prefix-index.ts'

const blockTokens = 64

/** Chains whose first `shared` blocks are those of the family, the rest their own. */
function chainOf(family: number, shared: number, own: number, tail: number): BlockChain {
  const blocks = shared + tail
  const hashes = new Int32Array(2 * blocks)
  for (let i = 0; i < blocks; i++) {
    hashes[2 * i] = scramble((i < shared ? family : 1000 + own) * 4096 + i)
    hashes[2 * i + 1] = scramble(~(hashes[2 * i] as number) ^ i)
  }
  return { hashes, blocks }
}

function scramble(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x7feb352d)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b | 0)
  return mixed ^ (mixed >>> 16)
}

function indexOf(blocks: number): PrefixIndex {
  return new PrefixIndex(prefixIndexMemory({ blocks, blockTokens }))
}

function slotsOf(...slots: number[]): { slots: number[]; count: number } {
  return { slots, count: slots.length }
}

function newMatch(): { matched: Int32Array; inUse: Int32Array } {
  return { matched: new Int32Array(prefixIndexSlots), inUse: new Int32Array(prefixIndexSlots) }
}

/** Matched blocks of each slot. */
function matchedOf(index: PrefixIndex, chain: BlockChain, ...slots: number[]): number[] {
  const result = newMatch()
  index.match(chain, slotsOf(...slots), result)
  return slots.map((slot) => result.matched[slot] as number)
}

function serve(index: PrefixIndex, chain: BlockChain, slot: number): void {
  index.dispatch(chain, slot, matchedOf(index, chain, slot)[0] as number)
  index.confirm(chain, slot)
  index.release(chain, slot)
}

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

// The index as maps: no memory limit, no threads, the same rules.
interface Holder {
  touch: number
  uses: number
  confirmed: boolean
  exact: boolean
}

class NaiveIndex {
  readonly #blocks = new Map<string, Map<number, Holder>>()
  readonly #clock = new Map<number, { volume: number; capacity: number; birth: number }>()

  clockOf(slot: number): { volume: number; capacity: number; birth: number } {
    const clock = this.#clock.get(slot) ?? { volume: 0, capacity: 0, birth: 0 }
    this.#clock.set(slot, clock)
    return clock
  }

  holdersOf({ hashes }: BlockChain, i: number): Map<number, Holder> {
    const key = `${hashes[2 * i]},${hashes[2 * i + 1]}`
    const holders = this.#blocks.get(key) ?? new Map<number, Holder>()
    this.#blocks.set(key, holders)
    return holders
  }

  presentAt(chain: BlockChain, i: number, slot: number): Holder | undefined {
    const holder = this.holdersOf(chain, i).get(slot)
    const { volume, capacity, birth } = this.clockOf(slot)
    if (holder === undefined || holder.touch < birth) return undefined
    return holder.touch >= volume - capacity || holder.uses > 0 || holder.exact ? holder : undefined
  }

  matched(chain: BlockChain, slot: number): number {
    let i = 0
    while (i < chain.blocks && this.presentAt(chain, i, slot)) i++
    return i
  }

  inUse(chain: BlockChain, slot: number): number {
    let i = 0
    while (i < chain.blocks && (this.presentAt(chain, i, slot)?.uses ?? 0) > 0) i++
    return i
  }

  dispatch(chain: BlockChain, slot: number): void {
    const clock = this.clockOf(slot)
    if (clock.capacity === 0) return
    const held = this.matched(chain, slot)
    // Presence is judged after the clock has moved.
    clock.volume += (chain.blocks - held) * blockTokens + this.#overtakenBy(held, chain, slot)
    for (let i = 0; i < chain.blocks; i++) {
      const holder = this.presentAt(chain, i, slot) ?? { touch: 0, uses: 0, confirmed: false, exact: false }
      holder.touch = clock.volume - i * blockTokens
      holder.uses++
      this.holdersOf(chain, i).set(slot, holder)
    }
  }

  /** The size of the blocks held, times the share of the capacity since their last use: the mean of eight of them. */
  #overtakenBy(held: number, chain: BlockChain, slot: number): number {
    const { volume, capacity } = this.clockOf(slot)
    const samples = Math.min(held, 8)
    let age = 0
    for (let i = 0; i < samples; i++) {
      const at = Math.floor(((i + 0.5) * held) / samples)
      const holder = this.presentAt(chain, at, slot)
      if (holder === undefined || holder.exact) continue
      age += Math.min(capacity, Math.max(0, volume - holder.touch - at * blockTokens))
    }
    return samples === 0 ? 0 : Math.floor((held * blockTokens * age) / (samples * capacity))
  }

  confirm(chain: BlockChain, slot: number): void {
    for (let i = 0; i < chain.blocks; i++) {
      const holder = this.holdersOf(chain, i).get(slot)
      if (holder) holder.confirmed = true
    }
  }

  release(chain: BlockChain, slot: number): void {
    const { volume, birth } = this.clockOf(slot)
    for (let i = 0; i < chain.blocks; i++) {
      const holder = this.holdersOf(chain, i).get(slot)
      if (!holder) continue
      holder.uses = Math.max(0, holder.uses - 1)
      if (holder.touch >= birth) holder.touch = Math.max(holder.touch, volume - i * blockTokens)
    }
  }

  withdraw(chain: BlockChain, slot: number): void {
    for (let i = 0; i < chain.blocks; i++) {
      const holders = this.holdersOf(chain, i)
      const holder = holders.get(slot)
      if (!holder) continue
      holder.uses = Math.max(0, holder.uses - 1)
      if (holder.uses === 0 && !holder.confirmed && !holder.exact) holders.delete(slot)
    }
  }

  setExact(chain: BlockChain, i: number, slot: number, isHeld: boolean): void {
    const { volume, capacity } = this.clockOf(slot)
    const holders = this.holdersOf(chain, i)
    if (!isHeld) {
      holders.delete(slot)
      return
    }
    if (capacity === 0) return
    const holder = this.presentAt(chain, i, slot) ?? { touch: 0, uses: 0, confirmed: true, exact: true }
    holders.set(slot, { ...holder, touch: volume, confirmed: true, exact: true })
  }
}

const slotNumbers = [0, 1, 2, 5, 8, 9, 17, 600, 601, 4095]
const anySlot = fc.constantFrom(...slotNumbers)
const anyChain = fc
  .tuple(
    fc.integer({ min: 0, max: 2 }),
    fc.integer({ min: 0, max: 12 }),
    fc.integer({ min: 0, max: 3 }),
    fc.integer({ min: 0, max: 6 }),
  )
  .map(([family, shared, own, tail]) => chainOf(family, shared, own, tail))
const anyStep = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('request' as const), chain: anyChain, slot: anySlot }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('end' as const), how: fc.nat(3), which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), slot: anySlot }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('advance' as const), slot: anySlot, blocks: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('capacity' as const), slot: anySlot, blocks: fc.nat(60) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('exact' as const), slot: anySlot, chain: anyChain, isHeld: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('sweep' as const) }) },
)
type Step = typeof anyStep extends fc.Arbitrary<infer T> ? T : never

interface Running {
  readonly chain: BlockChain
  readonly slot: number
}

function endOne(
  { how, which }: { how: number; which: number },
  running: Running[],
  targets: (PrefixIndex | NaiveIndex)[],
): void {
  if (running.length === 0) return
  const [{ chain, slot }] = running.splice(which % running.length, 1) as [Running]
  for (const target of targets) {
    if (how === 0) target.withdraw(chain, slot)
    else {
      if (how > 1) target.confirm(chain, slot)
      target.release(chain, slot)
    }
  }
}

function apply(step: Step, index: PrefixIndex, naive: NaiveIndex, running: Running[]): void {
  if (step.kind === 'end') endOne(step, running, [index, naive])
  else if (step.kind === 'sweep') index.sweep(1000)
  else if (step.kind === 'request') {
    index.dispatch(
      step.chain,
      step.slot,
      matchedOf(index, step.chain, ...slotNumbers)[slotNumbers.indexOf(step.slot)] as number,
    )
    naive.dispatch(step.chain, step.slot)
    running.push(step)
  } else if (step.kind === 'forget') {
    index.forget(step.slot)
    const clock = naive.clockOf(step.slot)
    clock.birth = ++clock.volume
  } else if (step.kind === 'advance') {
    index.advance(step.slot, step.blocks * blockTokens)
    naive.clockOf(step.slot).volume += step.blocks * blockTokens
  } else if (step.kind === 'capacity') {
    index.setCapacity(step.slot, step.blocks * blockTokens)
    naive.clockOf(step.slot).capacity = Math.max(1, step.blocks * blockTokens)
  } else applyExact(step, index, naive)
}

function applyExact(
  { chain, slot, isHeld }: { chain: BlockChain; slot: number; isHeld: boolean },
  index: PrefixIndex,
  naive: NaiveIndex,
): void {
  for (let i = 0; i < chain.blocks; i++) {
    const [low, high] = [chain.hashes[2 * i] as number, chain.hashes[2 * i + 1] as number]
    if (isHeld) index.setHolder(low, high, slot)
    else index.removeHolder(low, high, slot)
    naive.setExact(chain, i, slot, isHeld)
  }
}

function assertSame(index: PrefixIndex, naive: NaiveIndex, chain: BlockChain): void {
  const result = newMatch()
  const best = index.match(chain, slotsOf(...slotNumbers), result)
  const expected = slotNumbers.map((slot) => naive.matched(chain, slot))
  assert.deepEqual(
    slotNumbers.map((slot) => result.matched[slot]),
    expected,
  )
  assert.deepEqual(
    slotNumbers.map((slot) => result.inUse[slot]),
    slotNumbers.map((slot) => naive.inUse(chain, slot)),
  )
  assert.equal(best, Math.max(...expected))
  for (let i = 0; i < chain.blocks; i++) {
    const uses = slotNumbers.map((slot) => naive.presentAt(chain, i, slot)?.uses)
    assert.equal(index.holders(i), uses.filter((count) => count !== undefined).length)
    assert.equal(
      index.uses(i),
      uses.reduce<number>((sum, count) => sum + (count ?? 0), 0),
    )
  }
}

function assertAgrees(steps: readonly Step[], chains: readonly BlockChain[], isTold: boolean): void {
  const index = indexOf(2000)
  // From now on it is one of what engines say, in which anything may be missing.
  if (isTold) index.removeHolder(1, 1, 0)
  const naive = new NaiveIndex()
  const running: Running[] = []
  for (const slot of slotNumbers.slice(0, -1)) {
    index.setCapacity(slot, 40 * blockTokens)
    naive.clockOf(slot).capacity = 40 * blockTokens
  }
  for (const step of steps) {
    apply(step, index, naive, running)
    for (const chain of chains) assertSame(index, naive, chain)
  }
}

test('agrees with an index made of maps as long as there is room, whatever engines say of single blocks', () => {
  fc.assert(
    fc.property(
      fc.array(anyStep, { maxLength: 60 }),
      fc.array(anyChain, { minLength: 3, maxLength: 3 }),
      (steps, chains) => assertAgrees(steps, chains, true),
    ),
    { numRuns: 150, seed: 7 },
  )
})

/** As chains of hashes are: what a block is called depends on all blocks before it. */
function chained({ hashes, blocks }: BlockChain): BlockChain {
  const named = new Int32Array(hashes.length)
  let before = 0
  for (let i = 0; i < hashes.length; i++) {
    before = Math.imul(before ^ (hashes[i] as number), 0x9e3779b1) ^ (before >>> 15)
    named[i] = before
  }
  return { hashes: named, blocks }
}

test('agrees with it when only told what was sent where, without a look at most of the blocks', () => {
  const anyName = anyChain.map(chained)
  const sent = anyStep.filter(({ kind }) => kind !== 'exact')
  const step = sent.map((one): Step => (one.kind === 'request' ? { ...one, chain: chained(one.chain) } : one))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.array(anyName, { minLength: 3, maxLength: 3 }), (steps, chains) =>
      assertAgrees(steps, chains, false),
    ),
    { numRuns: 300, seed: 7 },
  )
})
