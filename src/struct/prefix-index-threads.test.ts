/** Several threads on one index. This file is also what the threads run. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { type BlockChain, PrefixIndex, prefixIndexMemory, prefixIndexSlots } from './prefix-index.ts'
import { withCells } from './prefix-index-case.ts'
import type { SharedMemory } from './wasm-host.ts'

interface Task {
  readonly memory: SharedMemory
  readonly seed: number
  readonly rounds: number
}

const slots = Array.from({ length: 24 }, (_, slot) => slot)
const families = 40
const blocks = 48

/** Chain number `family`: a quarter of it is common to four chains. */
function chainOf(family: number): BlockChain {
  const hashes = new Int32Array(2 * blocks)
  for (let i = 0; i < blocks; i++) {
    const source = i < blocks / 4 ? family >> 2 : 1000 + family
    hashes[2 * i] = Math.imul(source * 977 + i, 0x9e3779b1)
    hashes[2 * i + 1] = Math.imul(source * 31 + i * 7, 0x85ebca6b)
  }
  return { hashes, blocks }
}

function generator(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return (state >>> 8) % below
  }
}

/** Requests that begin and end in random order on random endpoints, some of which come and go. */
function hammer({ memory, seed, rounds }: Task): void {
  const index = new PrefixIndex(memory)
  const draw = generator(seed)
  const result = { matched: new Int32Array(prefixIndexSlots), inUse: new Int32Array(prefixIndexSlots) }
  const running: { chain: BlockChain; slot: number }[] = []
  const end = (): void => {
    const [ended] = running.splice(draw(running.length), 1)
    if (ended === undefined) return
    if (draw(4) === 0) index.withdraw(ended.chain, ended.slot)
    else {
      index.confirm(ended.chain, ended.slot)
      index.release(ended.chain, ended.slot)
    }
  }
  for (let round = 0; round < rounds; round++) {
    const chain = chainOf(draw(families))
    const slot = draw(slots.length)
    index.match(chain, { slots, count: slots.length }, result)
    index.dispatch(chain, slot, result.matched[slot] as number)
    running.push({ chain: draw(3) === 0 ? chain : withCells(index, chain), slot })
    if (running.length > 20) end()
    if (draw(50) === 0) index.forget(draw(slots.length))
    if (draw(10) === 0) index.sweep(8)
  }
  while (running.length > 0) end()
}

function runThread(task: Task): Promise<void> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: task })
    worker.once('error', reject)
    worker.once('message', () => void worker.terminate().then(() => resolve(), reject))
  })
}

async function hammered(blocksOfIndex: number): Promise<PrefixIndex> {
  const memory = prefixIndexMemory({ blocks: blocksOfIndex })
  const index = new PrefixIndex(memory)
  for (const slot of slots) index.setCapacity(slot, 1e9)
  const task = { memory, rounds: 3000 }
  await Promise.all([runThread({ ...task, seed: 1 }), runThread({ ...task, seed: 2 })])
  return index
}

function assertQuiet(index: PrefixIndex): void {
  const result = { matched: new Int32Array(prefixIndexSlots), inUse: new Int32Array(prefixIndexSlots) }
  for (let family = 0; family < families; family++) {
    const chain = chainOf(family)
    index.match(chain, { slots, count: slots.length }, result)
    for (let i = 0; i < blocks; i++) assert.equal(index.uses(i), 0, 'no use stays behind')
  }
}

if (isMainThread) {
  test('two threads leave no count behind in an index with room, and every block is found', async () => {
    const index = await hammered(20_000)
    assertQuiet(index)
    const result = { matched: new Int32Array(prefixIndexSlots), inUse: new Int32Array(prefixIndexSlots) }
    const matched = Array.from({ length: families }, (_, family) =>
      index.match(chainOf(family), { slots, count: slots.length }, result),
    )
    assert.ok(matched.filter((depth) => depth === blocks).length > families / 2)
    assert.ok(index.countBlocks() <= (families * blocks * 13) / 16, 'no block has two entries')
  })

  test('two threads leave no count behind in an index that is far too small', async () => {
    const index = await hammered(400)
    assertQuiet(index)
    for (const slot of slots) index.forget(slot)
    index.sweep(4000)
    assert.equal(index.countBlocks(), 0, 'nothing is kept for good')
  })
} else {
  hammer(workerData as Task)
  parentPort?.postMessage('done')
}
