import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SimOptions } from './options.ts'
import { type Sim, startSim } from './server.ts'
import { eventsOf, get, pick, post } from './test-client.ts'

async function withSim(options: SimOptions, run: (sim: Sim) => Promise<void>) {
  const sim = await startSim({ models: ['ensemble'], ttftMs: 1, tpotMs: 1, maxModelLen: 256, ...options })
  try {
    await run(sim)
  } finally {
    await sim.close()
  }
}

const CHAT = { model: 'ensemble', messages: [{ role: 'user', content: 'hello' }], max_tokens: 3 }
const streamed = { stream: true, stream_options: { include_usage: true } }

test('Triton generates, whole and as events without an end mark', () =>
  withSim({ engine: 'triton' }, async (sim) => {
    const body = { text_input: 'hello', max_tokens: 3 }
    const { text } = await post(sim, '/v2/models/ensemble/generate', body)
    assert.deepEqual([pick(text, 'model_name'), pick(text, 'model_version')], ['ensemble', '1'])
    const stream = await post(sim, '/v2/models/ensemble/versions/1/generate_stream', body)
    assert.equal(stream.headers.get('content-type'), 'text/event-stream; charset=utf-8')
    const pieces = eventsOf(stream.text).map((event) => pick(event, 'text_output'))
    assert.equal(pieces.length, 3)
    assert.equal(pieces.join(''), pick(text, 'text_output'))
    const inParameters = await post(sim, '/v2/models/ensemble/generate_stream', {
      text_input: 'hello',
      parameters: { max_tokens: 2 },
    })
    assert.equal(eventsOf(inParameters.text).length, 2)
  }))

test('Triton answers health, metadata and unknown models', () =>
  withSim({ engine: 'triton' }, async (sim) => {
    for (const path of ['/v2/health/live', '/v2/health/ready', '/v2/models/ensemble/ready', '/health/ready']) {
      assert.equal(await get(sim, path), '', path)
    }
    assert.equal(pick(await get(sim, '/v2'), 'name'), 'triton')
    assert.equal(pick(await get(sim, '/v2/models/ensemble'), 'inputs', 0, 'name'), 'text_input')
    assert.equal(pick((await post(sim, '/v2/repository/index', {})).text, 0, 'state'), 'READY')
    const { status, text } = await post(sim, '/v2/models/nope/generate', { text_input: 'x' })
    assert.deepEqual([status, text], [404, `{"error":"Request for unknown model: 'nope' is not found"}`])
    assert.equal((await post(sim, '/v2/models/ensemble/generate', '{')).status, 400)
  }))

test('the OpenAI front end of Triton tells no usage and calls every end a stop', () =>
  withSim({ engine: 'triton' }, async (sim) => {
    const { text } = await post(sim, '/v1/chat/completions', CHAT)
    assert.equal(pick(text, 'usage'), null)
    assert.equal(pick(text, 'choices', 0, 'finish_reason'), 'stop')
    const stream = await post(sim, '/v1/chat/completions', { ...CHAT, ...streamed })
    const events = eventsOf(stream.text)
    assert.deepEqual(pick(events[0], 'choices', 0, 'delta'), { content: '', function_call: null, role: 'assistant' })
    assert.deepEqual(
      events.map((event) => pick(event, 'choices', 0, 'finish_reason')),
      [null, null, null, 'stop', undefined],
    )
    const unknown = await post(sim, '/v1/chat/completions', { ...CHAT, model: 'nope' })
    assert.deepEqual([unknown.status, unknown.text], [400, '{"detail":"Unknown model: nope"}'])
    const several = await post(sim, '/v1/chat/completions', { ...CHAT, n: 2 })
    assert.deepEqual([several.status, /only single choice/.test(several.text)], [400, true])
    const missing = await post(sim, '/v1/chat/completions', { model: 'ensemble' })
    assert.equal(missing.status, 422)
    assert.deepEqual(pick(missing.text, 'detail', 0, 'loc'), ['body', 'messages'])
  }))

test('Triton reports its load when asked for in lower case', () =>
  withSim({ engine: 'triton', kvBlocks: 100, blockSize: 4 }, async (sim) => {
    const ask = async (format: string) => {
      const headers = { 'endpoint-load-metrics-format': format }
      const answer = await post(sim, '/v2/models/ensemble/generate', { text_input: 'hello' }, headers)
      return answer.headers.get('endpoint-load-metrics')
    }
    assert.equal(await ask('json'), 'JSON {"named_metrics":{"kv_cache_utilization":0.0,"max_token_capacity":400}}')
    const text = 'TEXT named_metrics.kv_cache_utilization=0.000000, named_metrics.max_token_capacity=400'
    assert.equal(await ask('text'), text)
    assert.equal(await ask('JSON'), null)
  }))

test('trtllm-serve leaves nulls out of chunks, answers any model and words errors flat', () =>
  withSim({ engine: 'trtllm' }, async (sim) => {
    const { text } = await post(sim, '/v1/chat/completions', { ...CHAT, model: 'whatever' })
    assert.deepEqual([pick(text, 'model'), pick(text, 'choices', 0, 'mm_embedding_handle')], ['whatever', null])
    assert.equal(pick(text, 'usage', 'completion_tokens'), 3)
    const stream = await post(sim, '/v1/chat/completions', { ...CHAT, ...streamed })
    const events = eventsOf(stream.text)
    assert.deepEqual(pick(events[0], 'choices', 0, 'delta'), { role: 'assistant' })
    assert.equal('finish_reason' in Object(pick(events[1], 'choices', 0)), false)
    assert.equal(pick(events[3], 'choices', 0, 'finish_reason'), 'length')
    assert.equal(pick(events[4], 'usage', 'completion_tokens'), 3)
    const long = await post(sim, '/v1/chat/completions', { ...CHAT, max_tokens: 300 })
    assert.deepEqual([long.status, pick(long.text, 'object'), pick(long.text, 'code')], [400, 'error', 400])
    const broken = await post(sim, '/v1/chat/completions', '{')
    assert.deepEqual([broken.status, String(pick(broken.text, 'error')).startsWith('1 validation')], [400, true])
  }))

test('reading the iterations of trtllm-serve empties them', () =>
  withSim({ engine: 'trtllm', ttftMs: 2, tpotMs: 2 }, async (sim) => {
    assert.equal((await fetch(`${sim.url}/health_generate`)).status, 200)
    await post(sim, '/v1/completions', { model: 'ensemble', prompt: 'hello', max_tokens: 3 })
    const iterations = JSON.parse(await get(sim, '/metrics')) as { readonly iter: number }[]
    assert.ok(iterations.length >= 4, String(iterations.length))
    assert.equal(pick(iterations[0], 'iter'), 0)
    assert.equal(pick(iterations.at(-1), 'kvCacheStats', 'tokensPerBlock'), 16)
    const [first] = iterations
    assert.deepEqual([pick(first, 'iterLatencyMS'), pick(first, 'inflightBatchingStats', 'numCtxTokens')], [2, 2])
    assert.equal(pick(iterations.at(-1), 'inflightBatchingStats', 'numCtxTokens'), 0)
    assert.equal(await get(sim, '/metrics'), '[]')
    assert.match(
      await get(sim, '/prometheus/metrics'),
      /trtllm_request_success_total\{.*finished_reason="length".*\} 2/,
    )
    assert.equal(pick(await get(sim, '/v1/models'), 'data', 0, 'owned_by'), 'tensorrt_llm')
  }))
