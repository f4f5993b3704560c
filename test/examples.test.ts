import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { renderProblems } from '#config/render-problems.ts'
import { loadSnapshot } from '#controller/load-snapshot.ts'
import { certificateA } from '#datastore/certificate-case.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'

const directory = new URL('../examples/', import.meta.url).pathname
const files = readdirSync(directory).filter((name) => /\.(?:ya?ml|json)$/.test(name))

/** What the examples ask for and no checkout has. */
const env = { OPENAI_API_KEY: 'sk-example', ANTHROPIC_API_KEY: 'sk-ant-example' }
const pems: Readonly<Record<string, string>> = { crt: certificateA.cert, key: certificateA.key }

function load(file: string) {
  const readFile = (path: string) => {
    const text = pems[path.split('.').at(-1) ?? '']
    return text === undefined ? { fails: 'does not exist' } : { text }
  }
  return loadSnapshot(`${directory}${file}`, { env, plugins, defaultProfile, readFile })
}

test('there are examples', () => {
  assert.ok(files.length >= 6, files.join())
})

for (const file of files) {
  test(`examples/${file} is valid and raises no warning`, async () => {
    const result = await load(file)
    assert.equal(renderProblems([...(result.ok ? [] : result.problems), ...result.warnings]), '')
    assert.ok(result.ok && result.snapshot.routes.length > 0)
  })
}

test('examples/quickstart.yaml is what the quick start serves', async () => {
  const result = await load('quickstart.yaml')
  assert.ok(result.ok)
  const { listeners, admin, routes, modelServers } = result.snapshot
  assert.deepEqual([listeners[0]?.port, admin.address, admin.port], [8080, '127.0.0.1', 9090])
  assert.deepEqual(
    routes.map(({ modelName, adapters }) => ({ modelName, adapters })),
    [{ modelName: 'llama-3.1-8b', adapters: ['sql', 'chat'] }],
  )
  assert.deepEqual(
    modelServers[0]?.endpoints.map(({ id, engine, scrape }) => [id, engine, scrape?.path]),
    [
      ['127.0.0.1:8101', 'vllm', '/metrics'],
      ['127.0.0.1:8102', 'vllm', '/metrics'],
      ['127.0.0.1:8103', 'sglang', '/metrics'],
    ],
  )
})

test('examples/canary-manifests.yaml splits nine to one and keeps premium users on the first server', async () => {
  const result = await load('canary-manifests.yaml')
  assert.ok(result.ok)
  const { routes, modelServers } = result.snapshot
  assert.deepEqual(
    routes[0]?.rules.map(({ headers, targets }) => [headers.length, targets]),
    [
      [1, [{ modelServer: 'default/deepseek-v1', weight: 100 }]],
      [
        0,
        [
          { modelServer: 'default/deepseek-v1', weight: 90 },
          { modelServer: 'default/deepseek-v2', weight: 10 },
        ],
      ],
    ],
  )
  assert.deepEqual(
    modelServers.map(({ endpoints }) => endpoints.map(({ id }) => id)),
    [
      ['10.1.0.11:8000', '10.1.0.12:8000'],
      ['10.1.0.21:30000', '10.1.0.22:30000'],
    ],
  )
})

test('examples/endpoint-picker.yaml gives one model the default profile, and the other the one that it names', async () => {
  const result = await load('endpoint-picker.yaml')
  assert.ok(result.ok)
  const { modelServers, profiles } = result.snapshot
  assert.deepEqual(
    modelServers.map(({ profile }) => [profile, profiles[profile]?.scorers.map(({ type, weight }) => [type, weight])]),
    [
      [
        'default',
        [
          ['queue-scorer', 2],
          ['kv-cache-utilization-scorer', 2],
          ['prefix-cache-scorer', 3],
          ['no-hit-lru-scorer', 2],
        ],
      ],
      ['tokens', [['token-load-scorer', 1]]],
    ],
  )
})
