import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { type EngineName, engineNames } from '#core/endpoint.ts'
import { engineProfiles } from './engines.ts'
import type { LoadReading } from './load-reading.ts'
import { PageReader, wantedNames } from './page-reader.ts'

const unknown: LoadReading = {
  running: Number.NaN,
  waiting: Number.NaN,
  kvUse: Number.NaN,
  blockSize: Number.NaN,
  blockCount: Number.NaN,
  maxAdapters: Number.NaN,
  adapterCount: Number.NaN,
  adapters: undefined,
}

function fixture(name: string): string {
  return readFileSync(new URL(`./fixtures/${name}.txt`, import.meta.url), 'utf8')
}

function readText(engine: EngineName, text: string, rank?: number): LoadReading {
  const reader = new PageReader(engineProfiles[engine])
  reader.open(Buffer.from(text))
  return reader.read(rank)
}

interface Case {
  readonly name: string
  readonly engine: EngineName
  readonly text: string
  readonly rank?: number
  readonly expected: Partial<LoadReading>
}

const dp2 = { running: 4, waiting: 4, kvUse: 0.00030518509475996325, blockSize: 32 }

const cases: readonly Case[] = [
  {
    name: 'a captured vLLM page',
    engine: 'vllm',
    text: fixture('vllm-0.32.0'),
    expected: {
      running: 0,
      waiting: 0,
      kvUse: 0,
      blockSize: 32,
      blockCount: 32768,
      maxAdapters: 2,
      adapterCount: 0,
      adapters: [],
    },
  },
  {
    name: 'a captured vLLM page with two ranks',
    engine: 'vllm',
    text: fixture('vllm-0.32.0-dp2'),
    expected: { ...dp2, blockCount: 2 * 32768 },
  },
  {
    name: 'rank 1 of two alone',
    engine: 'vllm',
    text: fixture('vllm-0.32.0-dp2'),
    rank: 1,
    expected: { running: 2, waiting: 2, kvUse: 0.00018311105685597795, blockSize: 32, blockCount: 32768 },
  },
  {
    name: 'a rank that the page does not have',
    engine: 'vllm',
    text: fixture('vllm-0.32.0-dp2'),
    rank: 7,
    expected: {},
  },
  {
    name: 'a page without ranks, of an endpoint with one',
    engine: 'vllm',
    text: fixture('vllm-0.8'),
    rank: 0,
    expected: { running: 2, waiting: 7, kvUse: 0.91, blockSize: 16, blockCount: 6700 },
  },
  {
    name: 'the names of vLLM up to 0.8',
    engine: 'vllm',
    text: fixture('vllm-0.8'),
    expected: { running: 2, waiting: 7, kvUse: 0.91, blockSize: 16, blockCount: 6700 },
  },
  {
    name: 'the newer name where a vLLM page has both',
    engine: 'vllm',
    text: 'vllm:gpu_cache_usage_perc 0.9\nvllm:kv_cache_usage_perc 0.5\n',
    expected: { kvUse: 0.5 },
  },
  {
    name: 'the number of blocks of vLLM before profiling as unknown',
    engine: 'vllm',
    text: 'vllm:cache_config_info{block_size="16",num_gpu_blocks="None",kv_cache_size_tokens="None"} 1.0\n',
    expected: { blockSize: 16 },
  },
  {
    name: 'the token capacity of a hybrid model before its number of blocks',
    engine: 'vllm',
    text: 'vllm:cache_config_info{block_size="16",num_gpu_blocks="9000",kv_cache_size_tokens="64000"} 1.0\n',
    expected: { blockSize: 16, blockCount: 4000 },
  },
  {
    name: 'the newest list of adapters, running and waiting together',
    engine: 'vllm',
    text: [
      'vllm:lora_requests_info{max_lora="4",running_lora_adapters="",waiting_lora_adapters=""} 1.78909580e+09',
      'vllm:lora_requests_info{max_lora="4",running_lora_adapters="sql, summ",waiting_lora_adapters="tweet,sql"} 1.78909601e+09',
      'vllm:lora_requests_info{max_lora="4",running_lora_adapters="old",waiting_lora_adapters=""} 1.78909591e+09',
    ].join('\n'),
    expected: { maxAdapters: 4, adapterCount: 3, adapters: ['sql', 'summ', 'tweet'] },
  },
  {
    name: 'SGLang',
    engine: 'sglang',
    text: fixture('sglang'),
    expected: { running: 17, waiting: 2, kvUse: 0.28, blockSize: 16, blockCount: 25134 },
  },
  {
    name: 'SGLang with underscores',
    engine: 'sglang',
    text: fixture('sglang').replaceAll('sglang:', 'sglang_'),
    expected: { running: 17, waiting: 2, kvUse: 0.28, blockSize: 16, blockCount: 25134 },
  },
  {
    name: 'SGLang up to 0.5.10, with block size and number in labels',
    engine: 'sglang',
    text: fixture('sglang').replace(/^sglang:(?:page_size|num_pages).*\n/gm, ''),
    expected: { running: 17, waiting: 2, kvUse: 0.28, blockSize: 16, blockCount: 25134 },
  },
  {
    name: 'SGLang with priorities, repeated gauges and two ranks',
    engine: 'sglang',
    text: fixture('sglang-priority-dp'),
    expected: { running: 13, waiting: 2 },
  },
  {
    name: 'rank 1 of SGLang',
    engine: 'sglang',
    text: fixture('sglang-priority-dp'),
    rank: 1,
    expected: { running: 4, waiting: 0 },
  },
  {
    name: 'the queues of a disaggregated SGLang and its adapter pool',
    engine: 'sglang',
    text: 'sglang:num_queue_reqs 1\nsglang:num_grammar_queue_reqs 2\nsglang:num_decode_transfer_queue_reqs 4\nsglang:lora_pool_slots_used 3\nsglang:lora_pool_slots_total 8\n',
    expected: { waiting: 7, maxAdapters: 8, adapterCount: 3 },
  },
  {
    name: 'TGI, whose KV use is a ratio',
    engine: 'tgi',
    text: fixture('tgi'),
    expected: { running: 11, waiting: 4, kvUse: 38120 / 131072 },
  },
  {
    name: 'TGI before its capacity is known',
    engine: 'tgi',
    text: 'tgi_queue_size 0\ntgi_batch_current_max_tokens 0\ntgi_batch_max_total_tokens 0\n',
    expected: { waiting: 0 },
  },
  {
    name: 'Triton with TensorRT-LLM',
    engine: 'triton',
    text: fixture('triton'),
    expected: { running: 1, waiting: 1, kvUse: 0.4875, blockSize: 64, blockCount: 6239 },
  },
  {
    name: 'Triton with other models',
    engine: 'triton',
    text: 'nv_inference_pending_request_count{model="a",version="1"} 2\nnv_inference_pending_request_count{model="b",version="1"} 3\n',
    expected: { waiting: 5 },
  },
  {
    name: 'trtllm-serve',
    engine: 'trtllm',
    text: fixture('trtllm'),
    expected: { running: 6, waiting: 0, kvUse: 0.17, blockSize: 32, blockCount: 13001 },
  },
  {
    name: 'trtllm-serve without a prefix',
    engine: 'trtllm',
    text: fixture('trtllm').replaceAll('trtllm_', ''),
    expected: { running: 6, waiting: 0, kvUse: 0.17, blockSize: 32, blockCount: 13001 },
  },
  {
    name: 'a captured llama.cpp page',
    engine: 'llamacpp',
    text: fixture('llamacpp'),
    expected: { running: 0, waiting: 0 },
  },
  {
    name: 'an old llama.cpp, which has a KV gauge',
    engine: 'llamacpp',
    text: 'llamacpp:kv_cache_usage_ratio 0.25\nllamacpp:requests_processing 2\nllamacpp:predicted_tokens_seconds nan\n',
    expected: { running: 2, kvUse: 0.25 },
  },
  {
    name: 'values that are no counts as unknown',
    engine: 'vllm',
    text: 'vllm:num_requests_running NaN\nvllm:num_requests_waiting +Inf\nvllm:kv_cache_usage_perc -1\n',
    expected: {},
  },
  {
    name: 'a KV use above one as one',
    engine: 'vllm',
    text: 'vllm:kv_cache_usage_perc 1.0000001\n',
    expected: { kvUse: 1 },
  },
  { name: 'a web page as unknown', engine: 'vllm', text: '<html>vllm:num_requests_running 1</html>', expected: {} },
  { name: 'an engine without metrics', engine: 'ollama', text: fixture('vllm-0.8'), expected: {} },
]

