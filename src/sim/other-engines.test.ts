import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SimOptions } from './options.ts'
import { type Sim, startSim } from './server.ts'
import { eventsOf, get, pick, post } from './test-client.ts'

async function withSim(options: SimOptions, run: (sim: Sim) => Promise<void>) {
  const sim = await startSim({
    models: ['tiny'],
    adapters: ['sql'],
    ttftMs: 1,
    tpotMs: 1,
    maxModelLen: 256,
    ...options,
  })
  try {
    await run(sim)
  } finally {
    await sim.close()
  }
}

const CHAT = { model: 'tiny', messages: [{ role: 'user', content: 'hello' }], max_tokens: 3 }

test('SGLang generates natively, with the whole text in each event', () =>
  withSim({ engine: 'sglang' }, async (sim) => {
    const body = { text: 'hello', sampling_params: { max_new_tokens: 3 }, rid: 'r1' }
    const { text } = await post(sim, '/generate', body)
    assert.deepEqual(pick(text, 'meta_info', 'finish_reason'), { type: 'length', length: 3 })
    assert.equal(pick(text, 'meta_info', 'completion_tokens'), 3)
    const stream = await post(sim, '/generate', { ...body, stream: true })
    const events = eventsOf(stream.text)
    assert.equal(events.at(-1), '[DONE]')
    assert.equal(pick(events[2], 'text'), pick(text, 'text'))
    assert.ok(String(pick(events[2], 'text')).startsWith(String(pick(events[1], 'text'))))
    const ids = await post(sim, '/generate', { input_ids: [1, 2, 3] })
    assert.equal(pick(ids.text, 'meta_info', 'prompt_tokens'), 3)
    const neither = await post(sim, '/generate', {})
    assert.equal(neither.status, 400)
  }))

test('SGLang chats with its own fields and ends a stream with a chunk of its own', () =>
  withSim({ engine: 'sglang' }, async (sim) => {
    const { text } = await post(sim, '/v1/chat/completions', CHAT)
    assert.equal(pick(text, 'choices', 0, 'message', 'reasoning_content'), null)
    assert.equal(pick(text, 'metadata', 'weight_version'), 'default')
    const options = { stream: true, stream_options: { include_usage: true } }
    const stream = await post(sim, '/v1/chat/completions', { ...CHAT, ...options })
    const events = eventsOf(stream.text)
    const reasons = events.map((event) => pick(event, 'choices', 0, 'finish_reason') ?? null)
    assert.deepEqual(reasons, [null, null, null, null, 'length', null, null])
    assert.equal(pick(events[5], 'usage', 'completion_tokens'), 3)
    assert.equal(pick(events[1], 'usage'), null)
  }))

test('SGLang takes any model name, chooses adapters by a colon and answers errors flat', () =>
  withSim({ engine: 'sglang' }, async (sim) => {
    assert.equal((await post(sim, '/v1/chat/completions', { ...CHAT, model: 'whatever' })).status, 200)
    assert.equal((await post(sim, '/v1/chat/completions', { ...CHAT, model: 'tiny:sql' })).status, 200)
    const { status, text } = await post(sim, '/v1/chat/completions', { ...CHAT, model: 'tiny:nope' })
    assert.deepEqual([status, pick(text, 'object'), pick(text, 'type')], [400, 'error', 'BadRequestError'])
    const long = { ...CHAT, max_tokens: 300 }
    assert.match((await post(sim, '/v1/chat/completions', long)).text, /Requested token count exceeds/)
    assert.equal((await post(sim, '/v1/chat/completions', '{')).status, 400)
  }))

test('SGLang answers its info paths and loads adapters', () =>
  withSim({ engine: 'sglang' }, async (sim) => {
    assert.equal(pick(await get(sim, '/get_model_info'), 'model_path'), 'tiny')
    assert.equal(pick(await get(sim, '/get_server_info'), 'context_length'), 256)
    assert.equal(pick(await get(sim, '/v1/loads'), 'loads', 0, 'num_running_reqs'), 0)
    assert.equal(pick(await get(sim, '/v1/models'), 'data', 1, 'parent'), 'tiny')
    assert.equal(await get(sim, '/health'), '')
    assert.equal(await get(sim, '/health_generate'), '')
    assert.equal(sim.stats().outputTokens, 1)
    const loaded = await post(sim, '/load_lora_adapter', { lora_name: 'new', lora_path: '/p' })
    assert.equal(pick(loaded.text, 'success'), true)
    assert.equal((await post(sim, '/load_lora_adapter', { lora_name: 'new', lora_path: '/p' })).status, 400)
    assert.equal((await post(sim, '/unload_lora_adapter', { lora_name: 'new' })).status, 200)
    assert.equal((await post(sim, '/unload_lora_adapter', { lora_name: 'new' })).status, 400)
  }))

