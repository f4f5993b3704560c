import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { seededRng } from '#core/clock.ts'
import { hashSegmentBlocks } from '#sim/model/block-hash.ts'
import { engineSettings } from '#sim/model/engine-settings.ts'
import type { ArmDefinition } from './arm.ts'
import { blindArms } from './arms/blind.ts'
import { HashSet, InfiniteCache } from './infinite-cache.ts'
import { Locality } from './locality.ts'
import { oracleArm, shareOfOracle } from './oracle.ts'
import { longestPrefix } from './placements.ts'
import { runArm } from './run.ts'
import type { RunMetrics } from './run-metrics.ts'
import { jain } from './tenant-metrics.ts'
import { type Arrival, VirtualFleet } from './virtual-fleet.ts'
import { workloads } from './workload-table.ts'

const settings = engineSettings('llama-8b-h100', { kvBlocks: 200 })

function arrival(atMs: number, seed: number, promptTokens = 300): Arrival {
  const blockHashes = hashSegmentBlocks([{ seed, tokens: promptTokens + 20 }], 16, 0)
  return { atMs, group: seed, request: { promptTokens, outputTokens: 20, blockHashes } }
}

function run(name: string, arm: ArmDefinition, load: number): RunMetrics {
  const workload = workloads.find((each) => each.name === name)
  assert.ok(workload, name)
  const time = { warmUpMs: 15_000, measuredMs: 15_000 }
  return runArm({ arm, workload, seed: 1, load, ...time, readTrace: () => '' })
}

function blind(name: string): ArmDefinition {
  const found = blindArms.find((arm) => arm.name === name)
  assert.ok(found)
  return found
}

const seesCaches: ArmDefinition = {
  name: 'sees-caches',
  kind: 'yardstick',
  summary: '',
  create: () => ({ place: longestPrefix() }),
}

describe('engines with one pool of blocks', () => {
  test('find what another engine has computed', () => {
    const fleet = new VirtualFleet([settings, settings], {}, { poolsCaches: true })
    const calls = fleet.serve([arrival(0, 1), arrival(2_000, 1), arrival(4_000, 2)], ({ atMs }) => (atMs > 0 ? 1 : 0))
    assert.deepEqual(
      calls.map(({ cachedTokens }) => cachedTokens),
      [0, 288, 0],
    )
  })

  test('take blocks from each other, wait for them, and give all back', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => {
        const rng = seededRng(seed)
        const small = engineSettings('llama-8b-h100', { kvBlocks: 40 })
        const fleet = new VirtualFleet([small, small, small], {}, { poolsCaches: true })
        const arrivals = Array.from({ length: 50 }, (_, i) =>
          arrival(i * 8, Math.floor(rng() * 9), 100 + 400 * rng()),
        ).map(({ request, ...others }) => ({
          ...others,
          request: { ...request, promptTokens: Math.floor(request.promptTokens) },
        }))
        const calls = fleet.serve(arrivals, () => Math.floor(rng() * 3))
        assert.ok(calls.every(({ phase, producedTokens }) => phase === 'finished' && producedTokens === 20))
        const [first] = fleet.engines
        assert.equal(first?.cache.totalBlocks, 120)
        assert.equal(first?.cache.usedBlocks, 0)
      }),
      { numRuns: 30, seed: 4 },
    )
  })
})

describe('the oracle', () => {
  const cases = [
    { name: 'zipf', load: 40 },
    { name: 'giants', load: 30 },
    { name: 'rotation', load: 16 },
    { name: 'adapters', load: 50 },
  ]
  for (const { name, load } of cases) {
    test(`has its first tokens sooner than others over ${name}`, () => {
      const oracle = run(name, oracleArm, load)
      assert.equal(oracle.localityGivenAway, 0, 'nothing is anywhere else')
      for (const arm of [blind('least-request'), seesCaches]) {
        const { ttft } = shareOfOracle(run(name, arm, load), oracle)
        assert.ok(ttft < 1, `${arm.name}: ${ttft}`)
      }
      assert.deepEqual(shareOfOracle(oracle, oracle), { ttft: 1, e2e: 1, goodput: 1 })
    })
  }

  test('and everybody else computes at least what an infinite cache would miss', () => {
    for (const arm of [oracleArm, blind('random'), seesCaches]) {
      const { compulsoryShare, leastTtftMs, ttftMs } = run('zipf', arm, 40)
      assert.ok(compulsoryShare > 0 && compulsoryShare <= 1, `${arm.name}: ${compulsoryShare}`)
      assert.ok(leastTtftMs < ttftMs.mean, arm.name)
    }
  })
})

