import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, test } from 'node:test'
import OpenAI from 'openai'
import { RunningGateway } from '#test/end-to-end/support/gateway.ts'
import { waitFor } from '#test/end-to-end/support/wait.ts'
import { startVllm, vllmDirectory } from './start-vllm.ts'

const engine = await startVllm()
const skip = engine === undefined ? 'vLLM is not installed: test/engines/setup-vllm' : false
const gateway =
  engine === undefined
    ? undefined
    : await RunningGateway.start(
        {
          models: {
            tiny: { engine: 'vllm', endpoints: [engine.url], adapters: ['sql-lora', 'chat-lora'] },
            renamed: { engine: 'vllm', endpoints: [engine.url], servedModel: 'tiny' },
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
const endpointOf = async () =>
  (await gateway?.status())?.endpoints.find(({ modelServer }) => modelServer.endsWith('tiny'))

/** Requests in the batch and in the queue, as the engine says itself. */
async function load(): Promise<number> {
  const page = await (await fetch(`${engine?.url}/metrics`)).text()
  const values = [...page.matchAll(/^vllm:num_requests_(?:running|waiting)\{[^}]*\} (\S+)$/gm)]
  return values.reduce((sum, [, value]) => sum + Number(value), 0)
}

test('vLLM answers through the gateway, by the name of the client', { skip }, async () => {
  for (const model of ['tiny', 'renamed']) {
    const answer = await client.chat.completions.create({ model, messages, max_tokens: 12 })
    assert.deepEqual([answer.model, answer.usage?.completion_tokens], [model, 12])
    const completion = await client.completions.create({ model, prompt: 'Once', max_tokens: 5 })
    assert.deepEqual([completion.model, completion.usage?.completion_tokens], [model, 5])
  }
})

test('vLLM streams through the gateway, and the log knows the tokens', { skip }, async () => {
  for (const model of ['tiny', 'renamed']) {
    for (const asks of [false, true]) {
      const id = `vllm-${model}-${asks}`
      // The random model may end by itself; vLLM's own switch keeps it going.
      const options = { ignore_eos: true, ...(asks ? { stream_options: { include_usage: true } } : {}) }
      const request = { model, messages, max_tokens: 24, stream: true, ...options } as const
      const stream = await client.chat.completions.create(request, { headers: { 'x-request-id': id } })
      let usageChunks = 0
      for await (const chunk of stream) {
        assert.equal(chunk.model, model)
        if (chunk.usage) usageChunks++
        else assert.equal(chunk.choices.length, 1)
      }
      assert.equal(usageChunks, asks ? 1 : 0)
      const line = await gateway?.accessLine(id)
      assert.equal(line?.output_tokens, 24)
    }
  }
})

test('the Responses API and Anthropic messages of vLLM come through', { skip }, async () => {
  const whole = await client.responses.create({ model: 'renamed', input: 'Name a colour.', max_output_tokens: 8 })
  assert.equal(whole.model, 'renamed')
  const response = await fetch(`${gateway?.url}/v1/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'renamed', messages, max_tokens: 8 }),
  })
  const message = (await response.json()) as { model: string; usage: { output_tokens: number } }
  assert.deepEqual([response.status, message.model, message.usage.output_tokens], [200, 'renamed', 8])
})

test('a prompt that comes again is partly cached, and the log says so', { skip }, async () => {
  const long = [{ role: 'user' as const, content: 'The quick brown fox. '.repeat(60) }]
  for (const id of ['cold', 'warm']) {
    await client.chat.completions.create(
      { model: 'tiny', messages: long, max_tokens: 2 },
      { headers: { 'x-request-id': id } },
    )
  }
  assert.equal((await gateway?.accessLine('cold'))?.cached_tokens ?? 0, 0)
  assert.ok(Number((await gateway?.accessLine('warm'))?.cached_tokens) >= 32)
})

test('what vLLM refuses comes back in its own words', { skip }, async () => {
  const wrong = client.chat.completions.create({ model: 'tiny', messages, temperature: -5 })
  await assert.rejects(
    wrong,
    (error: unknown) => error instanceof OpenAI.BadRequestError && /temperature/.test(error.message),
  )
})

test('adapters are called by name, seen by the scrape, and missed when unloaded', { skip }, async () => {
  const change = async (verb: string, body: object): Promise<number> => {
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
    const response = await fetch(`${engine?.url}/v1/${verb}_lora_adapter`, init)
    await response.text()
    return response.status
  }
  const path = join(vllmDirectory(), 'model', 'adapters', 'sql-lora')
  assert.equal(await change('load', { lora_name: 'sql-lora', lora_path: path }), 200)
  const answer = await client.chat.completions.create({ model: 'sql-lora', messages, max_tokens: 4 })
  assert.equal(answer.model, 'sql-lora')
  await waitFor('adapter on the status page', async () => (await endpointOf())?.adapters.includes('sql-lora'), 20_000)
  assert.equal(await change('unload', { lora_name: 'sql-lora' }), 200)
  const gone = client.chat.completions.create({ model: 'sql-lora', messages, max_tokens: 4 })
  await assert.rejects(gone, (error: unknown) => error instanceof OpenAI.NotFoundError)
})

test('a client that leaves frees vLLM, streamed and not', { skip }, async () => {
  for (const stream of [true, false]) {
    const controller = new AbortController()
    const request = { model: 'tiny', prompt: 'Once', max_tokens: 1500, stream, ignore_eos: true }
    const call = client.completions.create(request, { signal: controller.signal })
    const outcome = call.then(
      async (answer) => {
        if (Symbol.asyncIterator in answer) for await (const _ of answer);
      },
      () => {},
    )
    await waitFor('busy engine', async () => (await load()) > 0)
    controller.abort()
    await outcome.catch(() => {})
    await waitFor('idle engine', async () => (await load()) === 0, 2000)
  }
  assert.equal(await gateway?.underWay(), 0)
})

test('the load of vLLM is read, and from a narrowed page after the first', { skip }, async () => {
  const idle = await waitFor('reading', async () => {
    const report = await endpointOf()
    return report?.health === 'ready' && report.running === 0 ? report : undefined
  })
  assert.deepEqual([idle.engine, idle.waiting, idle.scrapeError], ['vllm', 0, undefined])
  assert.equal(typeof idle.kvUse, 'number')
  // The access log of vLLM names the paths that were asked for.
  await waitFor('narrowed page', () => /GET \/metrics\/?\?name/.test(engine?.log() ?? ''), 20_000)
})
