import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { modelOn, quick, startFleet } from './support/fleet.ts'
import type { Config } from './support/gateway.ts'
import { freePorts } from './support/ports.ts'
import { RawClient } from './support/raw-client.ts'
import { sleep, waitFor } from './support/wait.ts'

const fleet = await startFleet({ sims: [quick, quick, quick], config: (sims) => configOf(sims, 0) })
after(() => fleet.close())
const { gateway, sims } = fleet

/** The n-th configuration: other endpoints, weights, adapters and further models each time; `tiny` always works. */
function configOf(all: typeof fleet.sims, n: number): Config {
  const some = all.filter((_, i) => (n >> i) % 2 === 0 || i === n % all.length)
  return {
    models: {
      a: modelOn(some, { servedModel: 'tiny', adapters: n % 3 === 0 ? ['sql'] : [] }),
      b: modelOn(all.slice(n % 2), { servedModel: 'tiny', timeouts: { firstByte: `${10 + n}s` } }),
      tiny: { split: { a: 1 + (n % 7), b: 1 + (n % 5) } },
      [`extra-${n}`]: modelOn(some, { servedModel: 'tiny' }),
    },
  }
}

async function ask(model: string, stream = false, port = gateway.port): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }], max_tokens: 8, stream }),
  })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`${response.status} ${text}`)
  if (stream && !text.endsWith('data: [DONE]\n\n')) throw new Error(`incomplete: ${text}`)
  return text
}

async function isServed(model: string): Promise<boolean> {
  const response = await fetch(`${gateway.url}/v1/models/${model}`)
  await response.text()
  return response.status === 200
}

const swaps = 200

test(`${swaps} changes of the configuration while 50 clients run fail no request`, async (t) => {
  const end = new AbortController()
  let requests = 0
  const clients = Array.from({ length: 50 }, async (_, i) => {
    while (!end.signal.aborted) {
      await ask('tiny', i % 2 === 0)
      requests++
      await sleep(30)
    }
  })
  const startedMs = performance.now()
  const swap = async (): Promise<void> => {
    for (let n = 1; n <= swaps; n++) {
      gateway.rewrite(configOf(sims, n))
      await waitFor(`extra-${n}`, () => isServed(`extra-${n}`))
    }
  }
  await Promise.all([swap().finally(() => end.abort()), ...clients])
  t.diagnostic(`${requests} requests during ${swaps} changes in ${Math.round(performance.now() - startedMs)} ms`)
  assert.ok(requests > swaps)
  const page = await gateway.metrics()
  assert.ok(page.sum('infer_gateway_snapshot_version') > swaps)
  assert.equal(page.sum('infer_gateway_config_reloads_total', { result: 'failed' }), 0)
  assert.equal(await isServed('extra-1'), false)
})

test('a bad file keeps the configuration in force and says which line; a repaired one takes over', async () => {
  const failed = async (): Promise<number> =>
    (await gateway.metrics()).sum('infer_gateway_config_reloads_total', { result: 'failed' })
  const { snapshotVersion } = await gateway.status()
  const good = configOf(sims, 300)
  const text = gateway.configText(good)
  const bad = [
    {
      title: 'an unknown key',
      text: text.replace('"timeouts"', '"timeoutz"'),
      line: lineOf(text, '"timeouts"'),
      says: /timeoutz.*timeouts/,
    },
    { title: 'a wrong value', text: text.replace('"310s"', '"soon"'), line: lineOf(text, '"310s"'), says: /duration/ },
    { title: 'broken YAML', text: `${text}\n]: {`, line: text.split('\n').length + 1, says: /YAML/ },
  ]
  for (const [i, { title, text: broken, line, says }] of bad.entries()) {
    gateway.rewrite(broken)
    await waitFor(`rejected ${title}`, async () => (await failed()) === i + 1)
    const { reload, snapshotVersion: now } = await gateway.status()
    assert.equal(now, snapshotVersion)
    assert.equal(reload?.ok, false)
    assert.deepEqual([reload.problems[0]?.file, reload.problems[0]?.line], [gateway.configFile, line], title)
    assert.match(reload.problems[0]?.message ?? '', says)
    const logged = gateway.logLines.filter(({ level }) => level === 'error')
    assert.ok(
      logged.some((entry) => entry.file === gateway.configFile && entry.line === line),
      title,
    )
    assert.equal((await gateway.metrics()).sum('infer_gateway_config_last_reload_successful'), 0)
    await ask('tiny')
  }
  gateway.rewrite(good)
  await waitFor('repaired configuration', () => isServed('extra-300'))
  assert.equal((await gateway.status()).reload?.ok, true)
  assert.equal((await gateway.metrics()).sum('infer_gateway_config_last_reload_successful'), 1)
})

function lineOf(text: string, part: string): number {
  return text.slice(0, text.indexOf(part)).split('\n').length
}

test('a listener can be added and taken away while the others go on', async () => {
  const second = await freePorts.take()
  const main = { name: 'main', address: '127.0.0.1', port: gateway.port }
  const both = { ...configOf(sims, 301), listeners: [main, { name: 'second', address: '127.0.0.1', port: second }] }
  gateway.rewrite(both)
  await waitFor('second listener', async () => (await gateway.status()).listeners.length === 2)
  await ask('tiny', false, second)
  const running = ask('tiny', true, second)
  gateway.rewrite({ ...configOf(sims, 302), listeners: [main] })
  await waitFor('listener to be gone', async () => (await gateway.status()).listeners.length === 1)
  await running
  await assert.rejects(RawClient.connect(second), /ECONNREFUSED/)
  await ask('tiny')
})

test('a listener that cannot be opened is reported, and the others go on', async () => {
  const taken = sims[0]?.port ?? 0
  const main = { name: 'main', address: '127.0.0.1', port: gateway.port }
  const twice = { ...configOf(sims, 303), listeners: [main, { name: 'taken', address: '127.0.0.1', port: taken }] }
  gateway.rewrite(twice)
  await waitFor('report', async () => (await gateway.status()).reload?.ok === false)
  assert.match((await gateway.status()).reload?.problems[0]?.message ?? '', /EADDRINUSE|in use/)
  await ask('tiny')
  gateway.rewrite({ ...configOf(sims, 304), listeners: [main] })
  await waitFor('repaired configuration', () => isServed('extra-304'))
  assert.equal((await gateway.status()).reload?.ok, true)
})

test('an endpoint that is removed finishes what it has begun', async () => {
  const [first, second] = sims
  gateway.rewrite({ models: { tiny: modelOn(first ? [first] : []), 'extra-305': modelOn(first ? [first] : []) } })
  await waitFor('one endpoint', () => isServed('extra-305'))
  const long = fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: 'x' }], max_tokens: 400, stream: true }),
  })
  await waitFor('running stream', () => first?.stats().running === 1)
  gateway.rewrite({ models: { tiny: modelOn(second ? [second] : []), 'extra-306': modelOn(second ? [second] : []) } })
  await waitFor('other endpoint', () => isServed('extra-306'))
  await ask('tiny')
  assert.equal(first?.stats().running, 1)
  assert.ok((await (await long).text()).endsWith('data: [DONE]\n\n'))
})
