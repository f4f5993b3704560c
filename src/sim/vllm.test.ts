import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Sim, startSim } from './server.ts'
import { eventsOf, get, joined, pick, post } from './test-client.ts'

const CHAT = { model: 'tiny', messages: [{ role: 'user', content: 'Say something about gateways.' }], max_tokens: 4 }

let sim: Sim

before(async () => {
  sim = await startSim({
    models: ['tiny', 'alias'],
    adapters: ['sql'],
    ttftMs: 2,
    tpotMs: 1,
    maxModelLen: 512,
    blockSize: 4,
    echoRequestId: true,
  })
})

after(() => sim.close())

test('a chat answer has the fields of vLLM in its order', async () => {
  const { status, text, headers } = await post(sim, '/v1/chat/completions', CHAT, { 'x-request-id': 'probe-1' })
  assert.equal(status, 200)
  assert.equal(headers.get('content-type'), 'application/json')
  assert.equal(headers.get('x-request-id'), 'probe-1')
  const content = pick(text, 'choices', 0, 'message', 'content')
  assert.equal(typeof content, 'string')
  assert.equal(
    text.replace(/"created":\d+/, '"created":0').replace(JSON.stringify(content), '"…"'),
    '{"id":"chatcmpl-probe-1","object":"chat.completion","created":0,"model":"tiny","choices":[{"index":0,"message":{"role":"assistant","content":"…","refusal":null,"annotations":null,"audio":null,"function_call":null,"reasoning":null},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null,"routed_experts":null}],"service_tier":null,"system_fingerprint":"vllm-0.32.0-17878b6d","usage":{"prompt_tokens":15,"total_tokens":19,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":0,"created_cache_tokens":12,"multimodal_tokens":null},"completion_tokens_details":null},"prompt_logprobs":null,"prompt_token_ids":null,"prompt_text":null,"kv_transfer_params":null,"ec_transfer_params":null,"metrics":null}',
  )
})

test('a chat stream has the events of vLLM, with usage only when asked for', async () => {
  const body = { ...CHAT, max_tokens: 2, stream: true }
  const { text, headers } = await post(sim, '/v1/chat/completions', body, { 'x-request-id': 's' })
  assert.equal(headers.get('content-type'), 'text/event-stream; charset=utf-8')
  assert.equal(headers.get('cache-control'), null)
  const words = eventsOf(text).map((event) => pick(event, 'choices', 0, 'delta', 'content'))
  const lines = text.replace(/"created":\d+/g, '"created":0').split('\n\n')
  const head = '"id":"chatcmpl-s","object":"chat.completion.chunk","created":0,"model":"tiny","choices"'
  assert.deepEqual(lines, [
    `data: {${head}:[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],"prompt_token_ids":null,"prompt_text":null}`,
    `data: {${head}:[{"index":0,"delta":{"content":"${String(words[1])}"},"logprobs":null,"finish_reason":null,"token_ids":null}]}`,
    `data: {${head}:[{"index":0,"delta":{"content":"${String(words[2])}"},"logprobs":null,"finish_reason":"length","stop_reason":null,"token_ids":null}],"system_fingerprint":"vllm-0.32.0-17878b6d"}`,
    'data: [DONE]',
    '',
  ])
  const asked = await post(sim, '/v1/chat/completions', { ...body, stream_options: { include_usage: true } })
  const [last, done] = eventsOf(asked.text).slice(-2)
  assert.deepEqual(pick(last, 'choices'), [])
  assert.equal(pick(last, 'usage', 'completion_tokens'), 2)
  assert.equal(done, '[DONE]')
})

test('continuous usage is on every chunk', async () => {
  const options = { include_usage: true, continuous_usage_stats: true }
  const { text } = await post(sim, '/v1/chat/completions', { ...CHAT, stream: true, stream_options: options })
  const made = eventsOf(text).map((event) => pick(event, 'usage', 'completion_tokens'))
  assert.deepEqual(made, [0, 1, 2, 3, 4, 4, undefined])
})

