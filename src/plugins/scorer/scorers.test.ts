import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { ScheduleRequest, Scorer } from '#contracts/schedule.ts'
import { candidatesOf, type LoadRow, pluginPorts, scheduleRequest, slotAt } from '#plugins/plugin-case.ts'
import { hasAdapter } from './has-adapter.ts'
import { kvCache } from './kv-cache.ts'
import { latency } from './latency.ts'
import { leastRequest } from './least-request.ts'

interface Case {
  readonly name: string
  readonly rows: readonly LoadRow[]
  readonly scores: readonly number[]
  readonly parameters?: Record<string, unknown>
  readonly request?: Partial<ScheduleRequest>
}

function scoresOf(plugin: PluginDefinition, { rows, parameters = {}, request = {} }: Omit<Case, 'scores'>): number[] {
  const scorer = plugin.create(plugin.parameters.parse(parameters), pluginPorts()) as Scorer
  const out = new Float64Array(rows.length)
  scorer.score(scheduleRequest(request), candidatesOf(rows), out)
  return Array.from(out, (score) => Math.round(score * 1000) / 1000)
}

function check(plugin: PluginDefinition, cases: readonly Case[]): void {
  describe(plugin.type, () => {
    for (const { name, scores, ...given } of cases) {
      test(name, () => assert.deepEqual(scoresOf(plugin, { name, ...given }), scores))
    }
  })
}

const slack1 = { slack: 1 }

check(leastRequest, [
  { name: 'calls equal loads equal', rows: [{ inFlight: 7 }, { inFlight: 7 }], scores: [1, 1] },
  { name: 'prefers fewer requests of ours', rows: [{}, { inFlight: 4 }, { inFlight: 12 }], scores: [1, 0.5, 0.25] },
  {
    name: 'does not count ours twice when the engine counts them as well',
    rows: [{ inFlight: 3, running: 2, waiting: 1, inFlightAtReport: 3 }, { inFlight: 3 }],
    scores: [1, 1],
  },
  {
    name: 'counts those of others beside ours',
    rows: [{ inFlight: 2, running: 5, waiting: 1, inFlightAtReport: 3 }, { inFlight: 5 }, {}],
    parameters: slack1,
    scores: [0.167, 0.167, 1],
  },
  {
    name: 'counts what was sent since the report',
    rows: [{ inFlight: 9, running: 0, waiting: 0, inFlightAtReport: 0 }, {}],
    parameters: slack1,
    scores: [0.1, 1],
  },
  {
    name: 'is not misled by a report older than the end of our requests',
    rows: [{ inFlight: 0, running: 9, waiting: 0, inFlightAtReport: 9 }, {}],
    scores: [1, 1],
  },
  {
    name: 'takes the greater count when it is not known how many were ours',
    rows: [{ inFlight: 1, running: 2, waiting: 1 }, { inFlight: 3, running: 1, waiting: 0 }, {}],
    parameters: slack1,
    scores: [0.25, 0.25, 1],
  },
  {
    name: 'takes the one count that an engine reports',
    rows: [{ running: 3, inFlightAtReport: 0 }, { waiting: 3, inFlightAtReport: 0 }, {}],
    parameters: slack1,
    scores: [0.25, 0.25, 1],
  },
  {
    name: 'is almost indifferent to one more of a hundred',
    rows: [{ inFlight: 100 }, { inFlight: 101 }],
    scores: [1, 0.99],
  },
])

check(kvCache, [
  {
    name: 'prefers free memory and is silent when nothing is known',
    rows: [{ kvUse: 0 }, { kvUse: 0.25 }, { kvUse: 1 }, {}],
    scores: [1, 0.75, 0, Number.NaN],
  },
  {
    name: 'stays in range when an engine reports more than all',
    rows: [{ kvUse: 1.5 }, { kvUse: -1 }],
    scores: [0, 1],
  },
])

const unknown = Number.NaN
const nowMs = 100_000
const observed = (ttftMs: number, tpotMs: number, observedAtMs = nowMs): LoadRow => ({ ttftMs, tpotMs, observedAtMs })

check(latency, [
  { name: 'is silent before the first answer', rows: [{}, {}], scores: [unknown, unknown] },
  {
    name: 'calls times within the tolerance equal',
    request: { nowMs },
    rows: [observed(100, 10), observed(124, 12)],
    scores: [1, 1],
  },
  {
    name: 'falls with the time beyond the tolerance',
    request: { nowMs },
    rows: [observed(100, 10), observed(250, 10), observed(250, 25)],
    scores: [1, 0.75, 0.5],
  },
  {
    name: 'goes by the time that is known',
    request: { nowMs },
    rows: [observed(100, unknown), observed(250, unknown), observed(unknown, 10)],
    scores: [1, 0.5, 1],
  },
  {
    name: 'forgets old observations, also as the measure for others',
    request: { nowMs },
    parameters: { forgetAfterMs: 1000 },
    rows: [observed(1, 1, nowMs - 1001), observed(100, 10), observed(125, 10)],
    scores: [unknown, 1, 1],
  },
  {
    name: 'looks at one time only when the share says so',
    request: { nowMs },
    parameters: { ttftShare: 1, tolerance: 1 },
    rows: [observed(100, 99), observed(200, 1), observed(unknown, 1)],
    scores: [1, 0.5, unknown],
  },
  { name: 'bears times of zero', request: { nowMs }, rows: [observed(0, 0), observed(5, 0)], scores: [1, 0.5] },
])

check(hasAdapter, [
  { name: 'is silent about base models', rows: [{ adapters: [0] }, {}], scores: [unknown, unknown] },
  {
    name: 'prefers holders, then room, then any; an unknown capacity is room',
    request: { adapter: 5 },
    rows: [
      { adapters: [5], maxAdapters: 1, adapterCount: 1 },
      { adapters: [4], maxAdapters: 2, adapterCount: 1 },
      { adapters: [4], maxAdapters: 1, adapterCount: 1 },
      {},
    ],
    scores: [1, 0.5, 0, 0.5],
  },
])

describe('with declared capacities least-request', () => {
  const scores = (requests: readonly number[], capacities: readonly number[]): number[] => {
    const bySlot = new Float64Array(slotAt(requests.length)).fill(1)
    for (const [index, capacity] of capacities.entries()) bySlot[slotAt(index)] = capacity
    const scorer = leastRequest.create({ slack: 4 }, { ...pluginPorts(), capacities: bySlot })
    const out = new Float64Array(requests.length)
    scorer.score(scheduleRequest(), candidatesOf(requests.map((inFlight) => ({ inFlight }))), out)
    return Array.from(out, (score) => Math.round(score * 1000) / 1000)
  }

  const cases: { name: string; requests: number[]; capacities: number[]; scores: number[] }[] = [
    { name: 'compares requests by what an endpoint can do', requests: [20, 2], capacities: [4, 1], scores: [1, 1] },
    {
      name: 'prefers the one that can do more when all are idle',
      requests: [0, 0],
      capacities: [2, 1],
      scores: [1, 0.5],
    },
    {
      name: 'is as without them when they are equal',
      requests: [0, 4, 12],
      capacities: [9, 9, 9],
      scores: [1, 0.5, 0.25],
    },
  ]
  for (const { name, requests, capacities, scores: expected } of cases) {
    test(name, () => assert.deepEqual(scores(requests, capacities), expected))
  }
})
