import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SimOptions } from './options.ts'
import { type Sim, startSim } from './server.ts'
import { eventsOf, get, openRaw, pick, post, seriesValue, until } from './test-client.ts'

const options: SimOptions = { models: ['tiny'], ttftMs: 1, tpotMs: 1, kvBlocks: 100, blockSize: 4, maxModelLen: 256 }

/** A prefill and a decode server. */
async function withPair(more: SimOptions, run: (prefill: Sim, decode: Sim) => Promise<void>): Promise<void> {
  const prefill = await startSim({ ...options, ...more, role: 'prefill' })
  const decode = await startSim({ ...options, ...more, role: 'decode' })
  try {
    await run(prefill, decode)
  } finally {
    await Promise.all([prefill.close(), decode.close()])
  }
}

const CHAT = { model: 'tiny', messages: [{ role: 'user', content: 'x'.repeat(64) }], max_tokens: 5 }
const asked = { do_remote_decode: true, do_remote_prefill: false, remote_engine_id: null, remote_block_ids: null }

test('NIXL: the prefill half says where its KV is, the decode half fetches it and it is freed', () =>
  withPair({}, async (prefill, decode) => {
    const first = await post(prefill, '/v1/chat/completions', { ...CHAT, max_tokens: 1, kv_transfer_params: asked })
    const params = pick(first.text, 'kv_transfer_params')
    const promptTokens = Number(pick(first.text, 'usage', 'prompt_tokens'))
    assert.deepEqual(
      [pick(params, 'do_remote_prefill'), pick(params, 'do_remote_decode'), pick(params, 'remote_num_tokens')],
      [true, false, promptTokens],
    )
    assert.deepEqual(
      [pick(params, 'remote_host'), pick(params, 'remote_port'), pick(params, 'transfer_mode')],
      ['127.0.0.1', prefill.port, 'pull'],
    )
    assert.match(String(pick(params, 'remote_engine_id')), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    assert.equal((pick(params, 'remote_block_ids', 0) as number[]).length, Math.ceil(promptTokens / 4))
    assert.ok(prefill.stats().usedBlocks > 0, 'held')

    const second = await post(decode, '/v1/chat/completions', { ...CHAT, stream: true, kv_transfer_params: params })
    assert.equal(eventsOf(second.text).length, 1 + 5 + 1)
    await until(() => prefill.stats().usedBlocks === 0, 'freed')
    const page = await get(decode, '/metrics')
    const labels = 'engine="0",model_name="tiny",source="external_kv_transfer"'
    assert.equal(seriesValue(page, `vllm:prompt_tokens_by_source_total{${labels}}`), promptTokens)
  }))

test('NIXL: KV that is not held fails the request, in a stream after its start', () =>
  withPair({}, async (prefill, decode) => {
    const place = { remote_host: '127.0.0.1', remote_port: prefill.port, remote_request_id: 'nope' }
    const params = { do_remote_prefill: true, do_remote_decode: false, remote_block_ids: [[1]], ...place }
    const whole = await post(decode, '/v1/chat/completions', { ...CHAT, kv_transfer_params: params })
    assert.deepEqual([whole.status, pick(whole.text, 'error', 'type')], [500, 'InternalServerError'])
    const stream = await post(decode, '/v1/chat/completions', { ...CHAT, stream: true, kv_transfer_params: params })
    const events = eventsOf(stream.text)
    assert.deepEqual([stream.status, pick(events[0], 'error', 'code'), events[1]], [200, 500, '[DONE]'])
  }))

test('NIXL: the lease of KV that nobody fetches runs out', () =>
  withPair({ model: { holdMs: 60 } }, async (prefill) => {
    await post(prefill, '/v1/completions', { prompt: 'x'.repeat(64), max_tokens: 1, kv_transfer_params: asked })
    await until(() => prefill.stats().usedBlocks === 0, 'freed by time')
    const plain = await post(prefill, '/v1/completions', { prompt: 'y'.repeat(64), max_tokens: 1 })
    assert.equal(pick(plain.text, 'kv_transfer_params'), null)
    assert.equal(prefill.stats().usedBlocks, 0)
  }))

test('NIXL: a server without a role takes no notice of the parameters', async () => {
  const sim = await startSim(options)
  try {
    const { text } = await post(sim, '/v1/chat/completions', { ...CHAT, kv_transfer_params: asked })
    assert.deepEqual([pick(text, 'kv_transfer_params'), pick(text, 'usage', 'completion_tokens')], [null, 5])
    assert.equal(sim.stats().usedBlocks, 0)
  } finally {
    await sim.close()
  }
})

test('SGLang: both halves meet in a room, whoever comes first', () =>
  withPair({ engine: 'sglang' }, async (prefill, decode) => {
    for (const [room, order] of [
      [7, [prefill, decode]],
      [8, [decode, prefill]],
    ] as const) {
      const bootstrap = { bootstrap_host: '127.0.0.1', bootstrap_port: prefill.port, bootstrap_room: room }
      const answers = await Promise.all(
        order.map((sim) => post(sim, '/v1/chat/completions', { ...CHAT, ...bootstrap })),
      )
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 200],
      )
      const made = answers.map(({ text }) => Number(pick(text, 'usage', 'completion_tokens')))
      assert.deepEqual(made, order[0] === prefill ? [1, 5] : [5, 1])
      await until(() => prefill.stats().usedBlocks === 0, 'freed')
    }
  }))

test('SGLang: a room that is taken again fails who was there, and keeps the newcomer', () =>
  withPair({ engine: 'sglang' }, async (prefill, decode) => {
    const bootstrap = { bootstrap_host: '127.0.0.1', bootstrap_port: prefill.port, bootstrap_room: 7 }
    const earlier = post(prefill, '/v1/chat/completions', { ...CHAT, ...bootstrap })
    await until(() => prefill.stats().finished === 1, 'the first waits in the room')
    const later = post(prefill, '/v1/chat/completions', { ...CHAT, ...bootstrap })
    assert.equal((await earlier).status, 500)
    const decoded = await post(decode, '/v1/chat/completions', { ...CHAT, ...bootstrap })
    assert.deepEqual([decoded.status, (await later).status], [200, 200])
    await until(() => prefill.stats().usedBlocks === 0, 'freed')
  }))

test('SGLang: a half whose client leaves frees its place, and one without a room is refused', () =>
  withPair({ engine: 'sglang' }, async (prefill) => {
    const bootstrap = { bootstrap_host: '127.0.0.1', bootstrap_port: prefill.port, bootstrap_room: 9 }
    const socket = await openRaw(prefill, '/v1/chat/completions', { ...CHAT, ...bootstrap })
    await until(() => prefill.stats().finished === 1 && prefill.stats().usedBlocks > 0, 'held for the other half')
    socket.destroy()
    await until(() => prefill.stats().usedBlocks === 0, 'freed')
    const { status, text } = await post(prefill, '/v1/chat/completions', CHAT)
    assert.deepEqual([status, /bootstrap room/.test(text)], [400, true])
  }))
