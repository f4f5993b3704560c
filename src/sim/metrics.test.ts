import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SimOptions } from './options.ts'
import { startSim } from './server.ts'
import { get, openRaw, post, seriesValue, until } from './test-client.ts'

/** The families of a page captured from vLLM 0.32, without `_created`, `python_*` and `process_*`. */
const VLLM_FAMILIES = {
  counter:
    'vllm:estimated_flops_per_gpu_total vllm:estimated_read_bytes_per_gpu_total vllm:estimated_write_bytes_per_gpu_total vllm:prefix_cache_queries_total vllm:prefix_cache_hits_total vllm:external_prefix_cache_queries_total vllm:external_prefix_cache_hits_total vllm:mm_cache_queries_total vllm:mm_cache_hits_total vllm:num_preemptions_total vllm:prompt_tokens_total vllm:prompt_tokens_by_source_total vllm:prompt_tokens_cached_total vllm:prompt_tokens_cached_by_source_total vllm:generation_tokens_total vllm:request_success_total vllm:admission_rejections_total http_requests_total',
  gauge:
    'vllm:num_requests_running vllm:num_requests_waiting vllm:num_requests_waiting_by_reason vllm:engine_sleep_state vllm:kv_cache_usage_perc vllm:lora_requests_info vllm:cache_config_info',
  histogram:
    'vllm:request_prompt_tokens vllm:request_generation_tokens vllm:iteration_tokens_total vllm:request_max_num_generation_tokens vllm:request_params_n vllm:request_params_max_tokens vllm:time_to_first_token_seconds vllm:inter_token_latency_seconds vllm:request_time_per_output_token_seconds vllm:e2e_request_latency_seconds vllm:request_queue_time_seconds vllm:request_inference_time_seconds vllm:request_prefill_time_seconds vllm:request_decode_time_seconds vllm:request_num_preemptions vllm:request_prefill_kv_computed_tokens http_request_duration_highr_seconds http_request_duration_seconds',
  summary: 'http_request_size_bytes http_response_size_bytes',
}

