import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { Filter, Scorer } from '#contracts/schedule.ts'
import { seededRng } from '#core/clock.ts'
import { candidatesOf, type LoadRow, leftOf, pluginPorts, scheduleRequest, slotAt } from '#plugins/plugin-case.ts'
import { kthenaLoraAffinity, kthenaMaxWaiting } from './filters.ts'
import {
  kthenaGpuUsage,
  kthenaKvcacheAware,
  kthenaLeastLatency,
  kthenaLeastRequest,
  kthenaPrefixCache,
  kthenaRandom,
} from './scorers.ts'

function scoresOf(
  plugin: PluginDefinition,
  rows: readonly LoadRow[],
  parameters: Record<string, unknown> = {},
): number[] {
  const scorer = plugin.create(plugin.parameters.parse(parameters), pluginPorts()) as Scorer
  const out = new Float64Array(rows.length)
  scorer.score(scheduleRequest(), candidatesOf(rows), out)
  return [...out]
}

function leftBy(
  plugin: PluginDefinition,
  rows: readonly LoadRow[],
  given: { parameters?: object; adapter?: number },
): number[] {
  const filter = plugin.create(plugin.parameters.parse(given.parameters ?? {}), pluginPorts()) as Filter
  const candidates = candidatesOf(rows)
  filter.filter(scheduleRequest({ adapter: given.adapter ?? -1 }), candidates)
  return leftOf(candidates)
}

type Case = readonly [title: string, rows: readonly LoadRow[], scores: readonly number[]]

describe('least-request', () => {
  const cases: readonly Case[] = [
    ['is 100 for all when nobody has a request', [{}, { running: 0 }], [1, 1]],
    [
      'goes by our requests in proportion to the busiest',
      [
        { inFlight: 1, running: 1 },
        { inFlight: 2, running: 2 },
      ],
      [0.5, 0],
    ],
    [
      'cuts to whole points',
      [
        { inFlight: 1, running: 1 },
        { inFlight: 3, running: 3 },
        { inFlight: 2, running: 2 },
      ],
      [0.66, 0, 0.33],
    ],
    [
      'counts those that the engine does not run yet a hundredfold',
      [
        { inFlight: 3, running: 1 },
        { inFlight: 3, running: 3 },
      ],
      [0, 0.98],
    ],
    [
      'takes an engine that runs more than ours for one that runs ours',
      [
        { inFlight: 2, running: 9 },
        { inFlight: 4, running: 4 },
      ],
      [0.5, 0],
    ],
    ['takes an engine that reports nothing to run what it was given', [{ inFlight: 2 }, { inFlight: 4 }], [0.5, 0]],
  ]
  for (const [title, rows, scores] of cases) {
    test(title, () => assert.deepEqual(scoresOf(kthenaLeastRequest, rows), scores))
  }

  test('does not take a burst since the last report for a queue in the engine', () => {
    // In Kthena the first endpoint counts 5 + 100 x 4 here until the next scrape, and everybody flees from it.
    const rows = [
      { inFlight: 5, running: 1, inFlightAtReport: 1 },
      { inFlight: 6, running: 6, inFlightAtReport: 6 },
    ]
    assert.deepEqual(scoresOf(kthenaLeastRequest, rows), [0.16, 0])
  })
})

