import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PluginDefinition } from '#contracts/plugin.ts'
import type { KnownEndpoint, PluginPorts, ScheduleRequest, Scorer } from '#contracts/schedule.ts'
import { candidatesOf, type LoadRow, pluginPorts, scheduleRequest, slotAt } from '#plugins/plugin-case.ts'
import { eppPlugins } from './epp-plugins.ts'

const unknown = Number.NaN

/** What producers found out about an endpoint. */
interface FactRow {
  readonly matched?: number
  readonly inFlightTokens?: number
  readonly requestTokens?: number
}

interface Case {
  readonly name: string
  /** Ids of the endpoints; `e0:8000` and so on unless given. */
  readonly ids?: readonly string[]
  readonly parameters?: Record<string, unknown>
  readonly rows: readonly (LoadRow & FactRow & { readonly labels?: Record<string, string> })[]
  readonly request?: Partial<ScheduleRequest>
  readonly promptTokens?: number
  /** Blocks of the prompt, of 64 tokens. */
  readonly blocks?: number
  readonly scores: readonly number[]
}

function portsFor({ rows, ids, promptTokens = 1, blocks = 0 }: Case): PluginPorts {
  const ports = pluginPorts(() => 0.5)
  const { facts } = ports
  facts.promptTokens = promptTokens
  facts.totalBlocks = blocks
  facts.blockTokens = 64
  for (const [i, { matched = 0, inFlightTokens = 0, requestTokens = 0 }] of rows.entries()) {
    facts.matchedBlocks[slotAt(i)] = matched
    facts.inFlightTokens[slotAt(i)] = inFlightTokens
    facts.requestTokens[slotAt(i)] = requestTokens
  }
  const endpoints = new Map(rows.map(({ labels = {} }, i) => [slotAt(i), endpoint(ids?.[i] ?? `e${i}:8000`, labels)]))
  return { ...ports, endpointOf: (slot) => endpoints.get(slot) }
}

function endpoint(id: string, labels: Record<string, string>): KnownEndpoint {
  return { id, host: 'e', port: 8000, role: 'both', labels }
}

function pluginOf(type: string): PluginDefinition {
  const plugin = eppPlugins.find((one) => one.type === type)
  assert.ok(plugin !== undefined, type)
  return plugin
}

function scoresOf(type: string, one: Case): number[] {
  const plugin = pluginOf(type)
  const scorer = plugin.create(plugin.parameters.parse(one.parameters ?? {}), portsFor(one)) as Scorer
  const out = new Float64Array(one.rows.length)
  scorer.score(scheduleRequest(one.request), candidatesOf(one.rows), out)
  return Array.from(out, (score) => Math.round(score * 1e6) / 1e6)
}

const range = 'llm-d.ai/context-length-range'
const ranged = (...texts: (string | undefined)[]) =>
  texts.map((text) => ({ labels: text === undefined ? {} : { [range]: text } }))

