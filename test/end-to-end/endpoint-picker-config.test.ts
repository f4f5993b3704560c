import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { modelOn, quick, startFleet } from './support/fleet.ts'
import { waitFor } from './support/wait.ts'

const fleet = await startFleet({
  sims: [quick, quick, quick, quick],
  config: (sims) => ({ exposeEndpoint: true, models: { tiny: modelOn(sims) } }),
})
after(() => fleet.close())
const { gateway, sims } = fleet

/** Puts a document of the Endpoint Picker in force, under another name for the model each time. */
async function use(name: string, document: string): Promise<void> {
  const config = { exposeEndpoint: true, models: { tiny: modelOn(sims, { aliases: [name] }) } }
  const head = 'apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n'
  gateway.rewrite(`${gateway.configText(config)}\n---\n${head}${document}`)
  await waitFor(name, async () => {
    const response = await fetch(`${gateway.url}/v1/models/${name}`)
    await response.text()
    return response.status === 200
  })
}

async function ask(content: string, headers: Readonly<Record<string, string>> = {}) {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content }], max_tokens: 2 }),
  })
  assert.equal(response.status, 200, await response.text())
  const { headers: got } = response
  const id = got.get('x-request-id') ?? ''
  return { endpoint: got.get('x-infer-endpoint'), token: got.get('x-session-token'), id }
}

function prompt(seed: number): string {
  return `${seed} and a long text that is the same each time. `.repeat(60)
}

test('a document that is put in force sends a prompt where it went before', { timeout: 60_000 }, async () => {
  await use(
    'prefixes',
    'plugins: [{ type: prefix-cache-scorer }, { type: no-hit-lru-scorer }]\nschedulingProfiles: [{ name: default, plugins: [{ pluginRef: prefix-cache-scorer, weight: 3 }, { pluginRef: no-hit-lru-scorer }] }]\n',
  )
  const first = new Map<number, string | null>()
  for (let seed = 0; seed < 8; seed++) first.set(seed, (await ask(prompt(seed))).endpoint)
  // Cold prompts took turns, each thread for itself.
  assert.ok(new Set(first.values()).size > 1)
  for (const [seed, endpoint] of first) assert.equal((await ask(prompt(seed))).endpoint, endpoint)
  const { id } = await ask(prompt(0))
  assert.match(String((await gateway.accessLine(id)).why), /prefix-cache-scorer/)
})

test('the client of a session brings back its endpoint in x-session-token', { timeout: 60_000 }, async () => {
  await use(
    'sessions',
    'plugins: [{ type: active-request-scorer }, { type: session-affinity-scorer }, { type: decode-filter }]\n',
  )
  const { endpoint, token } = await ask('hello')
  assert.equal(Buffer.from(token ?? '', 'base64').toString(), endpoint)
  for (let i = 0; i < 10; i++) {
    const again = await ask(`hello ${i}`, { 'x-session-token': token ?? '' })
    assert.deepEqual([again.endpoint, again.token], [endpoint, token])
  }
  const others = new Set<string | null>()
  for (let i = 0; i < 20; i++) others.add((await ask('hello')).endpoint)
  assert.ok(others.size > 1)
})

test('a document that asks for what is not there leaves the one before in force', { timeout: 60_000 }, async () => {
  const before = await ask('hello')
  const head = 'apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n'
  const config = { exposeEndpoint: true, models: { tiny: modelOn(sims, { aliases: ['never'] }) } }
  gateway.rewrite(`${gateway.configText(config)}\n---\n${head}plugins: [{ type: latency-scorer }]\n`)
  await waitFor('the refusal', () => Promise.resolve(/latency-scorer/.test(gateway.stderr)))
  const again = await ask('hello', { 'x-session-token': before.token ?? '' })
  assert.equal(again.endpoint, before.endpoint)
})
