import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endpointSamples } from './endpoint-samples.ts'
import { type EndpointReport, type ReadinessFacts, readinessFrom } from './status-report.ts'

const up: ReadinessFacts = {
  draining: false,
  listenersUp: true,
  snapshotVersion: 1,
  firstScrapeRoundEnded: true,
  sinceFirstSnapshotMs: 10,
}

const cases = [
  { name: 'ready when all is up', facts: {}, reason: 'ready' },
  { name: 'not ready while draining', facts: { draining: true }, reason: 'draining' },
  { name: 'not ready without a configuration', facts: { snapshotVersion: 0 }, reason: 'no configuration is in force' },
  { name: 'not ready without listeners', facts: { listenersUp: false }, reason: 'the listeners are not up' },
  {
    name: 'not ready before the first scrape round has ended',
    facts: { firstScrapeRoundEnded: false, sinceFirstSnapshotMs: 1999 },
    reason: 'waiting for the first scrape of the endpoints',
  },
  {
    name: 'ready after 2 s even when no engine answers its scrape',
    facts: { firstScrapeRoundEnded: false, sinceFirstSnapshotMs: 2000 },
    reason: 'ready',
  },
] satisfies readonly { name: string; facts: Partial<ReadinessFacts>; reason: string }[]

for (const { name, facts, reason } of cases) {
  test(`the gateway is ${name}`, () => {
    assert.deepEqual(readinessFrom({ ...up, ...facts }), { ready: reason === 'ready', reason })
  })
}

const endpoint: EndpointReport = {
  modelServer: 'default/llama',
  endpoint: '10.0.0.1:8000',
  engine: 'vllm',
  health: 'ready',
  state: 'closed',
  ejectedForMs: undefined,
  ejections: { streak: 2, ratio: 1, probe: 4 },
  running: 3,
  waiting: 0,
  kvUse: 0.5,
  inFlight: 2,
  consecutiveErrors: 0,
  ttftMs: 40,
  tpotMs: undefined,
  adapters: ['sql'],
  scrapeAgeMs: 150,
  scrapeMs: 2,
  scrapeFailures: 0,
  scrapeError: undefined,
}

test('the metrics of an endpoint are its report in base units, and NaN where nothing is known', () => {
  const values = new Map(endpointSamples([endpoint]).map(({ metric, value }) => [metric.name, value]))
  assert.equal(values.get('infer_gateway_endpoint_ready'), 1)
  assert.equal(values.get('infer_gateway_endpoint_requests_running'), 3)
  assert.equal(values.get('infer_gateway_endpoint_time_to_first_token_seconds'), 0.04)
  assert.equal(values.get('infer_gateway_endpoint_time_per_output_token_seconds'), Number.NaN)
  assert.equal(values.get('infer_gateway_scrape_age_seconds'), 0.15)
})

test('an endpoint of unknown health is neither ready nor not', () => {
  const ready = (health: EndpointReport['health']) => endpointSamples([{ ...endpoint, health }])[0]?.value
  assert.deepEqual([ready('ready'), ready('unready'), ready('unknown')], [1, 0, Number.NaN])
})

test('the breaker of an endpoint is in one of its states, and its ejections are counted by reason', () => {
  const samples = endpointSamples([{ ...endpoint, state: 'half-open' }])
  const valuesOf = (name: string, label: string) =>
    Object.fromEntries(samples.filter(({ metric }) => metric.name === name).map((s) => [s.labels[label], s.value]))
  assert.deepEqual(valuesOf('infer_gateway_endpoint_state', 'state'), {
    closed: 0,
    'slow-start': 0,
    ejected: 0,
    'half-open': 1,
  })
  assert.deepEqual(valuesOf('infer_gateway_endpoint_ejections_total', 'reason'), { streak: 2, ratio: 1, probe: 4 })
})

test('the imbalance of a model server is its busiest endpoint against the mean, and nothing while it is idle', () => {
  const on = (modelServer: string, inFlight: number): EndpointReport => ({ ...endpoint, modelServer, inFlight })
  const samples = endpointSamples([on('a', 6), on('b', 0), on('a', 2), on('b', 0), on('a', 1), on('c', 5)])
  const found = samples.filter(({ metric }) => metric.name === 'infer_gateway_in_flight_imbalance_ratio')
  const values = found.map(({ labels, value }) => [labels.model_server, value])
  assert.deepEqual(values, [
    ['a', 2],
    ['b', Number.NaN],
    ['c', 1],
  ])
})
