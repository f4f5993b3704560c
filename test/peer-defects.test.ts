import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { parseDocuments } from '#config/load-documents.ts'
import { snapshotOf as translated } from '#controller/load-snapshot.ts'
import { seededRng } from '#core/clock.ts'
import { createSlotAllocator } from '#datastore/assign-slots.ts'
import { createEndpointTable } from '#datastore/endpoint-table.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import { EndpointBlocks } from '#scraper/kv-events/endpoint-blocks.ts'
import { cleared, removed, stored } from '#scraper/kv-events/event-case.ts'
import { readBatch } from '#scraper/kv-events/read-batch.ts'
import { type BlockChain, PrefixIndex, prefixIndexMemory, prefixIndexSlots } from '#struct/prefix-index.ts'
import { peerDefects } from './peer-defects.ts'
import { PromptFleet, promptRequest, textOf } from './prompt-fleet.ts'

const root = join(import.meta.dirname, '..')

describe('each defect of a peer that the references document', () => {
  for (const { peer, defect, tests } of peerDefects) {
    test(`${peer}: ${defect}`, () => {
      assert.ok(tests.length > 0)
      for (const [file, title] of tests) {
        assert.ok(readFileSync(join(root, file), 'utf8').includes(title), `${file} has no test '${title}'`)
      }
    })
  }
})

describe('a prompt that is cached', () => {
  test('weighs by its length: a short one gives way to a short queue, a long one does not', () => {
    const placeOf = (tokens: number): 'holder' | 'other' => {
      const fleet = new PromptFleet(2)
      const prompt = promptRequest(textOf('prompt', tokens))
      const holder = fleet.serve(prompt)
      const other = 1 - holder
      // Two answers are under way where it is cached, none at the other.
      fleet.table.inFlight[holder] = 2
      const { slot } = fleet.begin(prompt)
      assert.ok(slot === holder || slot === other)
      return slot === holder ? 'holder' : 'other'
    }
    assert.deepEqual([placeOf(64), placeOf(20_000)], ['other', 'holder'])
  })

  test('is looked up without a lock and without a copy of who holds it', () => {
    const index = new PrefixIndex(prefixIndexMemory({ blocks: 50_000 }))
    const blocks = 200
    const hashes = Int32Array.from({ length: 2 * blocks }, (_, i) => Math.imul(i + 1, 0x9e3779b1))
    const chain: BlockChain = { hashes, blocks }
    const slots = Int32Array.from({ length: 100 }, (_, slot) => slot)
    const match = { matched: new Int32Array(prefixIndexSlots), inUse: new Int32Array(prefixIndexSlots) }
    for (const slot of slots) {
      index.setCapacity(slot, 1e6)
      index.dispatch(chain, slot, 0)
    }
    const look = (): void => {
      for (let i = 0; i < 200; i++) index.match(chain, { slots, count: slots.length }, match)
    }
    look()
    const before = process.memoryUsage().heapUsed
    look()
    const bytes = process.memoryUsage().heapUsed - before
    // A set of 100 endpoints for each block would be 200 x 200 x more than 1 kB.
    assert.ok(bytes < 4_000_000, `${bytes} bytes`)
    assert.equal(match.matched[99], blocks)
  })

  test('is found by the second request of a burst, before the first has an answer', () => {
    const fleet = new PromptFleet(4)
    for (const other of ['a', 'b', 'c']) fleet.begin(promptRequest(textOf(other, 20_000)))
    const prompt = (end: string) => promptRequest(`${textOf('shared', 20_000)}${end}`)
    const first = fleet.begin(prompt('one'))
    assert.equal(fleet.begin(prompt('two')).slot, first.slot)
  })

  test('is followed while another endpoint has far more requests than the rest', () => {
    const fleet = new PromptFleet(4)
    const prompt = promptRequest(textOf('prompt', 8000))
    const holder = fleet.serve(prompt)
    fleet.table.inFlight[(holder + 1) % 4] = 80
    for (let i = 0; i < 10; i++) assert.equal(fleet.serve(prompt), holder)
  })
})

describe('replicas that know nothing of each other', () => {
  /** Prompts that are computed, of `prompts` that come ten times each in any order, each to one of the replicas. */
  function computed(replicas: number, prompts: number): number {
    const rng = seededRng(11)
    const fleets = Array.from({ length: replicas }, (_, i) => new PromptFleet(8, i + 1))
    const held = new Set<string>()
    for (let i = 0; i < 10 * prompts; i++) {
      const n = Math.floor(rng() * prompts)
      const fleet = fleets[Math.floor(rng() * replicas)]
      assert.ok(fleet)
      held.add(`${n} ${fleet.serve(promptRequest(textOf(`p${n}`, 2000)))}`)
    }
    return held.size
  }

  test('send equal prompts to the same endpoint: two of them lose next to nothing of the hits of one', () => {
    const one = computed(1, 60)
    assert.equal(one, 60)
    const two = computed(2, 60)
    assert.ok(two <= 1.1 * one, `${two} prompts computed, not ${one}`)
  })
})

describe('1,000 requests with prompts of their own', () => {
  for (const size of [2, 7, 64]) {
    test(`differ by at most one over ${size} equal endpoints`, () => {
      const fleet = new PromptFleet(size)
      for (let i = 0; i < 1000; i++) {
        fleet.begin(promptRequest(textOf(`unique ${i}`, 300)))
        assert.ok(fleet.spread(size) <= 1, `${i}`)
      }
    })
  }

  test('and one token to answer spread before any of them has begun to answer', () => {
    const fleet = new PromptFleet(4)
    for (let i = 0; i < 40; i++) fleet.begin(promptRequest(textOf(`long ${i}`, 32_000), { maxTokens: 1 }))
    assert.ok(fleet.spread(4) <= 1)
    assert.ok(new Set(fleet.table.uncachedTokens.subarray(0, 4)).size === 1)
  })
})

describe('data-parallel ranks of one address', () => {
  test('have caches of their own', () => {
    const text = 'models: { m: { engine: vllm, dataParallel: 2, endpoints: ["http://10.0.0.1:8000"] } }'
    const documents = parseDocuments({ file: 'gateway.yaml', text }, {})
    const result = translated(documents, { env: {}, plugins, defaultProfile }, () => [])
    assert.ok(result.ok)
    const { modelServers } = createSlotAllocator(createEndpointTable()).assign(result.snapshot)
    const [first, second] = modelServers[0]?.endpoints ?? []
    assert.deepEqual([first?.rank, second?.rank, first?.slot === second?.slot], [0, 1, false])
  })
})

describe('the events of one engine', () => {
  test('say nothing of another: what one gives up the other still has', () => {
    const index = new PrefixIndex(prefixIndexMemory({ blocks: 1000, blockTokens: 16 }))
    const [one, other] = [new EndpointBlocks(index, 1), new EndpointBlocks(index, 2)]
    for (const blocks of [one, other]) blocks.apply(readBatch(stored(1, 1, 0, 3)))
    one.apply(readBatch(removed(2, 1, 3)))
    assert.deepEqual([one.size, other.size], [3, 4])
    one.apply(readBatch(cleared(3)))
    assert.deepEqual([one.size, other.size], [0, 4])
    one.forget()
    assert.equal(index.countBlocks(), 4)
  })
})
