import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { hashSegmentBlocks } from '#sim/model/block-hash.ts'
import { engineSettings } from '#sim/model/engine-settings.ts'
import type { ArmDefinition } from './arm.ts'
import { runLadder } from './ladder.ts'
import { type LadderShape, LadderWorkload } from './ladder-workload.ts'
import { byGroup, longestPrefix, randomly, roundRobin } from './placements.ts'
import { type Arrival, type Placement, VirtualFleet } from './virtual-fleet.ts'

const settings = engineSettings('llama-8b-h100', { kvBlocks: 200 })

function arrival(atMs: number, seed: number): Arrival {
  const segments = [{ seed, tokens: 320 }]
  return {
    atMs,
    group: seed,
    request: { promptTokens: 300, outputTokens: 20, blockHashes: hashSegmentBlocks(segments, 16, 0) },
  }
}

describe('a virtual fleet', () => {
  test('serves every arrival where it was placed, and then has none in flight', () => {
    const fleet = new VirtualFleet([settings, settings])
    const arrivals = Array.from({ length: 20 }, (_, i) => arrival(i * 7, i))
    const calls = fleet.serve(arrivals, roundRobin())
    assert.ok(calls.every(({ phase }) => phase === 'finished'))
    assert.deepEqual(
      fleet.engines.map(({ counters }) => counters.finished),
      [10, 10],
    )
    assert.deepEqual([...fleet.inFlight], [0, 0])
  })

  test('shows a placement the fleet as it is at the time of the arrival', () => {
    const fleet = new VirtualFleet([settings])
    const seen: number[] = []
    const calls = fleet.serve(
      [arrival(0, 1), arrival(10, 2), arrival(10_000, 3)],
      (_, { inFlight, engines, nowMs }) => {
        seen.push(inFlight[0] ?? 0, engines[0]?.counters.finished ?? 0, nowMs)
        return 0
      },
    )
    assert.deepEqual(seen, [0, 0, 0, 1, 0, 10, 0, 2, 10_000])
    assert.ok(calls[2] && fleet.nowMs >= calls[2].lastTokenMs)
  })

  test('rejects a placement on an engine that is not there', () => {
    assert.throws(() => new VirtualFleet([settings]).serve([arrival(0, 1)], () => 1), RangeError)
  })
})

describe('placements', () => {
  test('by prefix send a request where its prefix is, unless that engine is far ahead of the others', () => {
    const fleet = new VirtualFleet([settings, settings])
    const placed: number[] = []
    const place = longestPrefix()
    const arrivals = [arrival(0, 1), arrival(500, 2), ...Array.from({ length: 12 }, () => arrival(1_000, 1))]
    fleet.serve(arrivals, (each, state) => {
      placed.push(place(each, state))
      return placed.at(-1) ?? -1
    })
    const [first] = placed
    assert.deepEqual(placed.slice(2, 6), [first, first, first, first])
    assert.ok(placed.includes(1 - (first ?? 0)), 'a part of the burst goes to the other engine')
  })

  test('by group keep a group together; random ones repeat with their seed', () => {
    const fleet = new VirtualFleet([settings, settings, settings])
    assert.equal(byGroup()(arrival(0, 4), fleet), 1)
    const draw = (): number[] => {
      const place = randomly(9)
      return Array.from({ length: 50 }, () => place(arrival(0, 1), fleet))
    }
    assert.deepEqual(draw(), draw())
    assert.equal(new Set(draw()).size, 3)
  })
})

function armOf(place: () => Placement): ArmDefinition {
  return { name: 'placed', kind: 'yardstick', summary: '', create: () => ({ place: place() }) }
}

const shape: LadderShape = {
  groups: 12,
  promptsPerGroup: 2,
  prefixTokens: 480,
  questionTokens: 100,
  outputTokens: 60,
  warmUp: { ratePerSecond: 20, seconds: 2 },
  stages: [
    { ratePerSecond: 5, seconds: 4 },
    { ratePerSecond: 80, seconds: 3 },
  ],
  restMs: 1_000,
}

describe('a ladder', () => {
  test('asks every prompt in turn, at the rate of its stage', () => {
    const workload = new LadderWorkload(shape, 16, 1)
    const arrivals = workload.arrivals({ ratePerSecond: 100, seconds: 240 }, 5_000)
    assert.equal(arrivals.length, 24_000)
    const last = arrivals.at(-1)?.atMs ?? 0
    assert.ok(Math.abs((last - 5_000) / 240_000 - 1) < 0.03, `${last}`)
    const counts = new Map<number, number>()
    for (const { group } of arrivals) counts.set(group, (counts.get(group) ?? 0) + 1)
    assert.deepEqual(new Set(counts.values()), new Set([2_000]))
    const [first, again] = [arrivals[0]?.request, arrivals[24]?.request]
    const promptBlocks = Math.floor(580 / 16)
    assert.deepEqual(first?.blockHashes.subarray(0, promptBlocks), again?.blockHashes.subarray(0, promptBlocks))
    assert.notDeepEqual(first?.blockHashes, again?.blockHashes, 'answers differ')
  })

  test('gives the same numbers for the same seed, and others for another', () => {
    const run = (seed: number): string =>
      JSON.stringify(runLadder({ shape, settings, engines: 3, seed }, armOf(roundRobin)))
    assert.equal(run(1), run(1))
    assert.notEqual(run(1), run(2))
  })

  test('shows what affinity is worth when the prefixes fit the fleet once', () => {
    const setup = { shape, settings, engines: 3, seed: 1 }
    const blind = runLadder(setup, armOf(roundRobin)).stages[1]
    const sticky = runLadder(setup, armOf(longestPrefix)).stages[1]
    assert.ok(blind && sticky && sticky.hitRatio > blind.hitRatio + 0.1)
    assert.ok(sticky.outputTokensPerSecond > 1.1 * blind.outputTokensPerSecond)
    assert.ok(sticky.ttftP90Ms < blind.ttftP90Ms)
  })
})
