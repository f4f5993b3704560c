import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SimOptions } from './options.ts'
import { startSim } from './server.ts'
import { get, post } from './test-client.ts'

/** Per engine: where its page is, and the series that says what part of all KV blocks is used. */
const PAGES = [
  ['vllm', '/metrics', /^vllm:kv_cache_usage_perc\{.*engine="[01]".*\} (\S+)$/gm, {}],
  ['vllm', '/metrics', /^vllm:gpu_cache_usage_perc\{.*\} (\S+)$/gm, { vllmMetrics: 'old' }],
  ['sglang', '/metrics', /^sglang:token_usage\{dp_rank="[01]".*\} (\S+)$/gm, {}],
  ['triton', '/metrics', /^nv_trt_llm_kv_cache_block_metrics\{kv_cache_block_type="fraction".*\} (\S+)$/gm, {}],
  ['trtllm', '/prometheus/metrics', /^trtllm_kv_cache_utilization\{.*\} (\S+)$/gm, {}],
] as const satisfies readonly (readonly [string, string, RegExp, SimOptions])[]

for (const [engine, path, series, more] of PAGES) {
  test(`two full ranks of ${engine} are full, not twice full${'vllmMetrics' in more ? ' with old metric names' : ''}`, async () => {
    const size = { ranks: 2, kvBlocks: 4, blockSize: 16, maxModelLen: 64, maxNumSeqs: 1 }
    const sim = await startSim({ engine, models: ['ensemble'], ttftMs: 1, tpotMs: 60_000, ...size, ...more })
    try {
      // One request of 48 tokens for each rank, which the first step goes on reading: three of four blocks.
      const body = { model: 'ensemble', prompt: 'x'.repeat(4 * 48), max_tokens: 2, stream: true }
      for (let i = 0; i < 2; i++) void post(sim, '/v1/completions', body).catch(() => undefined)
      while (sim.stats().running < 2) await new Promise((resolve) => setImmediate(resolve))
      const found = [...(await get(sim, path)).matchAll(series)].map(([, value]) => Number(value))
      assert.deepEqual(new Set(found), new Set([0.75]))
    } finally {
      await sim.close()
    }
  })
}

test('SGLang tells the load of every rank, and takes the rank from the header', async () => {
  const sim = await startSim({ engine: 'sglang', models: ['m'], ranks: 2, ttftMs: 60_000, maxModelLen: 64 })
  try {
    const headers = { 'x-data-parallel-rank': '1' }
    void post(sim, '/v1/completions', { model: 'm', prompt: 'x' }, headers).catch(() => undefined)
    while (sim.stats().running < 1) await new Promise((resolve) => setImmediate(resolve))
    const { loads } = JSON.parse(await get(sim, '/v1/loads')) as { loads: Record<string, number>[] }
    assert.deepEqual(
      loads.map(({ dp_rank: rank, num_running_reqs: running }) => [rank, running]),
      [
        [0, 0],
        [1, 1],
      ],
    )
    const refused = await post(sim, '/v1/completions', { model: 'm', prompt: 'x' }, { 'x-data-parallel-rank': '2' })
    assert.equal(refused.status, 400)
  } finally {
    await sim.close()
  }
})