test('TGI generates, streams without a space after the colon and ends without a mark', () =>
  withSim({ engine: 'tgi' }, async (sim) => {
    const body = { inputs: 'hello', parameters: { max_new_tokens: 3, details: true } }
    const { text, headers } = await post(sim, '/generate', body)
    assert.equal(pick(text, 'details', 'generated_tokens'), 3)
    assert.ok(Number(headers.get('x-total-time')) >= 0)
    const stream = await post(sim, '/generate_stream', body)
    const events = eventsOf(stream.text)
    assert.ok(stream.text.startsWith('data:{"index":1,'))
    assert.deepEqual(
      events.map((event) => pick(event, 'generated_text')),
      [null, null, pick(text, 'generated_text')],
    )
    const root = await post(sim, '/', { ...body, stream: true })
    assert.equal(root.text, stream.text)
  }))

test('TGI chats, with usage when asked for', () =>
  withSim({ engine: 'tgi' }, async (sim) => {
    const { text } = await post(sim, '/v1/chat/completions', CHAT)
    assert.equal(pick(text, 'id'), '')
    assert.equal(pick(text, 'usage', 'completion_tokens'), 3)
    const options = { stream: true, stream_options: { include_usage: true } }
    const stream = await post(sim, '/v1/chat/completions', { ...CHAT, ...options })
    assert.deepEqual(pick(eventsOf(stream.text).at(-2), 'choices'), [])
  }))

test('TGI words its errors its own way', () =>
  withSim({ engine: 'tgi', maxQueuedReqs: 1, ttftMs: 200 }, async (sim) => {
    const broken = await post(sim, '/generate', '{')
    assert.deepEqual([broken.status, broken.headers.get('content-type')], [400, 'text/plain; charset=utf-8'])
    const missing = await post(sim, '/generate', {})
    assert.deepEqual([missing.status, /missing field `inputs`/.test(missing.text)], [422, true])
    const long = await post(sim, '/generate', { inputs: 'x'.repeat(4_000) })
    assert.deepEqual([long.status, pick(long.text, 'error_type')], [422, 'validation'])
    const first = post(sim, '/generate', { inputs: 'x' })
    const second = await post(sim, '/generate', { inputs: 'x' })
    const answers = [second, await first]
      .map(({ status, text }) => `${status} ${String(pick(text, 'error_type'))}`)
      .toSorted()
    assert.deepEqual(answers, ['200 undefined', '429 overloaded'])
    assert.match(await get(sim, '/metrics'), /tgi_request_failure\{err="overloaded"\} 1/)
    assert.equal(pick(await get(sim, '/info'), 'max_total_tokens'), 256)
  }))

test('a key is needed where the engine wants it and nowhere else', async () => {
  for (const [engine, open, closed] of [
    ['vllm', '/tokenize', '/v1/completions'],
    ['sglang', undefined, '/generate'],
    ['tgi', undefined, '/generate'],
  ] as const) {
    await withSim({ engine, apiKey: 'secret' }, async (sim) => {
      const body = { prompt: 'x', text: 'x', inputs: 'x' }
      assert.equal((await post(sim, closed, body)).status, 401)
      assert.equal((await post(sim, closed, body, { authorization: 'Bearer wrong' })).status, 401)
      assert.equal((await post(sim, closed, body, { authorization: 'Bearer secret' })).status, 200)
      if (open !== undefined) assert.equal((await post(sim, open, body)).status, 200)
      assert.equal(await get(sim, '/health'), '')
      assert.match(await get(sim, '/metrics'), /# TYPE/)
    })
  }
})

test('two servers with one seed answer alike, with two seeds differently', async () => {
  const answerOf = async (seed: number) => {
    let text = ''
    await withSim({ seed }, async (sim) => {
      text = String(pick((await post(sim, '/v1/chat/completions', CHAT)).text, 'choices', 0, 'message', 'content'))
    })
    return text
  }
  assert.equal(await answerOf(3), await answerOf(3))
  assert.notEqual(await answerOf(3), await answerOf(4))
})
