import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { Filter, KnownEndpoint, PluginPorts, ScheduleRequest } from '#contracts/schedule.ts'
import type { Rng } from '#core/clock.ts'
import { candidatesOf, type LoadRow, leftOf, pluginPorts, scheduleRequest, slotAt } from '#plugins/plugin-case.ts'
import { eppPlugins } from './epp-plugins.ts'

type Row = LoadRow & {
  readonly matched?: number
  readonly inFlightTokens?: number
  readonly endpoint?: Partial<KnownEndpoint>
}

interface Case {
  readonly name: string
  readonly parameters?: Record<string, unknown>
  readonly rows: readonly Row[]
  readonly request?: Partial<ScheduleRequest>
  readonly promptTokens?: number
  readonly left: readonly number[]
}

function portsFor(rows: readonly Row[], promptTokens = 1, rng?: Rng): PluginPorts {
  const ports = pluginPorts(rng)
  ports.facts.promptTokens = promptTokens
  ports.facts.totalBlocks = 10
  ports.facts.blockTokens = 64
  const endpoints = new Map<number, KnownEndpoint>()
  for (const [i, { matched = 0, inFlightTokens = 0, endpoint }] of rows.entries()) {
    ports.facts.matchedBlocks[slotAt(i)] = matched
    ports.facts.inFlightTokens[slotAt(i)] = inFlightTokens
    endpoints.set(slotAt(i), { id: `e${i}:80`, host: `e${i}`, port: 80, role: 'both', labels: {}, ...endpoint })
  }
  return { ...ports, endpointOf: (slot) => endpoints.get(slot) }
}

function pluginOf(type: string): PluginDefinition {
  const plugin = eppPlugins.find((one) => one.type === type)
  assert.ok(plugin !== undefined, type)
  return plugin
}

const role = (name: string): Row => ({ endpoint: { labels: { 'llm-d.ai/role': name } } })
const roles = ['decode', 'prefill', 'encode', 'prefill-decode', 'encode-prefill', 'encode-prefill-decode', 'both', 'x']
const allRoles: readonly Row[] = [
  ...roles.map(role),
  {},
  { endpoint: { role: 'prefill' } },
  { endpoint: { role: 'decode' } },
]

const labelled = (labels: Record<string, string>): Row => ({ endpoint: { labels } })
const machines = [
  labelled({ gpu: 'h100', zone: 'a' }),
  labelled({ gpu: 'h200', zone: 'b' }),
  labelled({ zone: 'a' }),
  labelled({}),
]

const selecting = (...matchExpressions: unknown[]) => ({ matchExpressions })