describe('least-latency', () => {
  const cases: readonly (Case | readonly [...Case, Record<string, unknown>])[] = [
    [
      'spreads each time from 100 to 0',
      [
        { ttftMs: 100, tpotMs: 10 },
        { ttftMs: 300, tpotMs: 30 },
        { ttftMs: 200, tpotMs: 10 },
      ],
      [1, 0, 0.75],
    ],
    [
      'is 100 without a spread',
      [
        { ttftMs: 100, tpotMs: 10 },
        { ttftMs: 100, tpotMs: 10 },
      ],
      [1, 1],
    ],
    [
      'is 50 for who lacks one of them, outside of the spread',
      [{ ttftMs: 100, tpotMs: 10 }, { ttftMs: 200, tpotMs: 20 }, { ttftMs: 900 }, {}],
      [1, 0, 0.5, 0.5],
    ],
    [
      'at weight 0 is the time per token alone',
      [
        { ttftMs: 100, tpotMs: 20 },
        { ttftMs: 200, tpotMs: 10 },
      ],
      [0, 1],
      { TTFTTPOTWeightFactor: 0 },
    ],
    [
      'at weight 1 is the time to the first token alone',
      [
        { ttftMs: 100, tpotMs: 20 },
        { ttftMs: 200, tpotMs: 10 },
      ],
      [1, 0],
      { TTFTTPOTWeightFactor: 1 },
    ],
    [
      'cuts to whole points',
      [
        { ttftMs: 0, tpotMs: 1 },
        { ttftMs: 3, tpotMs: 1 },
        { ttftMs: 1, tpotMs: 1 },
      ],
      [1, 0.5, 0.83],
    ],
  ]
  for (const [title, rows, scores, parameters] of cases) {
    test(title, () => assert.deepEqual(scoresOf(kthenaLeastLatency, rows, parameters), scores))
  }
})

test('gpu-usage is the free cache in whole points; who does not report it has no score, not the best', () => {
  assert.deepEqual(scoresOf(kthenaGpuUsage, [{ kvUse: 0.255 }, { kvUse: 0 }, { kvUse: 1.2 }, {}]), [
    0.74,
    1,
    0,
    Number.NaN,
  ])
})

test('prefix-cache and kvcache-aware are the cached share of the whole prompt, and 0 without a match', () => {
  for (const plugin of [kthenaPrefixCache, kthenaKvcacheAware]) {
    const ports = pluginPorts()
    ports.facts.promptTokens = 30_000
    ports.facts.cachedTokens[slotAt(0)] = 10_000
    ports.facts.cachedTokens[slotAt(1)] = 30_000
    const scorer = plugin.create({}, ports)
    const out = new Float64Array(3)
    scorer.score(scheduleRequest(), candidatesOf([{}, {}, {}]), out)
    // Kthena looks at 8192 bytes, and drops endpoints without a match from the candidates.
    assert.deepEqual([...out], [0.33, 1, 0])
  }
})

test('random gives whole points from 0 to 100', () => {
  const scorer = kthenaRandom.create({}, pluginPorts(seededRng(3)))
  const out = new Float64Array(2000)
  scorer.score(scheduleRequest(), candidatesOf(Array.from(out, () => ({}))), out)
  const points = new Set(Array.from(out, (score) => Math.round(score * 100)))
  assert.deepEqual([points.size, Math.min(...points), Math.max(...points)], [101, 0, 100])
})

test('least-request as a filter keeps engines with fewer waiting than the bound, and silent ones', () => {
  const rows = [{ waiting: 0 }, { waiting: 9 }, { waiting: 10 }, {}, { waiting: 99 }]
  assert.deepEqual(leftBy(kthenaMaxWaiting, rows, {}), [0, 1, 3])
  assert.deepEqual(leftBy(kthenaMaxWaiting, rows, { parameters: { maxWaitingRequests: 0 } }), [0, 1, 3], '0 means 10')
  assert.deepEqual(leftBy(kthenaMaxWaiting, rows, { parameters: { maxWaitingRequests: 1 } }), [0, 3])
  assert.deepEqual(leftBy(kthenaMaxWaiting, [{ waiting: 50 }], {}), [])
})

test('lora-affinity keeps who has the adapter, and all when nobody has it', () => {
  const rows = [{ adapters: [1] }, {}, { adapters: [1, 2] }]
  assert.deepEqual(leftBy(kthenaLoraAffinity, rows, { adapter: 1 }), [0, 2])
  assert.deepEqual(leftBy(kthenaLoraAffinity, rows, { adapter: 2 }), [2])
  assert.deepEqual(leftBy(kthenaLoraAffinity, rows, { adapter: 3 }), [0, 1, 2], 'Kthena answers 400')
  assert.deepEqual(leftBy(kthenaLoraAffinity, rows, {}), [0, 1, 2])
})