test('an infinite cache misses what no earlier request had, and always the last token', () => {
  const cache = new InfiniteCache(16)
  const whole = arrival(0, 1, 320).request
  assert.equal(cache.missesOf(whole), 320)
  assert.equal(cache.missesOf(whole), 16, 'a full hit computes its last block again')
  assert.equal(cache.missesOf(arrival(0, 1, 600).request), 600 - 336, 'the answer of the first is part of the second')
  assert.equal(cache.missesOf(arrival(0, 2, 300).request), 300)
})

test('a set of hashes has what was added, and nothing else', () => {
  const set = new HashSet()
  const rng = seededRng(1)
  const hashes = Array.from({ length: 20_000 }, () => Math.floor(rng() * 2 ** 53))
  for (const hash of hashes) set.add(hash)
  for (const hash of hashes) set.add(hash)
  assert.equal(set.size, new Set(hashes).size)
  assert.ok(hashes.every((hash) => set.has(hash)))
  assert.ok(!set.has(12_345) && !set.has(0))
})

test('locality given away is the part of the best cached prefix that was not used', () => {
  const fleet = new VirtualFleet([settings, settings])
  fleet.submit(0, arrival(0, 1))
  fleet.advance(2_000)
  const again = arrival(2_000, 1)
  const locality = new Locality()
  assert.equal(locality.givenAway, 0)
  locality.add(again, fleet, 0)
  assert.equal(locality.givenAway, 0)
  locality.add(again, fleet, 1)
  assert.equal(locality.givenAway, 0.5)
  locality.add(arrival(2_000, 7), fleet, 1)
  assert.equal(locality.givenAway, 0.5, 'where nothing is cached nothing is given away')
  locality.add({ ...again, excluded: [0] }, fleet, 1)
  assert.equal(locality.givenAway, 0.5, 'what may not be reached neither')
})

test("Jain's index is 1 for equal shares and 1 / n for one that has all", () => {
  assert.equal(jain([0.4, 0.4, 0.4]), 1)
  assert.ok(Math.abs(jain([1, 0, 0, 0]) - 0.25) < 1e-12)
  assert.equal(jain([]), 1)
})

describe('tenants', () => {
  test('of different size are told apart, and a starved one shows', () => {
    const fair = run('tenants', blind('least-request'), 40)
    assert.deepEqual(
      fair.tenants.map(({ tenant }) => tenant),
      [0, 1, 2, 3, 4, 5, 6, 7].slice(0, fair.tenants.length),
    )
    assert.ok(fair.tenants.length >= 6)
    const [first, second] = fair.tenants
    assert.ok(first && second && first.requests > 1.5 * second.requests)
    assert.equal(
      fair.tenants.reduce((sum, { requests }) => sum + requests, 0),
      fair.requests,
    )
    // Seven engines for one tenant, one for all others.
    const starving: ArmDefinition = {
      name: 'starving',
      kind: 'blind',
      summary: '',
      create: ({ rng }) => ({ place: ({ tenant }) => (tenant === 0 ? 1 + Math.floor(rng() * 7) : 0) }),
    }
    const unfair = run('tenants', starving, 40)
    assert.ok(unfair.fairness < fair.fairness - 0.02, `${unfair.fairness} < ${fair.fairness}`)
    assert.ok(unfair.slowdownMaxOverMin > 1.5 * fair.slowdownMaxOverMin)
  })
})
