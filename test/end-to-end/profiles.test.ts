import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { after, test } from 'node:test'
import { modelOn, quick, startFleet } from './support/fleet.ts'
import { freePorts } from './support/ports.ts'
import { waitFor } from './support/wait.ts'

const profiles = {
  adapters: { filters: ['usable'], scorers: ['has-adapter'] },
  even: { filters: ['usable'], scorers: ['least-request'] },
  'by-class': {
    handler: { type: 'header-profile-handler', headerName: 'x-class', defaultProfile: 'even' },
    profiles: ['even', 'llm-d', 'adapters'],
  },
}

/** An endpoint that is healthy by its own word and breaks off every request. */
const lame = createServer((socket) => {
  socket.on('error', () => {})
  socket.on('data', (data) => {
    if (data.toString('latin1').startsWith('GET ')) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')
    else socket.destroy()
  })
})
const lamePort = await freePorts.take()
await new Promise<void>((resolve) => lame.listen(lamePort, '127.0.0.1', resolve))
after(() => lame.close())

const fleet = await startFleet({
  sims: [quick, quick],
  config: (sims) => ({
    scheduler: { allowedProfiles: ['even', 'balanced'], allowedStrategies: true },
    profiles,
    models: {
      tiny: modelOn(sims, { profile: 'adapters' }),
      quiet: modelOn(sims, { servedModel: 'tiny', scrape: false }),
      routed: { split: { quiet: 1 }, profile: 'even' },
      classed: { split: { quiet: 1 }, profile: 'by-class' },
      lame: {
        ...modelOn(sims, {
          servedModel: 'tiny',
          scrape: false,
          profile: 'even',
          ejection: { failures: 0, successRatio: 0 },
        }),
        endpoints: [`http://127.0.0.1:${lamePort}`, ...sims.map(({ url }) => url)],
      },
    },
  }),
})
after(() => fleet.close())
const { gateway, sims } = fleet

const hello = (model: string) => ({ model, messages: [{ role: 'user', content: 'hello' }] })

async function ask(model: string, headers: Readonly<Record<string, string>> = {}) {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ ...hello(model), max_tokens: 2 }),
  })
  const { error } = (await response.json()) as { readonly error?: { readonly message: string; readonly param: string } }
  const id = response.headers.get('x-request-id') ?? ''
  return { status: response.status, reason: response.headers.get('x-infer-reason'), error, id }
}

async function whyOf(model: string, headers: Readonly<Record<string, string>> = {}): Promise<string> {
  const { status, error, id } = await ask(model, headers)
  assert.equal(status, 200, JSON.stringify(error))
  return String((await gateway.accessLine(id)).why)
}

/** Keeps one endpoint busier than the other while `work` runs, so that a scorer by requests has a preference. */
async function whileBusy(work: () => Promise<void>): Promise<void> {
  const end = new AbortController()
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    signal: end.signal,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...hello('quiet'), max_tokens: 2000, stream: true, ignore_eos: true }),
  })
  assert.equal(response.status, 200)
  const first = response.body?.getReader()
  await first?.read()
  try {
    await work()
  } finally {
    end.abort()
    await first?.read().catch(() => {})
  }
}

test('the header, the route and the model server choose the profile, in this order', async () => {
  assert.equal(await whyOf('tiny'), 'even of 2', 'a profile about adapters has no preference for a base model')
  await whileBusy(async () => {
    assert.match(await whyOf('quiet', { 'x-infer-profile': 'even' }), /^least-request /)
    assert.match(await whyOf('routed'), /^least-request /)
    assert.match(await whyOf('routed', { 'routing-strategy': 'random' }), /^(aibrix-random|even) /)
    assert.match(await whyOf('quiet', { 'routing-strategy': 'least-request' }), /^aibrix-least-request 1\.00 of 2$/)
    const both = { 'x-infer-profile': 'even', 'routing-strategy': 'least-request' }
    assert.match(await whyOf('quiet', both), /^least-request /)
  })
})

test('a handler chooses by the header that it is told, and refuses a profile that there is not', async () => {
  await whileBusy(async () => {
    assert.match(await whyOf('classed'), /^least-request /)
    assert.match(await whyOf('classed', { 'x-class': 'llm-d' }), /^(queue-scorer|prefix-cache-scorer|even) /)
    assert.equal(await whyOf('classed', { 'x-class': 'adapters' }), 'even of 2')
  })
  const { status, reason, error } = await ask('classed', { 'x-class': 'constructor' })
  assert.deepEqual([status, reason], [400, 'unknown-profile'])
  assert.match(error?.message ?? '', /even, llm-d, adapters/)
})

test('a profile that is built in can be chosen where its name is allowed', async () => {
  await whileBusy(async () => assert.match(await whyOf('quiet', { 'x-infer-profile': 'balanced' }), /^least-request /))
})

test('a try that fails goes on with the next best of its decision', async () => {
  const reasons: string[] = []
  while (reasons.length < 60 && !reasons.includes('next best of the try before, retry'))
    reasons.push(await whyOf('lame'))
  assert.equal(reasons.at(-1), 'next best of the try before, retry', reasons.join('; '))
})

test('a name that may not be chosen is refused with those that may', async () => {
  for (const [headers, says] of [
    [{ 'x-infer-profile': 'adapters' }, /those that can: even, balanced/i],
    [{ 'routing-strategy': 'least-request,pd' }, /'pd'.*prefill/],
    [{ 'routing-strategy': 'least-request:-2' }, /weight/],
  ] as const) {
    const { status, reason, error } = await ask('tiny', headers)
    assert.deepEqual([status, reason, error?.param], [400, 'unknown-profile', Object.keys(headers)[0]])
    assert.match(error?.message ?? '', says)
  }
})

test('a strategy without a signal is least-request, in the log and in the metrics', async () => {
  const before = await gateway.metrics()
  const why = await whyOf('quiet', { 'routing-strategy': 'least-gpu-cache' })
  assert.match(why, /of 2, no signal for aibrix-least-gpu-cache$/)
  const labels = { model_server: 'models/quiet', scorer: 'aibrix-least-gpu-cache' }
  const name = 'infer_gateway_scorer_fallbacks_total'
  assert.equal((await gateway.metrics()).sum(name, labels) - before.sum(name, labels), 1)
})

test('after a reload that allows nothing the headers mean nothing', async () => {
  gateway.rewrite({ profiles, models: { tiny: modelOn(sims), after: modelOn(sims, { servedModel: 'tiny' }) } })
  await waitFor('the new configuration', async () => (await ask('after')).status === 200)
  assert.equal((await ask('tiny', { 'x-infer-profile': 'nonsense', 'routing-strategy': 'nonsense' })).status, 200)
})
