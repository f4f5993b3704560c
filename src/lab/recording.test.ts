import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { hashSegmentBlocks } from '#sim/model/block-hash.ts'
import { engineSettings } from '#sim/model/engine-settings.ts'
import { arms } from './arm-table.ts'
import { compare } from './comparison.ts'
import { comparisonPage } from './report/comparison-page.ts'
import { columnText } from './report/comparison-text.ts'
import { runArm } from './run.ts'
import type { RunMetrics } from './run-metrics.ts'
import { localRunner } from './task.ts'
import type { Arrival } from './virtual-fleet.ts'
import type { WorkloadDefinition } from './workload/workload.ts'

const { kvBlocks, blockSize } = engineSettings('llama-8b-l4')
const readTrace = (): string => assert.fail('no trace is read')

function arrivalOf(number: number, promptTokens: number): Arrival {
  const blockHashes = hashSegmentBlocks([{ seed: number, tokens: promptTokens + 20 }], blockSize, 0)
  return { atMs: 100 * number, group: number, request: { promptTokens, outputTokens: 20, blockHashes } }
}

/** Requests at ten a second for ten seconds, the first twelve of which are too large for any engine. */
const recorded: WorkloadDefinition = {
  name: 'recorded',
  code: 'trace',
  summary: 'made',
  unit: 'times as fast',
  load: 1,
  preset: 'llama-8b-l4',
  engines: 3,
  recording: { lengthMs: 10_000, isSame: true },
  create: () => ({
    arrivals: Array.from({ length: 100 }, (_, i) => arrivalOf(i, i < 12 ? kvBlocks * blockSize + 1 : 100)),
  }),
}

function run(arm: (typeof arms)[number], measuredMs: number): RunMetrics {
  return runArm({ arm, workload: recorded, seed: 1, load: 1, warmUpMs: 0, measuredMs, readTrace })
}

describe('requests that no engine can hold', () => {
  for (const arm of arms) {
    test(`fail, and teach ${arm.name} nothing about the engine that refuses them`, () => {
      const { failures, requests, requestsMaxOverMean } = run(arm, 10_000)
      assert.deepEqual([failures, requests], [12, 88])
      assert.ok(requestsMaxOverMean < 3, 'more than one engine is used')
    })
  }
})

describe('a recording', () => {
  const [arm] = arms
  assert.ok(arm)

  test('is measured up to its end and no further', () => {
    const [whole, longer] = [run(arm, 10_000), run(arm, 40_000)]
    assert.deepEqual(longer, whole, 'the rate of good requests is not thinned by time in which nothing can come')
    const late = { arm, workload: recorded, seed: 1, load: 4, warmUpMs: 3_000, measuredMs: 1_000, readTrace }
    assert.throws(() => runArm(late), /the recording is over before the warm-up is/)
  })

  test('that all seeds replay says so with its figures, and how much of it is left', async () => {
    const setup = { arms: [arm], workloads: [recorded], seeds: [1, 2], loads: [1], warmUpMs: 4_000, measuredMs: 8_000 }
    const runner = localRunner({ arms, workloads: [recorded], readTrace })
    const comparison = await compare(setup, { runner, progress: { planned: () => {}, ended: () => {} } })
    const [column] = comparison.columns
    assert.ok(column)
    for (const text of [columnText(column, 80), comparisonPage(comparison)]) {
      assert.match(text, /All seeds replay the same recording/)
      assert.match(text, /the recording leaves 6 s of the 8 s to measure/)
    }
  })
})
