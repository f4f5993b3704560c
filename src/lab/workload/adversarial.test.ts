import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Arrival } from '#lab/virtual-fleet.ts'
import { engineSettings } from '#sim/model/engine-settings.ts'
import { adversarialWorkloads } from './adversarial-table.ts'
import { fleetWorkloads } from './fleet-table.ts'
import { incidentWorkloads } from './incident-table.ts'
import type { WorkloadDefinition } from './workload.ts'

function named(name: string): WorkloadDefinition {
  const found = [...adversarialWorkloads, ...incidentWorkloads, ...fleetWorkloads].find((each) => each.name === name)
  assert.ok(found, name)
  return found
}

function arrivalsOf(name: string, seconds: number): readonly Arrival[] {
  const { create, load } = named(name)
  return [...create({ seed: 1, load, endMs: seconds * 1e3, blockSize: 16, readTrace: () => '' }).arrivals]
}

describe('adversarial workloads', () => {
  test('rotation asks for every prefix once before it asks for one again, and they do not fit the fleet', () => {
    const arrivals = arrivalsOf('rotation', 80)
    const groups = arrivals.map(({ group }) => group)
    assert.ok(arrivals.length > 1_000)
    assert.equal(new Set(groups.slice(0, 430)).size, 430)
    assert.deepEqual(groups.slice(430, 860), groups.slice(0, 430))
    const { preset, engines } = named('rotation')
    const { kvBlocks, blockSize } = engineSettings(preset)
    assert.ok(430 * 6_000 > engines * kvBlocks * blockSize)
    assert.ok(430 * 6_000 < 1.1 * engines * kvBlocks * blockSize, 'just so')
  })

  test('bursts give each tenant 90 % in its turn', () => {
    for (const [from, tenant] of [
      [0, 0],
      [10_000, 1],
      [20_000, 0],
    ] as const) {
      const turn = arrivalsOf('bursts', 30).filter(({ atMs }) => atMs >= from && atMs < from + 10_000)
      const share = turn.filter((each) => each.tenant === tenant).length / turn.length
      assert.ok(Math.abs(share - 0.9) < 0.03, `${from}: ${share}`)
    }
  })

  test('giants are few, and most of the tokens', () => {
    const arrivals = arrivalsOf('giants', 200)
    const giants = arrivals.filter(({ request }) => request.promptTokens === 100_000)
    assert.ok(Math.abs(giants.length / arrivals.length - 1 / 200) < 0.002)
    assert.ok(arrivals.every(({ request }) => request.promptTokens === 100_000 || request.promptTokens <= 2_000))
    const mean = arrivals.reduce((sum, { request }) => sum + request.promptTokens, 0) / arrivals.length
    assert.ok(mean > 600 && mean < 900, `${mean}`)
  })

  test('identical prompts are identical, their answers are not', () => {
    const [first, ...others] = arrivalsOf('identical', 2)
    assert.ok(first && others.length > 100)
    const promptBlocks = 4_000 / 16
    for (const { request } of others) {
      assert.deepEqual(
        request.blockHashes.subarray(0, promptBlocks),
        first.request.blockHashes.subarray(0, promptBlocks),
      )
    }
    const answers = others.flatMap(({ request }) => [...request.blockHashes.subarray(promptBlocks)])
    assert.equal(new Set(answers).size, answers.length)
  })

  test('unique starts share no block, though their texts do', () => {
    const arrivals = arrivalsOf('unique-start', 10)
    const hashes = arrivals.flatMap(({ request }) => [...request.blockHashes])
    assert.equal(new Set(hashes).size, hashes.length)
    const texts = new Set(arrivals.map(({ prompt }) => prompt?.[1]?.seed))
    assert.ok(texts.size < 0.8 * arrivals.length)
  })

  test('tenants have half as many requests as the one before', () => {
    const counts = [0, 0, 0]
    for (const { tenant = 0 } of arrivalsOf('tenants', 60)) if (tenant < 3) counts[tenant] = (counts[tenant] ?? 0) + 1
    const [first = 0, second = 0, third = 0] = counts
    assert.ok(Math.abs(first / second - 2) < 0.2 && Math.abs(second / third - 2) < 0.25, counts.join(' '))
  })
})

describe('workloads of other fleets', () => {
  test('adapters share no block with one another', () => {
    const byAdapter = new Map<number, ReadonlySet<number>>()
    for (const { request, group } of arrivalsOf('adapters', 30)) {
      assert.equal(request.adapter, group)
      const system = request.blockHashes.subarray(0, 500 / 16)
      byAdapter.set(group, byAdapter.get(group) ?? new Set(system))
      assert.ok(system.every((hash) => byAdapter.get(group)?.has(hash)))
    }
    const all = [...byAdapter.values()].flatMap((hashes) => [...hashes])
    assert.equal(new Set(all).size, all.length)
    assert.ok(byAdapter.size > 50)
  })

  test('a mixed fleet has every second engine half as fast, and as much memory', () => {
    const { engineOf } = named('mixed-fleet')
    const plain = engineSettings('qwen3-32b-2xh100')
    const engines = [0, 1, 2, 3].map((index) => engineOf?.(plain, index))
    assert.deepEqual(
      engines.map((each) => each?.cost.weightsMs),
      [12.9, 25.8, 12.9, 25.8],
    )
    assert.ok(engines.every((each) => each?.kvBlocks === plain.kvBlocks))
  })

  for (const { name, incidents, engines, absent = [] } of incidentWorkloads) {
    test(`${name}: what happens, happens to engines that are there, while it is measured`, () => {
      const list = incidents?.({ warmUpMs: 1_000, endMs: 9_000 }) ?? []
      assert.ok(list.length > 0)
      for (const incident of list) {
        assert.ok(incident.atMs >= 3_000 && incident.atMs < 9_000)
        if ('engine' in incident) assert.ok(incident.engine < engines)
        if (incident.kind === 'start' && absent.length > 0) assert.ok(absent.includes(incident.engine))
      }
    })
  }
})