test('streamed and unary answers hold the same text', async () => {
  const unary = await post(sim, '/v1/completions', { model: 'tiny', prompt: 'same', max_tokens: 9 })
  const stream = await post(sim, '/v1/completions', { model: 'tiny', prompt: 'same', max_tokens: 9, stream: true })
  const pieces = eventsOf(stream.text).map((event) => pick(event, 'choices', 0, 'text') ?? '')
  assert.equal(joined(pieces), pick(unary.text, 'choices', 0, 'text'))
})

test('several prompts and answers give as many choices, streamed too', async () => {
  const body = { model: 'tiny', prompt: ['one', 'two'], n: 2, max_tokens: 3 }
  const { text } = await post(sim, '/v1/completions', body)
  assert.deepEqual(
    [0, 1, 2, 3].map((i) => pick(text, 'choices', i, 'index')),
    [0, 1, 2, 3],
  )
  assert.equal(pick(text, 'usage', 'prompt_tokens'), 2)
  assert.equal(pick(text, 'usage', 'completion_tokens'), 12)
  const stream = await post(sim, '/v1/completions', { ...body, stream: true })
  const indexes = eventsOf(stream.text).map((event) => pick(event, 'choices', 0, 'index'))
  assert.equal(indexes.filter((index) => index === 3).length, 3)
})

test('a second equal prompt is cached up to the block of its last token', async () => {
  const body = { model: 'tiny', prompt: 'cache me '.repeat(8), max_tokens: 1 }
  const cached = async (more: object) =>
    pick(
      (await post(sim, '/v1/completions', { ...body, ...more })).text,
      'usage',
      'prompt_tokens_details',
      'cached_tokens',
    )
  assert.equal(await cached({}), 0)
  assert.equal(await cached({}), 16)
  assert.equal(await cached({ cache_salt: 'b' }), 0)
  assert.equal(await cached({ model: 'sql' }), 0)
})

test('a tool is called when the request has one, whole and streamed', async () => {
  const tools = ['first', 'second'].map((name) => ({
    type: 'function',
    function: { name, parameters: { type: 'object', properties: { city: { type: 'string' } } } },
  }))
  const body = { model: 'tiny', messages: CHAT.messages, tools }
  const { text } = await post(sim, '/v1/chat/completions', { ...body, tool_choice: 'auto' })
  assert.equal(pick(text, 'choices', 0, 'finish_reason'), 'tool_calls')
  assert.equal(pick(text, 'choices', 0, 'message', 'content'), null)
  assert.deepEqual(pick(text, 'choices', 0, 'message', 'tool_calls', 0, 'function'), {
    name: 'first',
    arguments: '{"city":"city"}',
  })
  const named = { type: 'function', function: { name: 'second' } }
  const stream = await post(sim, '/v1/chat/completions', { ...body, tool_choice: named, stream: true })
  const calls = eventsOf(stream.text).map((event) => pick(event, 'choices', 0, 'delta', 'tool_calls', 0, 'function'))
  assert.equal(joined(calls.map((call) => pick(call, 'name'))), 'second')
  assert.equal(joined(calls.map((call) => pick(call, 'arguments'))), '{"city":"city"}')
  const none = await post(sim, '/v1/chat/completions', { ...body, tool_choice: 'none' })
  assert.equal(pick(none.text, 'choices', 0, 'finish_reason'), 'stop')
})