const cases: Readonly<Record<string, readonly Case[]>> = {
  'decode-filter': [{ name: 'keeps who decodes, and who says nothing', rows: allRoles, left: [0, 3, 5, 6, 8, 10] }],
  'prefill-filter': [{ name: 'keeps who prefills by its own word', rows: allRoles, left: [1, 3, 4, 5, 6, 9] }],
  'encode-filter': [{ name: 'keeps who encodes by its own word', rows: allRoles, left: [2, 4, 5] }],
  'label-selector-filter': [
    { name: 'keeps all without a selector', rows: machines, left: [0, 1, 2, 3] },
    { name: 'wants every label', parameters: { matchLabels: { gpu: 'h100', zone: 'a' } }, rows: machines, left: [0] },
    {
      name: 'knows In',
      parameters: selecting({ key: 'gpu', operator: 'In', values: ['h100', 'h200'] }),
      rows: machines,
      left: [0, 1],
    },
    {
      name: 'knows NotIn, which holds without the label',
      parameters: selecting({ key: 'gpu', operator: 'NotIn', values: ['h100'] }),
      rows: machines,
      left: [1, 2, 3],
    },
    {
      name: 'knows Exists and DoesNotExist, all of which must hold',
      parameters: selecting({ key: 'zone', operator: 'Exists' }, { key: 'gpu', operator: 'DoesNotExist' }),
      rows: machines,
      left: [2],
    },
    { name: 'may leave none', parameters: { matchLabels: { gpu: 'b200' } }, rows: machines, left: [] },
  ],
  'by-label': [
    { name: 'keeps some values', parameters: { label: 'gpu', validValues: ['h200'] }, rows: machines, left: [1] },
    {
      name: 'may keep those without the label',
      parameters: { label: 'gpu', validValues: ['h200'], allowsNoLabel: true },
      rows: machines,
      left: [1, 2, 3],
    },
  ],
  'context-length-aware-filter': [
    {
      name: 'keeps ranges with the prompt in them, and endpoints without one',
      promptTokens: 2048,
      rows: ['0-2048', '2049-9000', '2048-9000', 'all']
        .map((text) => labelled({ 'llm-d.ai/context-length-range': text }))
        .concat({}),
      left: [0, 2, 4],
    },
  ],
  'prefix-cache-affinity-filter': [
    { name: 'keeps who holds four fifths', rows: [{ matched: 8 }, { matched: 7 }, { matched: 10 }], left: [0, 2] },
    { name: 'keeps all when nobody does', rows: [{ matched: 7 }, {}], left: [0, 1] },
    { name: 'keeps an only one', rows: [{}], left: [0] },
    {
      name: 'does nothing with the threshold 0',
      parameters: { affinityThreshold: 0 },
      rows: [{}, { matched: 1 }],
      left: [0, 1],
    },
    {
      name: 'keeps all when the best holder is too far behind',
      // 18 s at 15,928 tokens a second are 286,704 tokens.
      rows: [{ matched: 9, inFlightTokens: 286_705 }, { matched: 9, inFlightTokens: 900_000 }, {}],
      left: [0, 1, 2],
    },
    {
      name: 'keeps the holders up to that',
      rows: [{ matched: 9, inFlightTokens: 286_704 }, { matched: 9, inFlightTokens: 900_000 }, {}],
      left: [0, 1],
    },
    {
      name: 'sticks whatever the wait when told so',
      parameters: { maxTTFTPenaltyMs: 0 },
      rows: [{ matched: 9, inFlightTokens: 1e9 }, {}],
      left: [0],
    },
  ],
  'utilization-detector': [
    {
      name: 'drops full queues and caches, and who says nothing',
      rows: [
        { waiting: 4, kvUse: 0.79, reportedAtMs: 1 },
        { waiting: 5, kvUse: 0, reportedAtMs: 1 },
        { waiting: 0, kvUse: 0.8, reportedAtMs: 1 },
        {},
      ],
      left: [0],
    },
    { name: 'keeps all when none would be left', rows: [{ waiting: 9, kvUse: 0 }, {}], left: [0, 1] },
    {
      name: 'lets both limits be exceeded by the headroom',
      parameters: { headroom: 0.25 },
      rows: [
        { waiting: 6, kvUse: 0.9 },
        { waiting: 7, kvUse: 0 },
        { waiting: 0, kvUse: 1 },
      ],
      left: [0],
    },
    {
      name: 'drops old reports when an age is given',
      parameters: { metricsStalenessThreshold: '200ms' },
      request: { nowMs: 1000 },
      rows: [
        { waiting: 0, kvUse: 0, reportedAtMs: 799 },
        { waiting: 0, kvUse: 0, reportedAtMs: 800 },
      ],
      left: [1],
    },
  ],
  'concurrency-detector': [
    { name: 'drops from the limit on', rows: [{ inFlight: 99 }, { inFlight: 100 }], left: [0] },
    { name: 'keeps all when none would be left', rows: [{ inFlight: 100 }, { inFlight: 200 }], left: [0, 1] },
    {
      name: 'counts tokens when told',
      parameters: { concurrencyMode: 'tokens', maxTokenConcurrency: 1000, headroom: 0.1 },
      rows: [{ inFlight: 5000, inFlightTokens: 1099 }, { inFlightTokens: 1100 }],
      left: [0],
    },
    {
      name: 'counts both when told',
      parameters: { concurrencyMode: 'hybrid', maxConcurrency: 2, maxTokenConcurrency: 1000 },
      rows: [{ inFlight: 2 }, { inFlightTokens: 1000 }, { inFlight: 1, inFlightTokens: 999 }],
      left: [2],
    },
  ],
  'utilization-filter': [
    { name: 'keeps all without conditions', rows: [{ waiting: 1e6 }, {}], left: [0, 1] },
    {
      name: 'drops over any cap, not at it',
      parameters: {
        conditions: [
          { metric: 'waiting-queue', maxValue: 5 },
          { metric: 'kv-cache-utilization', maxValue: 0.9 },
          { metric: 'active-requests', maxValue: 10 },
          { metric: 'running-requests', maxValue: 20 },
        ],
      },
      rows: [
        { waiting: 5, kvUse: 0.9, inFlight: 10, running: 20 },
        { waiting: 6 },
        { kvUse: 0.91 },
        { inFlight: 11 },
        { running: 21 },
        {},
      ],
      left: [0, 5],
    },
    {
      name: 'keeps all when none would be left and it is told so',
      parameters: { conditions: [{ metric: 'waiting-queue', maxValue: 0 }], fallbackOnEmpty: true },
      rows: [{ waiting: 1 }, { waiting: 2 }],
      left: [0, 1],
    },
  ],
  'endpoint-attribute-filter': [
    ...(
      [
        ['LessThan', [0]],
        ['LessThanOrEqual', [0, 1]],
        ['GreaterThan', [2]],
        ['GreaterThanOrEqual', [1, 2]],
        ['Equal', [1]],
        ['NotEqual', [0, 2]],
      ] as const
    ).map(([operator, left]) => ({
      name: `knows ${operator}`,
      parameters: {
        attribute: 'WaitingQueueSize',
        onMissing: 'Fail',
        algorithm: { type: 'threshold', threshold: { operator, value: 2 } },
      },
      rows: [{ waiting: 1 }, { waiting: 2 }, { waiting: 3 }, {}],
      left,
    })),
    {
      name: 'lets those pass that do not report it',
      parameters: { algorithm: { type: 'threshold', threshold: { operator: 'LessThan', value: 0 } } },
      rows: [{ waiting: 1 }, {}],
      left: [1],
    },
    {
      name: 'falls back to all when told',
      parameters: {
        fallbackOnEmpty: true,
        algorithm: { type: 'threshold', threshold: { operator: 'LessThan', value: 0 } },
      },
      rows: [{ waiting: 1 }, { waiting: 2 }],
      left: [0, 1],
    },
  ],
  'session-affinity-filter': [
    { name: 'keeps all without a session', rows: [{}, {}], left: [0, 1] },
    {
      name: 'keeps the endpoint of the session alone',
      request: { headers: ['x-session-token', Buffer.from('e1:80').toString('base64')] },
      rows: [{}, {}, {}],
      left: [1],
    },
    {
      name: 'keeps all when it is gone',
      request: { headers: ['x-session-token', Buffer.from('e7:80').toString('base64')] },
      rows: [{}, {}],
      left: [0, 1],
    },
  ],
  'header-based-testing-filter': [
    { name: 'keeps none without the header', rows: [{}, {}], left: [] },
    {
      name: 'keeps addresses with and without port, of both families',
      request: { headers: ['test-epp-endpoint-selection', '10.0.0.1, 10.0.0.2:8001,[fd00::1]:8000,fd00::2'] },
      rows: [
        { endpoint: { host: '10.0.0.1', port: 8000 } },
        { endpoint: { host: '10.0.0.2', port: 8000 } },
        { endpoint: { host: '10.0.0.2', port: 8001 } },
        { endpoint: { host: 'fd00::1', port: 8000 } },
        { endpoint: { host: 'fd00::1', port: 8001 } },
        { endpoint: { host: 'fd00::2', port: 8000 } },
      ],
      left: [0, 2, 3, 5],
    },
  ],
}

