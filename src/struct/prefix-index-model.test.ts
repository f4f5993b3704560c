import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type BlockChain, type PrefixIndex } from './prefix-index.ts'
import { blockTokens, chainOf, indexOf, matchedOf, newMatch, slotsOf, withCells } from './prefix-index-case.ts'

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
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('request' as const),
      chain: anyChain,
      slot: anySlot,
      keepsCells: fc.boolean(),
    }),
  },
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
    running.push(step.keepsCells ? { ...step, chain: withCells(index, step.chain) } : step)
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