test('Anthropic messages come in the events of vLLM', async () => {
  const body = { model: 'tiny', max_tokens: 2, messages: [{ role: 'user', content: 'hello' }] }
  const unary = await post(sim, '/v1/messages', body)
  assert.equal(pick(unary.text, 'stop_reason'), 'max_tokens')
  assert.equal(pick(unary.text, 'content', 0, 'type'), 'text')
  const { text } = await post(sim, '/v1/messages', { ...body, stream: true })
  const names = [...text.matchAll(/^event: (.*)$/gm)].map((match) => match[1])
  assert.deepEqual(names, [
    'message_start',
    'content_block_start',
    'content_block_delta',
    'content_block_delta',
    'content_block_stop',
    'message_delta',
    'message_stop',
  ])
  assert.match(text, /"usage":\{"input_tokens":\d+,"output_tokens":2,"cache_creation_input_tokens":0/)
  const count = await post(sim, '/v1/messages/count_tokens', body)
  assert.equal(pick(count.text, 'input_tokens'), pick(eventsOf(text)[0], 'message', 'usage', 'input_tokens'))
  const tool = { name: 'look', input_schema: { type: 'object', properties: { at: { type: 'string' } } } }
  const used = await post(sim, '/v1/messages', { ...body, max_tokens: 50, tools: [tool] })
  assert.equal(pick(used.text, 'stop_reason'), 'tool_use')
  assert.deepEqual(pick(used.text, 'content', 0, 'input'), { at: 'at' })
})

test('responses come in numbered events and end as incomplete when cut', async () => {
  const body = { model: 'tiny', input: 'hello', max_output_tokens: 2 }
  const unary = await post(sim, '/v1/responses', body)
  assert.equal(pick(unary.text, 'status'), 'incomplete')
  assert.equal(pick(unary.text, 'usage', 'output_tokens'), 2)
  const { text } = await post(sim, '/v1/responses', { ...body, stream: true })
  const events = eventsOf(text)
  assert.deepEqual(
    events.map((event) => pick(event, 'type')),
    [
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ],
  )
  assert.deepEqual(
    events.map((event) => pick(event, 'sequence_number')),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  )
  assert.equal(pick(events.at(-1), 'response', 'incomplete_details', 'reason'), 'max_output_tokens')
})

test('each API without output answers in its shape', async () => {
  const cases = [
    { path: '/v1/embeddings', body: { input: ['a', 'b'] }, at: ['data', 1, 'object'], is: 'embedding' },
    { path: '/pooling', body: { input: 'a' }, at: ['data', 0, 'object'], is: 'pooling' },
    { path: '/classify', body: { input: 'a' }, at: ['data', 0, 'num_classes'], is: 2 },
    { path: '/score', body: { text_1: 'a', text_2: ['a', 'b'] }, at: ['data', 0, 'score'], is: 1 },
    { path: '/v1/score', body: { text_1: 'a', text_2: 'b' }, at: ['object'], is: 'list' },
    { path: '/rerank', body: { query: 'b', documents: ['a', 'b'] }, at: ['results', 0, 'index'], is: 1 },
    { path: '/v1/rerank', body: { query: 'b', documents: ['a', 'b'], top_n: 1 }, at: ['results', 'length'], is: 1 },
    { path: '/tokenize', body: { prompt: '12345' }, at: ['count'], is: 2 },
    { path: '/v1/images/generations', body: { prompt: 'a', n: 2 }, at: ['data', 'length'], is: 2 },
  ]
  for (const { path, body, at, is } of cases) {
    const { status, text } = await post(sim, path, { model: 'tiny', ...body })
    assert.equal(status, 200, `${path} ${text}`)
    const found = pick(text, ...at)
    if (typeof is === 'number' && typeof found === 'number') assert.ok(Math.abs(found - is) < 1e-9, `${path} ${found}`)
    else assert.equal(found, is, path)
  }
})

test('embeddings are the same as numbers and as base64', async () => {
  const floats = await post(sim, '/v1/embeddings', { model: 'tiny', input: 'a', dimensions: 4 })
  const coded = await post(sim, '/v1/embeddings', {
    model: 'tiny',
    input: 'a',
    dimensions: 4,
    encoding_format: 'base64',
  })
  const bytes = Buffer.from(String(pick(coded.text, 'data', 0, 'embedding')), 'base64')
  const numbers = pick(floats.text, 'data', 0, 'embedding')
  assert.ok(Array.isArray(numbers))
  assert.deepEqual(
    [0, 1, 2, 3].map((i) => bytes.readFloatLE(i * 4)),
    numbers.map((value) => Math.fround(Number(value))),
  )
})

test('tokens go back to text', async () => {
  const { text } = await post(sim, '/tokenize', { model: 'tiny', prompt: 'there and back' })
  const back = await post(sim, '/detokenize', { model: 'tiny', tokens: pick(text, 'tokens') })
  assert.equal(pick(back.text, 'prompt'), 'there and back')
})

test('forms are taken for audio and image edits, speech is a WAV', async () => {
  const send = async (path: string, field: string, more: Record<string, string> = {}) => {
    const form = new FormData()
    form.set('model', 'tiny')
    form.set(field, new Blob([Buffer.alloc(1_000, 1)]), 'file.bin')
    for (const [name, value] of Object.entries(more)) form.set(name, value)
    const response = await fetch(sim.url + path, { method: 'POST', body: form })
    return { status: response.status, text: await response.text() }
  }
  const heard = await send('/v1/audio/transcriptions', 'file')
  assert.equal(typeof pick(heard.text, 'text'), 'string')
  const streamed = await send('/v1/audio/translations', 'file', { stream: 'true' })
  assert.equal(pick(eventsOf(streamed.text)[0], 'object'), 'transcription.chunk')
  const edited = await send('/v1/images/edits', 'image', { prompt: 'a hat' })
  assert.equal(typeof pick(edited.text, 'data', 0, 'b64_json'), 'string')
  const unknown = await send('/v1/audio/transcriptions', 'file', { model: 'nope' })
  assert.equal(unknown.status, 404)
  const missing = await send('/v1/audio/transcriptions', 'other')
  assert.equal(pick(missing.text, 'error', 'param'), 'body.file')
  const speech = await fetch(`${sim.url}/v1/audio/speech`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'tiny', input: 'hello', voice: 'any' }),
  })
  const wav = Buffer.from(await speech.arrayBuffer())
  assert.equal(wav.toString('latin1', 0, 4), 'RIFF')
  assert.equal(wav.length, wav.readUInt32LE(4) + 8)
})

