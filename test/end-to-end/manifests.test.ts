import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { type Sim, startSim } from '#sim/server.ts'
import { lastArrival, quick } from './support/fleet.ts'
import { RunningGateway } from './support/gateway.ts'
import { runMany, waitFor } from './support/wait.ts'

const volcano = 'networking.serving.volcano.sh/v1alpha1'
const directory = mkdtempSync(join(tmpdir(), 'infer-gateway-manifests-'))

function write(file: string, documents: readonly object[]): void {
  writeFileSync(
    join(directory, file),
    documents.map((document) => JSON.stringify(document, undefined, 2)).join('\n---\n'),
  )
}

function modelServer(name: string, sim: Sim, more: object = {}): object {
  const spec = {
    model: 'tiny',
    inferenceEngine: 'vLLM',
    workloadSelector: { matchLabels: { app: name } },
    workloadPort: { port: sim.port },
    ...more,
  }
  return { apiVersion: volcano, kind: 'ModelServer', metadata: { name }, spec }
}

function pod(name: string, app: string, podIP: string, ready = 'True'): object {
  const status = { phase: 'Running', podIP, conditions: [{ type: 'Ready', status: ready }] }
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, labels: { app } }, status }
}

function modelRoute(name: string, spec: object): object {
  return { apiVersion: volcano, kind: 'ModelRoute', metadata: { name }, spec }
}

const old = await startSim(quick)
const canary = await startSim({ ...quick, adapters: ['sql'] })
// A second address of this machine with the same port: a second Pod of the same ModelServer.
const second = await startSim({ ...quick, host: '127.0.0.2', port: old.port })
write('servers.yaml', [
  modelServer('old', old),
  modelServer('canary', canary),
  pod('old-0', 'old', '127.0.0.1'),
  pod('old-1', 'old', '127.0.0.2'),
  pod('old-2', 'old', '127.0.0.3', 'False'),
  { apiVersion: 'v1', kind: 'Service', metadata: { name: 'canary' }, spec: { selector: { app: 'canary' } } },
  {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'canary-abcde', labels: { 'kubernetes.io/service-name': 'canary' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }],
  },
])
write('routes.yaml', [
  modelRoute('chat', {
    modelName: 'chat-model',
    rules: [
      {
        name: 'premium',
        modelMatch: { headers: { 'user-type': { exact: 'premium' } } },
        targetModels: [{ modelServerName: 'old' }],
      },
      {
        name: 'everybody',
        modelMatch: { uri: { prefix: '/v1/chat' } },
        targetModels: [
          { modelServerName: 'old', weight: 70 },
          { modelServerName: 'canary', weight: 30 },
        ],
      },
    ],
  }),
  modelRoute('adapters', {
    modelName: '',
    loraAdapters: ['sql'],
    rules: [{ targetModels: [{ modelServerName: 'canary' }] }],
  }),
])
const closeSims = () => Promise.all([old, second, canary].map((sim) => sim.close()))
const gateway = await RunningGateway.start({}, { directory, servesDirectory: true, onFailure: closeSims })
after(async () => {
  try {
    await gateway.close()
  } finally {
    await closeSims()
  }
})

async function ask(model: string, headers: Readonly<Record<string, string>> = {}, path = '/v1/chat/completions') {
  const response = await fetch(gateway.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }], prompt: 'hello', max_tokens: 3 }),
  })
  return { status: response.status, reason: response.headers.get('x-infer-reason'), body: await response.text() }
}

const calls = (): number[] => [old, second, canary].map((sim) => sim.stats().calls)

test('a header decides for one model server, and its Pods share the load', async () => {
  const before = calls()
  const answers = await runMany(20, 5, () => ask('chat-model', { 'User-Type': 'premium' }))
  assert.ok(
    answers.every(({ status, body }) => status === 200 && body.includes('"model":"chat-model"')),
    answers[0]?.body,
  )
  const [first = 0, other = 0, third = 0] = calls().map((count, i) => count - (before[i] ?? 0))
  assert.ok(first > 0 && other > 0 && third === 0, `${first}, ${other} and ${third} requests`)
})

test('weights divide the rest', async () => {
  const before = calls()
  const answers = await runMany(100, 5, () => ask('chat-model'))
  assert.ok(answers.every(({ status }) => status === 200))
  const [first = 0, other = 0, third = 0] = calls().map((count, i) => count - (before[i] ?? 0))
  // 30 are expected; fewer than 10 or more than 60 happens once in a million runs.
  assert.ok(third >= 10 && third <= 60 && first + other + third === 100, `${first}, ${other} and ${third} requests`)
})

test('a path that no rule matches is refused as such, an adapter keeps its name', async () => {
  const refused = await ask('chat-model', {}, '/v1/completions')
  assert.deepEqual([refused.status, refused.reason], [404, 'no-matching-rule'])
  assert.equal((await ask('sql')).status, 200)
  assert.equal((JSON.parse((await lastArrival(canary)).body.toString()) as { model: string }).model, 'sql')
})

test('Pods that are not ready take no part, and a file that is added does', async () => {
  const { endpoints } = await gateway.status()
  assert.equal(endpoints.length, 3)
  write('more.yaml', [
    modelRoute('more', { modelName: 'more', rules: [{ targetModels: [{ modelServerName: 'canary' }] }] }),
  ])
  await waitFor('added model', async () => (await ask('more')).status === 200)
})