const cases: Readonly<Record<string, readonly Case[]>> = {
  'queue-scorer': [
    { name: 'scales to the spread', rows: [{ waiting: 0 }, { waiting: 5 }, { waiting: 10 }], scores: [1, 0.5, 0] },
    { name: 'gives 1 to all when they are equal', rows: [{ waiting: 7 }, { waiting: 7 }], scores: [1, 1] },
    { name: 'gives 1 to an only one', rows: [{ waiting: 7 }], scores: [1] },
    {
      name: 'does not take an engine that says nothing for an idle one',
      rows: [{}, { waiting: 4 }, { waiting: 8 }],
      scores: [unknown, 1, 0],
    },
    { name: 'says nothing when nobody does', rows: [{}, {}], scores: [unknown, unknown] },
  ],
  'running-requests-size-scorer': [
    { name: 'scales to the spread', rows: [{ running: 2 }, { running: 3 }, { running: 6 }], scores: [1, 0.75, 0] },
    { name: 'gives 1 to all when they are equal', rows: [{ running: 0 }, { running: 0 }], scores: [1, 1] },
    { name: 'knows nothing of silent engines', rows: [{ running: 1 }, {}], scores: [1, unknown] },
  ],
  'kv-cache-utilization-scorer': [
    { name: 'is what is free', rows: [{ kvUse: 0 }, { kvUse: 0.25 }, { kvUse: 1 }], scores: [1, 0.75, 0] },
    { name: 'is at least 0', rows: [{ kvUse: 1.2 }, {}], scores: [0, unknown] },
  ],
  'prefix-cache-scorer': [
    {
      name: 'is the matched part',
      blocks: 8,
      rows: [{ matched: 0 }, { matched: 2 }, { matched: 8 }],
      scores: [0, 0.25, 1],
    },
    {
      name: 'adds the square of the matched length',
      blocks: 64,
      parameters: { matchLengthWeight: 0.5 },
      rows: [{ matched: 64 }, { matched: 32 }],
      // 64 blocks are 4,096 tokens, half of the scale of 8,192.
      scores: [0.5 * 0.25 + 0.5, 0.5 * 0.0625 + 0.5 * 0.5],
    },
    {
      name: 'counts a length beyond the scale as the scale',
      blocks: 300,
      parameters: { matchLengthWeight: 1, matchLengthScaleTokens: 6400 },
      rows: [{ matched: 300 }, { matched: 50 }],
      scores: [1, 0.25],
    },
    { name: 'is silent without a prompt', blocks: 0, rows: [{}, {}], scores: [unknown, unknown] },
  ],
  'no-hit-lru-scorer': [
    { name: 'leaves hits to others', blocks: 4, rows: [{ matched: 1 }, {}, {}], scores: [0.5, 0.5, 0.5] },
    { name: 'takes endpoints that never had one in order', blocks: 4, rows: [{}, {}, {}], scores: [1, 0.5, 0] },
    { name: 'gives an only one 1', blocks: 4, rows: [{}], scores: [1] },
  ],
  'lora-affinity-scorer': [
    {
      name: 'prefers the holder, then room',
      request: { adapter: 3 },
      rows: [
        { adapters: [3], maxAdapters: 1, adapterCount: 1 },
        { maxAdapters: 2, adapterCount: 1 },
        { maxAdapters: 2, adapterCount: 2 },
      ],
      scores: [1, 0.8, 0],
    },
    {
      name: 'counts an unknown room as no opinion',
      request: { adapter: 3 },
      rows: [{}, { maxAdapters: 2 }, { adapters: [3] }],
      scores: [unknown, unknown, 1],
    },
    {
      name: 'treats the base model like an adapter that nobody has',
      request: { adapter: -1 },
      rows: [
        { adapters: [3], maxAdapters: 4, adapterCount: 1 },
        { maxAdapters: 1, adapterCount: 1 },
      ],
      scores: [0.8, 0],
    },
  ],
  'load-aware-scorer': [
    {
      name: 'is half for an empty queue',
      rows: [{ waiting: 0 }, { waiting: 64 }, { waiting: 128 }],
      scores: [0.5, 0.25, 0],
    },
    { name: 'is at least 0', rows: [{ waiting: 1000 }, {}], scores: [0, unknown] },
    { name: 'has a threshold', parameters: { threshold: 10 }, rows: [{ waiting: 5 }], scores: [0.25] },
  ],
  'token-load-scorer': [
    {
      name: 'counts what is there and what would come',
      parameters: { queueThresholdTokens: 1000 },
      rows: [{}, { inFlightTokens: 100, requestTokens: 150 }, { inFlightTokens: 900, requestTokens: 900 }],
      scores: [1, 0.75, 0],
    },
    { name: 'has 4 Mi tokens for a threshold', rows: [{ inFlightTokens: 2_097_152 }], scores: [0.5] },
  ],
  'active-request-scorer': [
    {
      name: 'is relative to the most',
      rows: [{ inFlight: 0 }, { inFlight: 1 }, { inFlight: 4 }],
      scores: [1, 0.75, 0],
    },
    { name: 'is 1 for all when they are idle', rows: [{ inFlight: 0 }, { inFlight: 0 }], scores: [1, 1] },
    { name: 'is 0 for all when they are equally busy', rows: [{ inFlight: 3 }, { inFlight: 3 }], scores: [0, 0] },
    {
      name: 'sets idle endpoints apart',
      parameters: { idleThreshold: 2, maxBusyScore: 0.5, requestTimeout: '2m' },
      rows: [{ inFlight: 2 }, { inFlight: 3 }, { inFlight: 6 }],
      scores: [1, 0.25, 0],
    },
  ],
  'context-length-aware': [
    {
      name: 'is 0.5 without a label, 0 with one that is no range',
      promptTokens: 100,
      rows: ranged(undefined, 'long', '5-1', '-3'),
      scores: [0.5, 0, 0, 0],
    },
    {
      name: 'prefers tight ranges with headroom',
      promptTokens: 1000,
      rows: ranged('0-10000', '0-2000', '1000-1000'),
      scores: [0.3 + 0.7 * (0.7 / 2 + 0.3 * 0.9), 0.3 + 0.7 * (0.7 / 1.2 + 0.3 * 0.5), 1].map(
        (score) => Math.round(score * 1e6) / 1e6,
      ),
    },
    {
      name: 'prefers the nearer range when none fits',
      promptTokens: 3000,
      rows: ranged('0-2000', '6000 - 8000'),
      scores: [0.15, 0.075],
    },
    {
      name: 'includes both ends of a range',
      promptTokens: 2000,
      rows: ranged('2000-2001', '1999-2000'),
      scores: [0.999951, 0.789951],
    },
    {
      name: 'reads another label when told',
      promptTokens: 1,
      parameters: { label: 'ctx' },
      rows: [{ labels: { ctx: '1-1' } }, { labels: { [range]: '1-1' } }],
      scores: [1, 0.5],
    },
  ],
  'session-affinity-scorer': [
    { name: 'says nothing about requests of no session', rows: [{}, {}], scores: [unknown, unknown] },
    {
      name: 'prefers the endpoint of the token',
      request: { headers: ['x-session-token', Buffer.from('e1:8000').toString('base64')] },
      rows: [{}, {}, {}],
      scores: [0, 1, 0],
    },
    {
      name: 'tells data-parallel ranks of one address apart',
      // The Endpoint Picker knew only the Pod once: gie issue 2699.
      ids: ['e:8000#0', 'e:8000#1'],
      request: { headers: ['x-session-token', Buffer.from('e:8000#1').toString('base64')] },
      rows: [{}, {}],
      scores: [0, 1],
    },
    {
      name: 'says nothing about a token of nobody, as about one of no candidate',
      request: { headers: ['x-session-token', '???'] },
      rows: [{}, {}],
      scores: [unknown, unknown],
    },
    {
      name: 'reads another header when told, in any case',
      parameters: { encodedEndpointHeaderConfig: { header: 'X-Pin' } },
      request: { headers: ['x-pin', Buffer.from('e0:8000').toString('base64')] },
      rows: [{}, {}],
      scores: [1, 0],
    },
  ],
  'endpoint-attribute-scorer': [
    {
      name: 'scales to the spread',
      parameters: { attributeKey: 'WaitingQueueSize', algorithm: { type: 'linear_lower_is_better' } },
      rows: [{ waiting: 0 }, { waiting: 1 }, { waiting: 4 }, {}],
      scores: [1, 0.75, 0, unknown],
    },
    {
      name: 'may prefer more',
      parameters: { attributeKey: 'RunningRequestsSize', algorithm: { type: 'linear_higher_is_better' } },
      rows: [{ running: 0 }, { running: 1 }, { running: 4 }, {}],
      scores: [0, 0.25, 1, unknown],
    },
    {
      name: 'gives 1 to equal ones whichever is better',
      parameters: { attributeKey: 'RunningRequestsSize', algorithm: { type: 'linear_higher_is_better' } },
      rows: [{ running: 4 }, { running: 4 }],
      scores: [1, 1],
    },
    {
      name: 'scales to a fixed range',
      parameters: {
        attributeKey: 'KVCacheUsagePercent/core-metrics-extractor',
        algorithm: { type: 'linear_lower_is_better', normalization: { fixedRange: { min: 0.2, max: 0.6 } } },
      },
      rows: [{ kvUse: 0.1 }, { kvUse: 0.3 }, { kvUse: 0.9 }, {}],
      scores: [1, 0.75, 0, unknown],
    },
  ],
  'header-label-affinity-scorer': [
    {
      name: 'compares a header with a label',
      parameters: { headerName: 'X-Tier', labelKey: 'tier' },
      request: { headers: ['x-tier', 'gold'] },
      rows: [{ labels: { tier: 'gold' } }, { labels: { tier: 'iron' } }, {}],
      scores: [1, 0, 0],
    },
    {
      name: 'says nothing without the header',
      parameters: { headerName: 'X-Tier', labelKey: 'tier' },
      rows: [{ labels: { tier: 'gold' } }, {}],
      scores: [unknown, unknown],
    },
  ],
}