test('errors are those of vLLM, byte for byte', async () => {
  const chat = '/v1/chat/completions'
  const long = { ...CHAT, messages: [{ role: 'user', content: 'word '.repeat(1_000) }] }
  const cases = [
    [
      404,
      chat,
      { ...CHAT, model: 'nope' },
      '{"error":{"message":"The model `nope` does not exist. Valid aliases: tiny, alias.","type":"NotFoundError","param":"model","code":404}}',
    ],
    [
      404,
      '/v1/messages',
      { ...CHAT, model: 'nope' },
      '{"type":"error","error":{"type":"NotFoundError","message":"The model `nope` does not exist. Valid aliases: tiny, alias."}}',
    ],
    [
      400,
      chat,
      '{not json',
      "{\"error\":{\"message\":\"1 validation error:\\n  {'type': 'json_invalid', 'loc': 'body.1', 'msg': 'JSON decode error', 'input': '<dict of 0 items>', 'ctx': {'error': 'Expecting property name enclosed in double quotes'}}\",\"type\":\"Bad Request\",\"param\":\"body.1\",\"code\":400}}",
    ],
    [
      400,
      chat,
      { ...CHAT, temperature: 'hot' },
      '{"error":{"message":"1 validation error:\\n  {\'type\': \'float_parsing\', \'loc\': \'body.temperature\', \'msg\': \'Input should be a valid number, unable to parse string as a number\', \'input\': \'hot\'}","type":"Bad Request","param":"body.temperature","code":400}}',
    ],
    [
      400,
      chat,
      { model: 'tiny' },
      '{"error":{"message":"1 validation error:\\n  {\'type\': \'missing\', \'loc\': \'body.messages\', \'msg\': \'Field required\', \'input\': \'<dict of 1 items>\'}","type":"Bad Request","param":"body.messages","code":400}}',
    ],
    [
      400,
      chat,
      { ...long, stream: true },
      '{"error":{"message":"This model\'s maximum context length is 512 tokens. However, your prompt contains at least 513 input tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input prompt. (parameter=input_tokens, value=513)","type":"BadRequestError","param":"input_tokens","code":400}}',
    ],
    [
      400,
      chat,
      { ...CHAT, max_tokens: 100_000 },
      '{"error":{"message":"max_tokens=100000 cannot be greater than max_model_len=512. Please request fewer output tokens. (parameter=max_tokens, value=100000)","type":"BadRequestError","param":"max_tokens","code":400}}',
    ],
    [
      400,
      chat,
      { ...CHAT, max_tokens: -1 },
      '{"error":{"message":"max_tokens must be at least 1, got -1. (parameter=max_tokens, value=-1)","type":"BadRequestError","param":"max_tokens","code":400}}',
    ],
    [404, '/v1/nothing', {}, '{"detail":"Not Found"}'],
  ] as const
  for (const [status, path, body, expected] of cases) {
    const answer = await post(sim, path, body)
    assert.deepEqual([answer.status, answer.text], [status, expected])
  }
  assert.equal(await get(sim, chat), '{"detail":"Method Not Allowed"}')
  const form = await post(sim, chat, 'a=b', { 'content-type': 'application/x-www-form-urlencoded' })
  assert.equal(
    form.text,
    '{"error":{"message":"1 validation error:\\n  Unsupported Media Type: Only \'application/json\' is allowed","type":"Bad Request","param":null,"code":400}}',
  )
})