/** Comments, or a name, labels and a number. */
const LINE = /^(# (HELP|TYPE) \S+ .*|[a-z_][a-z0-9_:]*(\{([a-z_]+="([^"\\]|\\.)*",?)+\})? (\+Inf|NaN|-?[0-9.e+-]+))$/

async function withSim(options: SimOptions, run: (sim: Awaited<ReturnType<typeof startSim>>) => Promise<void>) {
  const sim = await startSim({ models: ['tiny'], ttftMs: 5, tpotMs: 1, blockSize: 4, ...options })
  try {
    await run(sim)
  } finally {
    await sim.close()
  }
}

test('the vLLM page has the families of a real one, with their types, and only well-formed lines', () =>
  withSim({}, async (sim) => {
    await post(sim, '/v1/completions', { model: 'tiny', prompt: 'x', max_tokens: 3 })
    const page = await get(sim, '/metrics')
    for (const line of page.trimEnd().split('\n')) assert.match(line, LINE)
    const types = new Map([...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map((match) => [match[1], match[2]]))
    for (const [type, names] of Object.entries(VLLM_FAMILIES)) {
      for (const name of names.split(' ')) assert.equal(types.get(name), type, name)
    }
    const extra = [...types.keys()].filter((name) => {
      const known = Object.values(VLLM_FAMILIES).flatMap((names) => names.split(' '))
      return name !== undefined && !known.includes(name) && !name.endsWith('_created')
    })
    assert.deepEqual(extra, [])
  }))

test('the vLLM page shows what runs, waits and is used, live', () =>
  withSim({ maxNumSeqs: 1, ttftMs: 5_000, kvBlocks: 100, maxLoras: 1 }, async (sim) => {
    const sockets = [1, 2, 3].map(() => openRaw(sim, '/v1/completions', { prompt: 'x'.repeat(160), max_tokens: 4 }))
    await Promise.all(sockets)
    await until(() => sim.stats().waiting === 2, 'two wait')
    const page = await get(sim, '/metrics')
    const labels = 'engine="0",model_name="tiny"'
    assert.equal(seriesValue(page, `vllm:num_requests_running{${labels}}`), 1)
    assert.equal(seriesValue(page, `vllm:num_requests_waiting{${labels}}`), 2)
    assert.equal(seriesValue(page, `vllm:num_requests_waiting_by_reason{${labels},reason="capacity"}`), 2)
    assert.equal(seriesValue(page, `vllm:kv_cache_usage_perc{${labels}}`), 0.1)
    assert.match(page, /cache_config_info\{.*block_size="4".*num_gpu_blocks="100"/)
    assert.equal(await get(sim, '/load'), '{"server_load":3}')
    for (const socket of await Promise.all(sockets)) socket.destroy()
  }))

test('the vLLM page counts tokens, hits, ends and times', () =>
  withSim({}, async (sim) => {
    const body = { model: 'tiny', prompt: 'p'.repeat(64), max_tokens: 3 }
    await post(sim, '/v1/completions', body)
    await post(sim, '/v1/completions', body)
    await post(sim, '/v1/chat/completions', { model: 'tiny', messages: [{ role: 'user', content: 'x' }] })
    await post(sim, '/v1/chat/completions', { model: 'nope', messages: [] })
    const page = await get(sim, '/metrics')
    const labels = 'engine="0",model_name="tiny"'
    const prompt = seriesValue(page, `vllm:prompt_tokens_total{${labels}}`)
    assert.equal(seriesValue(page, `vllm:prefix_cache_queries_total{${labels}}`), prompt)
    assert.equal(seriesValue(page, `vllm:prefix_cache_hits_total{${labels}}`), 12)
    assert.equal(seriesValue(page, `vllm:prompt_tokens_by_source_total{${labels},source="local_compute"}`), prompt - 12)
    assert.equal(seriesValue(page, `vllm:generation_tokens_total{${labels}}`), 3 + 3 + 16)
    assert.equal(
      seriesValue(page, 'vllm:request_success_total{engine="0",finished_reason="length",model_name="tiny"}'),
      2,
    )
    assert.equal(
      seriesValue(page, 'vllm:request_success_total{engine="0",finished_reason="stop",model_name="tiny"}'),
      1,
    )
    assert.equal(seriesValue(page, `vllm:time_to_first_token_seconds_count{${labels}}`), 3)
    assert.equal(
      seriesValue(page, 'vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="tiny"}'),
      0,
    )
    assert.equal(
      seriesValue(page, 'vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="tiny"}'),
      3,
    )
    const chat = 'handler="/v1/chat/completions",method="POST"'
    assert.equal(seriesValue(page, `http_requests_total{${chat},status="4xx"}`), 1)
    assert.equal(seriesValue(page, `http_requests_total{${chat},status="2xx"}`), 1)
  }))

test('the adapter series of vLLM name all adapters in use in both lists and keep old combinations', () =>
  withSim({ adapters: ['sql', 'chat'], ttftMs: 10, tpotMs: 20, maxLoras: 1 }, async (sim) => {
    await post(sim, '/v1/completions', { prompt: 'x', max_tokens: 1 })
    const sql = post(sim, '/v1/completions', { model: 'sql', prompt: 'x', max_tokens: 30 })
    await until(() => sim.stats().running === 1, 'sql runs')
    const chat = await openRaw(sim, '/v1/completions', { model: 'chat', prompt: 'x', max_tokens: 1 })
    await until(() => sim.stats().waiting === 1 && sim.stats().outputTokens > 2, 'one is held back')
    const during = await get(sim, '/metrics')
    const reason = 'engine="0",model_name="tiny",reason="deferred"'
    assert.equal(seriesValue(during, `vllm:num_requests_waiting_by_reason{${reason}}`), 1)
    const series = (names: string) =>
      `vllm:lora_requests_info{max_lora="1",running_lora_adapters="${names}",waiting_lora_adapters="${names}"}`
    assert.ok(seriesValue(during, series('sql')) > seriesValue(during, series('')))
    assert.ok(Number.isNaN(seriesValue(during, series('chat'))))
    await sql
    await until(() => sim.stats().finished === 3, 'all are done')
    const afterwards = await get(sim, '/metrics')
    assert.ok(seriesValue(afterwards, series('')) > seriesValue(afterwards, series('sql')))
    chat.destroy()
  }))

test('a full queue is refused in the words of vLLM and counted', () =>
  withSim({ maxNumSeqs: 1, maxQueuedReqs: 2, ttftMs: 5_000 }, async (sim) => {
    const sockets = [1, 2].map(() => openRaw(sim, '/v1/completions', { prompt: 'x' }))
    await Promise.all(sockets)
    await until(() => sim.stats().waiting === 1, 'one waits')
    const { status, text, headers } = await post(sim, '/v1/completions', { prompt: 'x' })
    assert.equal(status, 503)
    assert.equal(headers.get('retry-after'), null)
    assert.match(text, /"The engine is currently busy .*"type":"Service Unavailable","param":null,"code":503/)
    const page = await get(sim, '/metrics')
    assert.equal(
      seriesValue(page, 'vllm:admission_rejections_total{model_name="tiny",reason="max_num_queued_reqs"}'),
      1,
    )
    for (const socket of await Promise.all(sockets)) socket.destroy()
  }))

test('the SGLang page has its own names, live', () =>
  withSim({ engine: 'sglang', maxNumSeqs: 1, kvBlocks: 100 }, async (sim) => {
    const prompt = 'x'.repeat(160)
    await post(sim, '/generate', { text: prompt, sampling_params: { max_new_tokens: 2 } })
    await post(sim, '/generate', { text: prompt, sampling_params: { max_new_tokens: 2 } })
    const page = await get(sim, '/metrics')
    for (const line of page.trimEnd().split('\n')) assert.match(line, LINE)
    const rank = 'engine_type="unified",model_name="tiny",moe_ep_rank="0",pp_rank="0",tp_rank="0"'
    assert.equal(seriesValue(page, `sglang:num_running_reqs{${rank}}`), 0)
    assert.equal(seriesValue(page, `sglang:num_queue_reqs{${rank}}`), 0)
    assert.equal(seriesValue(page, `sglang:token_usage{${rank}}`), 0)
    assert.equal(seriesValue(page, `sglang:max_total_num_tokens{${rank}}`), 400)
    assert.equal(seriesValue(page, `sglang:cache_hit_rate{${rank}}`), 36 / 80)
    assert.equal(seriesValue(page, 'sglang:prompt_tokens_total{model_name="tiny"}'), 80)
    assert.equal(seriesValue(page, 'sglang:cached_tokens_total{cache_source="device",model_name="tiny"}'), 36)
    assert.equal(seriesValue(page, 'sglang:time_to_first_token_seconds_count{model_name="tiny"}'), 2)
  }))

test('the TGI page has its own names and whole numbers, live', () =>
  withSim({ engine: 'tgi', maxNumSeqs: 1, ttftMs: 5_000, kvBlocks: 100 }, async (sim) => {
    const sockets = [1, 2].map(() => openRaw(sim, '/generate', { inputs: 'x'.repeat(16) }))
    await Promise.all(sockets)
    await until(() => sim.stats().waiting === 1, 'one waits')
    const page = await get(sim, '/metrics')
    for (const line of page.trimEnd().split('\n')) assert.match(line, LINE)
    assert.match(page, /^tgi_queue_size 1$/m)
    assert.match(page, /^tgi_batch_current_size 1$/m)
    assert.match(page, /^tgi_batch_current_max_tokens 4$/m)
    assert.match(page, /^tgi_batch_max_total_tokens 400$/m)
    assert.match(page, /^tgi_request_count 2$/m)
    assert.match(page, /^tgi_request_queue_duration_bucket\{le="0.00015"\} 0$/m)
    for (const socket of await Promise.all(sockets)) socket.destroy()
  }))