for (const [type, own] of Object.entries(cases)) {
  describe(type, () => {
    for (const one of own) test(one.name, () => assert.deepEqual(scoresOf(type, one), one.scores))
  })
}

test('every scorer of the Endpoint Picker has cases', () => {
  const scorers = eppPlugins.filter(({ point }) => point === 'scorer').map(({ type }) => type)
  assert.deepEqual(scorers.toSorted(), Object.keys(cases).toSorted())
})

describe('no-hit-lru-scorer over requests', () => {
  const rows = [{}, {}, {}]
  const make = (parameters = {}) => {
    const ports = portsFor({ name: '', rows, blocks: 4, scores: [] })
    const plugin = pluginOf('no-hit-lru-scorer')
    const scorer = plugin.create(plugin.parameters.parse(parameters), ports) as Scorer
    const score = (of: readonly LoadRow[] = rows): { request: ScheduleRequest; scores: number[] } => {
      const request = scheduleRequest()
      const out = new Float64Array(of.length)
      scorer.score(request, candidatesOf(of), out)
      return { request, scores: [...out] }
    }
    const place = (i: number): void => {
      scorer.placed?.(score().request, slotAt(i))
    }
    return { ports, scorer, score, place }
  }

  test('cold requests take turns: who had one longest ago comes after those that never had one', () => {
    const { score, place } = make()
    place(0)
    assert.deepEqual(score().scores, [0, 1, 0.5])
    place(1)
    place(2)
    assert.deepEqual(score().scores, [1, 0.5, 0])
    place(0)
    assert.deepEqual(score().scores, [0, 1, 0.5])
  })

  test('a warm request takes nobody’s turn', () => {
    const { ports, score, place } = make()
    place(0)
    ports.facts.matchedBlocks[slotAt(1)] = 2
    place(1)
    ports.facts.matchedBlocks[slotAt(1)] = 0
    assert.deepEqual(score().scores, [0, 1, 0.5])
  })

  test('an only candidate, which is not scored, has its turn too', () => {
    const { scorer, score } = make()
    scorer.placed?.(scheduleRequest(), slotAt(2))
    assert.deepEqual(score().scores, [1, 0.5, 0])
  })

  test('an endpoint that is no candidate takes no place in the order', () => {
    // The Endpoint Picker ranks by the position among all that ever had a cold request: gone ones push the rest to 0.
    const { score, place } = make()
    for (const i of [2, 0, 1]) place(i)
    assert.deepEqual(score([{}, {}]).scores, [1, 0])
  })

  test('remembers as many turns as it is told', () => {
    const { score, place } = make({ lruSize: 1 })
    place(0)
    place(1)
    assert.deepEqual(score().scores, [1, 0, 0.5])
  })
})