test('an answer ends where the context ends', async () => {
  const prompt = 'x'.repeat(4 * 500)
  const chat = { model: 'tiny', messages: [{ role: 'user', content: prompt }] }
  const { text } = await post(sim, '/v1/chat/completions', chat)
  assert.equal(pick(text, 'usage', 'total_tokens'), 512)
  assert.equal(pick(text, 'choices', 0, 'finish_reason'), 'length')
  const { status } = await post(sim, '/v1/completions', { model: 'tiny', prompt, max_tokens: 13 })
  assert.equal(status, 400)
})

test('the load comes in a header of unary answers when asked for', async () => {
  const ask = async (format: string, more: object = {}) =>
    (
      await post(sim, '/v1/chat/completions', { ...CHAT, ...more }, { 'endpoint-load-metrics-format': format })
    ).headers.get('endpoint-load-metrics')
  assert.equal(await ask('JSON'), 'JSON {"named_metrics": {"num_requests_waiting": 0.0, "kv_cache_usage_perc": 0.0}}')
  assert.equal(await ask('TEXT'), 'TEXT named_metrics.num_requests_waiting=0.0, named_metrics.kv_cache_usage_perc=0.0')
  assert.equal(await ask('TEXT', { stream: true }), null)
  assert.equal(await ask(''), null)
})