for (const [type, own] of Object.entries(cases)) {
  describe(type, () => {
    for (const { name, parameters = {}, rows, request, promptTokens, left } of own) {
      test(name, () => {
        const plugin = pluginOf(type)
        const filter = plugin.create(plugin.parameters.parse(parameters), portsFor(rows, promptTokens)) as Filter
        const candidates = candidatesOf(rows)
        filter.filter(scheduleRequest(request), candidates)
        assert.deepEqual(leftOf(candidates), left)
      })
    }
  })
}

test('every filter of the Endpoint Picker has cases', () => {
  const filters = eppPlugins.filter(({ point }) => point === 'filter').map(({ type }) => type)
  assert.deepEqual(filters.toSorted(), Object.keys(cases).toSorted())
})

test('prefix-cache-affinity-filter explores with the probability that it is told', () => {
  const plugin = pluginOf('prefix-cache-affinity-filter')
  const rows: readonly Row[] = [{ matched: 10 }, {}]
  const left = [0.09, 0.1].map((drawn) => {
    const ports = portsFor(rows, 1, () => drawn)
    const filter = plugin.create(plugin.parameters.parse({ explorationProbability: 0.1 }), ports) as Filter
    const candidates = candidatesOf(rows)
    filter.filter(scheduleRequest(), candidates)
    return leftOf(candidates)
  })
  assert.deepEqual(left, [[0, 1], [0]])
})