describe('session-affinity-scorer over requests', () => {
  const parameters = { strategy: 'session_id', sessionIdConfig: { sources: [{ header: 'x-sid' }, { cookie: 'sid' }] } }
  const make = () => {
    const rows = [{}, {}]
    const plugin = pluginOf('session-affinity-scorer')
    const scorer = plugin.create(
      plugin.parameters.parse(parameters),
      portsFor({ name: '', rows, scores: [] }),
    ) as Scorer
    const score = (headers: readonly string[], nowMs = 0): number[] => {
      const out = new Float64Array(2)
      scorer.score(scheduleRequest({ headers, nowMs }), candidatesOf(rows), out)
      return [...out]
    }
    return { scorer, score }
  }

  test('a session is bound to the endpoint that served it, by header or cookie', () => {
    const { scorer, score } = make()
    scorer.placed?.(scheduleRequest({ headers: ['x-sid', 'a'], nowMs: 0 }), slotAt(1))
    assert.deepEqual(score(['x-sid', 'a']), [0, 1])
    assert.deepEqual(score(['cookie', 'theme=dark; sid=a']), [0, 1])
    assert.deepEqual(score(['x-sid', 'b']), [Number.NaN, Number.NaN])
  })

  test('a silent session is forgotten, one that goes on is not', () => {
    const { scorer, score } = make()
    const headers = ['x-sid', 'a']
    scorer.placed?.(scheduleRequest({ headers, nowMs: 0 }), slotAt(1))
    scorer.placed?.(scheduleRequest({ headers, nowMs: 200_000 }), slotAt(1))
    assert.deepEqual(score(headers, 500_000), [0, 1])
    assert.deepEqual(score(headers, 500_001), [Number.NaN, Number.NaN])
  })

  test('an encoded endpoint travels back with the answer', () => {
    const plugin = pluginOf('session-affinity-scorer')
    const scorer = plugin.create(
      plugin.parameters.parse({}),
      portsFor({ name: '', rows: [{}, {}], scores: [] }),
    ) as Scorer
    const placement = scorer.placed?.(scheduleRequest(), slotAt(1))
    assert.deepEqual(placement?.replyHeaders, ['x-session-token', Buffer.from('e1:8000').toString('base64')])
  })
})