for (const { name, engine, text, rank, expected } of cases) {
  test(`reads ${name}`, () => {
    assert.deepEqual(readText(engine, text, rank), { ...unknown, ...expected })
    assert.deepEqual(readText(engine, text.replaceAll('\n', '\r\n'), rank), { ...unknown, ...expected })
  })
}

test('follows the adapters from page to page, and the settings within sixteen pages', () => {
  const reader = new PageReader(engineProfiles.vllm)
  const page = (blocks: number, adapter: string, atSeconds: number): Buffer =>
    Buffer.from(
      `vllm:cache_config_info{num_gpu_blocks="${blocks}"} 1\nvllm:lora_requests_info{max_lora="2",running_lora_adapters="${adapter}"} ${atSeconds}\n`,
    )
  reader.open(page(100, 'a', 1))
  assert.deepEqual(reader.read(undefined).adapters, ['a'])
  let pages = 0
  do {
    reader.open(page(200, 'b', 2))
    assert.deepEqual(reader.read(undefined).adapters, ['b'])
    pages++
  } while (reader.read(undefined).blockCount !== 200)
  assert.ok(pages <= 16)
  reader.forget()
  reader.open(page(300, 'b', 2))
  assert.equal(reader.read(undefined).blockCount, 300)
})

test('counts the series of each name', () => {
  const reader = new PageReader(engineProfiles.vllm)
  reader.open(Buffer.from(fixture('vllm-0.32.0')))
  const counts = Object.fromEntries(reader.names.map((name, i) => [name, reader.seriesCounts()[i]]))
  assert.deepEqual(counts, {
    process_start_time_seconds: 1,
    'vllm:num_requests_running': 1,
    'vllm:num_requests_waiting': 1,
    'vllm:kv_cache_usage_perc': 1,
    'vllm:gpu_cache_usage_perc': 0,
    'vllm:cache_config_info': 1,
    'vllm:prompt_tokens_total': 1,
    'vllm:lora_requests_info': 5,
  })
})

test('bounds the ranks and names it keeps', () => {
  const ranks = Array.from({ length: 1000 }, (_, i) => `vllm:num_requests_running{engine="${i}"} 1\n`).join('')
  assert.equal(readText('vllm', ranks).running, 256)
  const names = Array.from({ length: 1000 }, (_, i) => `a${i}`).join(',')
  const reading = readText('vllm', `vllm:lora_requests_info{running_lora_adapters="${names}"} 1\n`)
  assert.equal(reading.adapters?.length, 256)
})

test('has a profile of every engine, with valid names', () => {
  for (const engine of engineNames) {
    const names = wantedNames(engineProfiles[engine])
    assert.equal(new Set(names).size, names.length)
    for (const name of names) assert.match(name, /^[a-z][\w:]+$/)
  }
})
