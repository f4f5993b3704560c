import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import OpenAI from 'openai'
import { startLlama } from '#test/engines/start-llama.ts'
import { RunningGateway } from './support/gateway.ts'
import { waitFor } from './support/wait.ts'

const engine = await startLlama()
const skip = engine === undefined ? 'llama.cpp is not installed: scripts/install-test-tools' : false
const gateway =
  engine === undefined
    ? undefined
    : await RunningGateway.start(
        {
          models: {
            tiny: { engine: 'llamacpp', endpoints: [engine.url] },
            'my-llama': { engine: 'llamacpp', endpoints: [engine.url], servedModel: 'tiny' },
          },
        },
        { onFailure: () => engine.close() },
      )
after(async () => {
  try {
    await gateway?.close()
  } finally {
    await engine?.close()
  }
})

const client = new OpenAI({ baseURL: `${gateway?.url}/v1`, apiKey: 'none', maxRetries: 0 })
const messages = [{ role: 'user' as const, content: 'Name a colour.' }]

/** Slots of the engine that are at work, as it says itself. */
async function busySlots(): Promise<number> {
  const slots = (await (await fetch(`${engine?.url}/slots`)).json()) as { is_processing: boolean }[]
  return slots.filter(({ is_processing }) => is_processing).length
}

test('llama.cpp answers through the gateway, by the name of the client', { skip }, async () => {
  for (const model of ['tiny', 'my-llama']) {
    const answer = await client.chat.completions.create({ model, messages, max_tokens: 12 })
    assert.equal(answer.model, model)
    assert.equal(answer.usage?.completion_tokens, 12)
    assert.ok((answer.choices[0]?.message.content ?? '').length > 0)
  }
})

test('llama.cpp streams through the gateway, and the log knows the tokens that the client did not ask for', {
  skip,
}, async () => {
  for (const model of ['tiny', 'my-llama']) {
    const id = `llama-${model}`
    const options = { headers: { 'x-request-id': id } }
    const stream = await client.chat.completions.create({ model, messages, max_tokens: 20, stream: true }, options)
    let text = ''
    for await (const chunk of stream) {
      assert.equal(chunk.model, model)
      assert.ok(chunk.choices.length === 1 && chunk.usage === undefined, JSON.stringify(chunk))
      text += chunk.choices[0]?.delta.content ?? ''
    }
    assert.ok(text.length > 0)
    const line = await gateway?.accessLine(id)
    assert.equal(line?.output_tokens, 20)
    assert.ok(Number(line?.input_tokens) > 5)
    assert.ok(Number(line?.ttft_ms) > 0)
  }
})

test('llama.cpp reports usage to a client that asks for it', { skip }, async () => {
  const request = {
    model: 'my-llama',
    messages,
    max_tokens: 9,
    stream: true,
    stream_options: { include_usage: true },
  } as const
  let tokens = 0
  for await (const chunk of await client.chat.completions.create(request)) tokens += chunk.usage?.completion_tokens ?? 0
  assert.equal(tokens, 9)
})

test('what llama.cpp refuses comes back in its own words, and the connection that it closes is no failure', {
  skip,
}, async () => {
  for (let i = 0; i < 5; i++) {
    const wrong = client.chat.completions.create({ model: 'tiny', messages: 'no list' as never })
    await assert.rejects(
      wrong,
      (error: unknown) =>
        error instanceof OpenAI.APIError && Number(error.status) >= 400 && /messages/.test(error.message),
    )
    await client.completions.create({ model: 'tiny', prompt: 'Once', max_tokens: 2 })
  }
  const { endpoints } = (await gateway?.status()) ?? { endpoints: [] }
  assert.ok(endpoints.every(({ consecutiveErrors }) => consecutiveErrors === 0))
})

test('a client that leaves a stream frees the slot of llama.cpp', { skip }, async () => {
  const controller = new AbortController()
  const request = { model: 'tiny', prompt: 'Once', max_tokens: 4000, stream: true } as const
  for await (const _ of await client.completions.create(request, { signal: controller.signal })) break
  controller.abort()
  await waitFor('free slots', async () => (await busySlots()) === 0, 1000)
})

test('a client that leaves a unary answer is let go at once, though llama.cpp itself goes on', { skip }, async () => {
  const controller = new AbortController()
  const request = { model: 'tiny', prompt: 'Once', max_tokens: 1000 }
  const outcome = client.completions.create(request, { signal: controller.signal }).catch((error: unknown) => error)
  await waitFor('busy slot', async () => (await busySlots()) > 0)
  controller.abort()
  assert.ok((await outcome) instanceof OpenAI.APIUserAbortError)
  await waitFor('idle gateway', async () => (await gateway?.underWay()) === 0, 250)
  await waitFor('free slots', async () => (await busySlots()) === 0)
})

test('the load of llama.cpp is read from its metrics page', { skip }, async () => {
  const endpointOf = async () =>
    (await gateway?.status())?.endpoints.find(({ modelServer }) => modelServer.endsWith('tiny'))
  const idle = await waitFor('reading', async () => {
    const report = await endpointOf()
    return report?.health === 'ready' && report.running === 0 ? report : undefined
  })
  assert.deepEqual([idle.engine, idle.waiting, idle.scrapeError], ['llamacpp', 0, undefined])
  const controller = new AbortController()
  const body = JSON.stringify({ model: 'tiny', prompt: 'Once', max_tokens: 3900, stream: true, ignore_eos: true })
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body, signal: controller.signal }
  const streams = [1, 2, 3, 4].map(async () => (await fetch(`${gateway?.url}/v1/completions`, init)).text())
  const seen: unknown[] = []
  const isBusy = async (): Promise<boolean> => {
    const report = await endpointOf()
    seen.push(report)
    return (
      Number(report?.running) > 0 && Number(report?.waiting) > 0 && Number(report?.kvUse) > 0 && report?.inFlight === 4
    )
  }
  // Every connection that is kept alive holds one of the engine's few threads; requests behind it count late as waiting.
  await waitFor('reading of a busy engine', isBusy, 10_000).catch((error: unknown) => {
    throw new Error(`the last reading: ${JSON.stringify(seen.at(-1))}`, { cause: error })
  })
  controller.abort()
  const ends = await Promise.allSettled(streams)
  assert.ok(ends.every(({ status }) => status === 'rejected'))
})
