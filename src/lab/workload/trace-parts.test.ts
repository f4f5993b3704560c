import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { partOf, reportedSeeds, searchedSeeds } from '#lab/seeds.ts'
import type { Arrival } from '#lab/virtual-fleet.ts'
import { traceInParts } from './trace-parts.ts'

/** A request a second, each of another length. */
const lines = Array.from({ length: 90 }, (_, i) => {
  return JSON.stringify({ timestamp: 1_000 * i, input_length: 100 + i, output_length: 5, hash_ids: [i] })
})

function arrivalsOf(seed: number, counts = { searched: 4, reported: 5 }): readonly Arrival[] {
  const workload = traceInParts('t.jsonl', lines.join('\n'), counts)
  return [...workload.create({ seed, load: 1, endMs: 1e9, blockSize: 16, readTrace: () => assert.fail() }).arrivals]
}

describe('a recording in parts', () => {
  test('gives every seed requests of its own, and all of them together', () => {
    const seeds = [...searchedSeeds(4), ...reportedSeeds(5)]
    const lengths = seeds.flatMap((seed) => arrivalsOf(seed).map(({ request }) => request.promptTokens))
    assert.deepEqual(
      lengths.toSorted((a, b) => a - b),
      lines.map((_, i) => 100 + i),
    )
  })

  test('puts reported parts evenly between those of the search', () => {
    const counts = { searched: 4, reported: 5 }
    assert.deepEqual(
      reportedSeeds(5).map((seed) => partOf(seed, counts)),
      [0, 2, 4, 6, 8],
    )
    assert.deepEqual(
      searchedSeeds(4).map((seed) => partOf(seed, counts)),
      [1, 3, 5, 7],
    )
    for (const [searched, reported] of [
      [0, 1],
      [0, 3],
      [1, 1],
      [2, 7],
      [9, 2],
    ] as const) {
      const seeds = [...searchedSeeds(searched), ...reportedSeeds(reported)]
      const parts = seeds.map((seed) => partOf(seed, { searched, reported }))
      assert.deepEqual(
        parts.toSorted((a, b) => a - b),
        Array.from({ length: searched + reported }, (_, i) => i),
      )
    }
  })

  test('begins every part with its first request, spread over the step of the recording', () => {
    for (const seed of [1, 2, 101, 105]) {
      const [first] = arrivalsOf(seed)
      assert.ok(first && first.atMs < 1_000)
    }
    const { recording } = traceInParts('t.jsonl', lines.join('\n'), { searched: 4, reported: 5 })
    assert.ok(Math.abs((recording?.lengthMs ?? 0) - 89_001 / 9) < 1e-6)
    assert.equal(recording?.isSame, false)
  })

  test('is the whole for one seed', () => {
    assert.equal(arrivalsOf(101, { searched: 0, reported: 1 }).length, 90)
  })
})
