import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SimOptions } from './options.ts'
import { type Sim, startSim } from './server.ts'
import { eventsOf, get, joined, openRaw, pick, post, seriesValue, until } from './test-client.ts'

async function withSim(options: SimOptions, run: (sim: Sim) => Promise<void>) {
  const sim = await startSim({ models: ['tiny'], blockSize: 4, ...options })
  try {
    await run(sim)
  } finally {
    await sim.close()
  }
}

const CHAT = '/v1/chat/completions'
const labels = (rank: number) => `engine="${rank}",model_name="tiny"`

test('a chat that goes on finds the blocks of its prompt and of the answer', () =>
  withSim({ ttftMs: 1, tpotMs: 1 }, async (sim) => {
    const asked = [
      { role: 'system', content: 'Answer briefly.' },
      { role: 'user', content: 'Which way?' },
    ]
    const first = await post(sim, CHAT, { messages: asked, max_tokens: 23 })
    const answer = { role: 'assistant', content: pick(first.text, 'choices', 0, 'message', 'content') }
    const promptTokens = Number(pick(first.text, 'usage', 'prompt_tokens'))
    const messages = [...asked, answer, { role: 'user', content: 'And then?' }]
    const second = await post(sim, CHAT, { messages, max_tokens: 1 })
    // The last token of an answer is never computed; full blocks of the rest are there.
    const kept = Math.floor((promptTokens + 23 - 1) / 4) * 4
    assert.equal(pick(second.text, 'usage', 'prompt_tokens_details', 'cached_tokens'), kept)
    const changed = [...asked, { ...answer, content: `!${String(answer.content).slice(1)}` }]
    const third = await post(sim, CHAT, { messages: [...changed, { role: 'user', content: 'And then?' }] })
    assert.ok(Number(pick(third.text, 'usage', 'prompt_tokens_details', 'cached_tokens')) < kept)
  }))

test('a preset gives steps and a KV cache of its own, and pages tell of its time', () =>
  withSim({ preset: 'llama-8b-h100', blockSize: 16, timeFactor: 4 }, async (sim) => {
    const startMs = performance.now()
    const { text } = await post(sim, CHAT, { messages: [{ role: 'user', content: 'x' }], max_tokens: 60, stream: true })
    const tookMs = performance.now() - startMs
    const pieces = eventsOf(text).map((event) => pick(event, 'choices', 0, 'delta', 'content') ?? '')
    assert.equal(joined(pieces).length, 60 * 4)
    assert.ok(tookMs >= (9 + 60 * 6.7) / 4 - 1, `it took ${tookMs} ms`)
    const page = await get(sim, '/metrics')
    const sum = seriesValue(page, `vllm:e2e_request_latency_seconds_sum{${labels(0)}}`)
    assert.ok(Math.abs(sum - (9 + 60 * 6.71) / 1_000) < 0.001, `${sum} s`)
    assert.equal(seriesValue(page, `vllm:inter_token_latency_seconds_count{${labels(0)}}`), 59)
    assert.match(page, /num_gpu_blocks="263\d\d"/)
  }))

test('events hold several tokens when told to, and usage counts tokens', () =>
  withSim({ ttftMs: 1, tpotMs: 1, streamInterval: 4 }, async (sim) => {
    const options = { include_usage: true, continuous_usage_stats: true }
    const body = { prompt: 'x', max_tokens: 10, stream: true, stream_options: options }
    const { text } = await post(sim, '/v1/completions', body)
    const counts = eventsOf(text).map((event) => pick(event, 'usage', 'completion_tokens'))
    assert.deepEqual(counts, [1, 5, 9, 10, 10, undefined])
    const unary = await post(sim, '/v1/completions', { prompt: 'x', max_tokens: 10 })
    const pieces = eventsOf(text).map((event) => pick(event, 'choices', 0, 'text') ?? '')
    assert.equal(joined(pieces), pick(unary.text, 'choices', 0, 'text'))
  }))

test('a call may name its rank, and pages show every rank', () =>
  withSim({ ttftMs: 1, tpotMs: 20, ranks: 2, kvBlocks: 100 }, async (sim) => {
    const body = { prompt: 'p'.repeat(160), max_tokens: 1 }
    const socket = await openRaw(sim, '/v1/completions', { ...body, max_tokens: 200 }, ['X-data-parallel-rank: 1'])
    await until(() => sim.stats().outputTokens > 0, 'it runs')
    const page = await get(sim, '/metrics')
    const values = (name: string) => [0, 1].map((rank) => seriesValue(page, `vllm:${name}{${labels(rank)}}`))
    assert.deepEqual(values('num_requests_running'), [0, 1])
    assert.deepEqual(values('prefix_cache_queries_total'), [0, 40])
    assert.equal(values('kv_cache_usage_perc')[0], 0)
    assert.ok((values('kv_cache_usage_perc')[1] ?? 0) >= 0.1)
    assert.deepEqual(values('time_to_first_token_seconds_count'), [0, 1])
    assert.match(page, /cache_config_info\{.*engine="1"/)
    const refused = await post(sim, '/v1/completions', body, { 'x-data-parallel-rank': '7' })
    assert.deepEqual(
      [refused.status, refused.text],
      [
        400,
        '{"error":{"message":"data_parallel_rank 7 is out of range [0, 2).","type":"BadRequestError","param":null,"code":400}}',
      ],
    )
    const ignored = await post(sim, '/v1/completions', body, { 'x-data-parallel-rank': 'first' })
    assert.equal(ignored.status, 200)
    socket.destroy()
  }))

test('preemptions are counted', () =>
  withSim({ ttftMs: 1, tpotMs: 1, kvBlocks: 20 }, async (sim) => {
    const ask = (letter: string) => post(sim, '/v1/completions', { prompt: letter.repeat(80), max_tokens: 40 })
    const answers = await Promise.all([ask('a'), ask('b')])
    for (const { text } of answers) assert.equal(pick(text, 'usage', 'completion_tokens'), 40)
    const page = await get(sim, '/metrics')
    assert.ok(seriesValue(page, `vllm:num_preemptions_total{${labels(0)}}`) > 0)
    assert.ok(seriesValue(page, `vllm:request_num_preemptions_sum{${labels(0)}}`) > 0)
  }))

test('a prefill engine makes one token, and holds blocks for a decoding engine only', () =>
  withSim({ ttftMs: 1, tpotMs: 1, role: 'prefill' }, async (sim) => {
    const body = { prompt: 'p'.repeat(64), max_tokens: 40 }
    const { text } = await post(sim, '/v1/completions', body)
    assert.deepEqual(
      [pick(text, 'usage', 'completion_tokens'), pick(text, 'choices', 0, 'finish_reason')],
      [1, 'length'],
    )
    assert.equal(sim.stats().usedBlocks, 0)
    await post(sim, '/v1/completions', { ...body, kv_transfer_params: { do_remote_decode: true } })
    assert.equal(sim.stats().usedBlocks, 16 / 4)
  }))

test('the same seed and calls give the same ids and texts', async () => {
  const answers = async (): Promise<string[]> => {
    const texts: string[] = []
    await withSim({ ttftMs: 0, tpotMs: 0, seed: 5 }, async (sim) => {
      for (let i = 0; i < 3; i++) {
        const { text } = await post(sim, '/v1/completions', { prompt: `number ${i}`, max_tokens: 9 })
        texts.push(text.replace(/"created":\d+/, ''))
      }
    })
    return texts
  }
  assert.deepEqual(await answers(), await answers())
})