test('adapters are loaded and unloaded in the words of vLLM', async () => {
  const load = (body: object) => post(sim, '/v1/load_lora_adapter', body)
  const unload = (name: string) => post(sim, '/v1/unload_lora_adapter', { lora_name: name })
  const adapter = { lora_name: 'new', lora_path: '/models/new' }
  assert.equal((await load(adapter)).text, "Success: LoRA adapter 'new' added successfully.")
  assert.equal(
    (await load(adapter)).text,
    '{"error":{"message":"The lora adapter \'new\' has already been loaded. If you want to load the adapter in place, set \'load_inplace\' to True.","type":"InvalidUserInput","param":null,"code":400}}',
  )
  assert.equal((await load({ ...adapter, load_inplace: true })).status, 200)
  assert.equal(
    (await load({ lora_name: 'none', lora_path: '/x/missing' })).text,
    '{"error":{"message":"Loading lora none failed: No adapter found for /x/missing","type":"NotFoundError","param":null,"code":404}}',
  )
  assert.equal(pick((await load({ lora_name: 'none' })).text, 'error', 'param'), 'body.lora_path')
  assert.equal((await post(sim, '/v1/chat/completions', { ...CHAT, model: 'new' })).status, 200)
  const card = pick(await get(sim, '/v1/models'), 'data', -1 + sim.models.length + sim.adapters().length)
  assert.deepEqual(
    [pick(card, 'id'), pick(card, 'parent'), pick(card, 'root'), pick(card, 'max_model_len')],
    ['new', 'tiny', '/models/new', null],
  )
  assert.equal((await unload('new')).text, "Success: LoRA adapter 'new' removed successfully.")
  assert.equal(
    (await unload('new')).text,
    '{"error":{"message":"The lora adapter \'new\' cannot be found.","type":"NotFoundError","param":null,"code":404}}',
  )
  assert.equal((await post(sim, '/v1/chat/completions', { ...CHAT, model: 'new' })).status, 404)
  assert.deepEqual(sim.adapters(), ['sql'])
})

test('models, health, version and load are answered', async () => {
  const models = await get(sim, '/v1/models')
  assert.deepEqual(
    [0, 1, 2].map((i) => pick(models, 'data', i, 'id')),
    ['tiny', 'alias', 'sql'],
  )
  assert.equal(pick(models, 'data', 0, 'max_model_len'), 512)
  assert.equal(await get(sim, '/health'), '')
  assert.equal(await get(sim, '/ping'), '')
  assert.equal(await get(sim, '/version'), '{"version":"0.32.0"}')
  assert.equal(await get(sim, '/load'), '{"server_load":0}')
})

test('an echo tells what arrived, byte for byte', async () => {
  const body = '{ "model":"tiny", "messages":[{"role":"user","content":"h\\u00e9"}], "odd" : 12345678901234567890 }'
  const { text } = await post(sim, '/v1/chat/completions?a=b%20c', body, { 'x-sim-echo': '1', 'X-Custom': 'Yes' })
  const echo = String(pick(text, 'choices', 0, 'message', 'content'))
  assert.equal(pick(echo, 'method'), 'POST')
  assert.equal(pick(echo, 'target'), '/v1/chat/completions?a=b%20c')
  assert.equal(pick(echo, 'headers', 'x-custom'), 'Yes')
  assert.equal(Buffer.from(String(pick(echo, 'bodyBase64')), 'base64').toString(), body)
  const marked = { model: 'tiny', prompt: 'SIM_ECHO please', stream: true, max_tokens: 1 }
  const stream = await post(sim, '/v1/completions', marked)
  const pieces = eventsOf(stream.text).map((event) => pick(event, 'choices', 0, 'text') ?? '')
  const back = Buffer.from(String(pick(joined(pieces), 'bodyBase64')), 'base64').toString()
  assert.equal(back, JSON.stringify(marked))
  const vector = await post(sim, '/v1/embeddings', { model: 'tiny', input: 'SIM_ECHO' })
  assert.equal(pick(vector.text, 'sim_echo', 'target'), '/v1/embeddings')
})

test('the last requests are kept up to a number', async () => {
  for (let i = 0; i < 70; i++) await post(sim, '/tokenize', { model: 'tiny', prompt: `number ${i}` })
  const last = await get(sim, '/sim/last-requests')
  assert.equal(pick(last, 'length'), 64)
  const body = Buffer.from(String(pick(last, 63, 'bodyBase64')), 'base64').toString()
  assert.equal(body, '{"model":"tiny","prompt":"number 69"}')
})
