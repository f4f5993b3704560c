import type { Engine } from './ask.ts'
import { openaiQuestions, otherApiQuestions } from './openai-questions.ts'
import { pageShape } from './page-shape.ts'
import {
  chat,
  completion,
  fieldOf,
  messages,
  metricOf,
  model,
  posted,
  type Question,
  single,
  waitUntil,
} from './question.ts'
import { type Shape, shapeOf } from './shape.ts'

const chatPath = '/v1/chat/completions'
const completionsPath = '/v1/completions'

/**
 * How the vLLM that is asked is started, besides what test/engines/serve-vllm says: ids come back, at most twelve requests are
 * taken at once, tools can be called.
 */
export const vllmFlags = [
  '--enable-request-id-headers',
  '--enable-server-load-tracking',
  ...['--max-num-queued-reqs', '12'],
  ...['--enable-auto-tool-choice', '--tool-call-parser', 'hermes'],
]

const infoQuestions: readonly Question[] = [
  single('health', { method: 'GET', path: '/health' }),
  single('ping', { method: 'GET', path: '/ping' }),
  single('ping by POST', { method: 'POST', path: '/ping' }),
  single('version', { method: 'GET', path: '/version' }),
  single('load', { method: 'GET', path: '/load' }),
  single('server info', { method: 'GET', path: '/server_info' }),
  single('models', { method: 'GET', path: '/v1/models' }),
  single('one model', { method: 'GET', path: '/v1/models/tiny' }),
  single('one unknown model', { method: 'GET', path: '/v1/models/nope' }),
  single('health by POST', { method: 'POST', path: '/health' }),
  single('is it sleeping', { method: 'GET', path: '/is_sleeping' }),
  single('sources of KV events', { method: 'GET', path: '/kv_event_sources' }),
  single('root', { method: 'GET', path: '/' }),
]

const headerQuestions: readonly Question[] = [
  posted('request id', chatPath, chat(), { 'x-request-id': 'probe' }),
  posted('request id, stream', chatPath, chat({ stream: true }), { 'x-request-id': 'probe' }),
  idQuestion('request id in the answer', chatPath, chat()),
  idQuestion('request id in the answer, completion', completionsPath, completion()),
  posted('request id of a refused request', chatPath, chat({ model: 'nope' }), { 'x-request-id': 'probe' }),
  posted('chat from a page', chatPath, chat(), { origin: 'https://page.example' }),
  single('question of a page', {
    method: 'OPTIONS',
    path: chatPath,
    headers: { origin: 'https://page.example', 'access-control-request-method': 'POST' },
  }),
  posted('rank that is there', chatPath, chat(), { 'x-data-parallel-rank': '0' }),
  posted('rank that is not there', chatPath, chat(), { 'x-data-parallel-rank': '7' }),
  posted('rank that is not there, completion', completionsPath, completion(), { 'x-data-parallel-rank': '7' }),
  posted('rank that is no number', chatPath, chat(), { 'x-data-parallel-rank': 'first' }),
  posted('load report as JSON', chatPath, chat(), { 'endpoint-load-metrics-format': 'JSON' }),
  posted('load report as text', chatPath, chat(), { 'endpoint-load-metrics-format': 'TEXT' }),
  posted('load report, lower case', completionsPath, completion(), { 'endpoint-load-metrics-format': 'text' }),
  posted('load report of another format', chatPath, chat(), { 'endpoint-load-metrics-format': 'BIN' }),
  posted('load report, stream', chatPath, chat({ stream: true }), { 'endpoint-load-metrics-format': 'JSON' }),
]

const fieldQuestions: readonly Question[] = [
  posted('completion without max_tokens', completionsPath, completion({ max_tokens: undefined })),
  posted('message without max_tokens', '/v1/messages', { model, messages }),
  posted('tools without a choice of one', chatPath, chat({ tool_choice: 'required' })),
  posted('priority', chatPath, chat({ priority: 5 })),
  posted('cache salt', chatPath, chat({ cache_salt: 'tenant' })),
  posted('empty cache salt', chatPath, chat({ cache_salt: '' })),
  posted(
    'KV transfer without a connector',
    chatPath,
    chat({ kv_transfer_params: { do_remote_decode: true, do_remote_prefill: false } }),
  ),
  posted('completion with its token ids', completionsPath, completion({ return_token_ids: true })),
  posted('structured choice', chatPath, chat({ ignore_eos: false, structured_outputs: { choice: ['yes'] } })),
  posted(
    'tools left to the model',
    chatPath,
    chat({ tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }] }),
  ),
  posted('tokenize a prompt', '/tokenize', { model, prompt: 'def main():', return_token_strs: true }),
  posted('tokenize a chat', '/tokenize', { model, messages }),
  posted('tokenize nothing', '/tokenize', { model }),
  posted('tokenize of an unknown model', '/tokenize', { model: 'nope', prompt: 'x' }),
  posted('detokenize', '/detokenize', { model, tokens: [300, 301, 302] }),
  posted('detokenize nothing', '/detokenize', { model }),
  posted('render', '/v1/chat/completions/render', chat()),
  posted('tokens in, tokens out', '/inference/v1/generate', {
    model,
    token_ids: [300, 301],
    sampling_params: { max_tokens: 3 },
  }),
  posted('score', '/v1/score', { model, text_1: 'a', text_2: 'b' }),
  posted('rerank', '/v1/rerank', { model, query: 'a', documents: ['b'] }),
  posted('classify', '/classify', { model, input: 'a' }),
  posted('pooling', '/pooling', { model, input: 'a' }),
  posted('speech', '/v1/audio/speech', { model, input: 'a', voice: 'b' }),
  posted('image', '/v1/images/generations', { model, prompt: 'a' }),
]

const adapterQuestions: readonly Question[] = [
  adapter('load an adapter', 'load', (engine) => ({
    lora_name: 'sql-lora',
    lora_path: engine.adapterPath('sql-lora'),
  })),
  adapter('load it again', 'load', (engine) => ({ lora_name: 'sql-lora', lora_path: engine.adapterPath('sql-lora') })),
  adapter('load it again in place', 'load', (engine) => ({
    lora_name: 'sql-lora',
    lora_path: engine.adapterPath('sql-lora'),
    load_inplace: true,
  })),
  adapter('load from nowhere', 'load', (engine) => ({ lora_name: 'none', lora_path: engine.adapterPath('none') })),
  adapter('load without a path', 'load', () => ({ lora_name: 'none' })),
  adapter('load without a name', 'load', () => ({ lora_path: '/adapters/x' })),
  adapter('load with empty fields', 'load', () => ({ lora_name: '', lora_path: '' })),
  adapter('load under the name of the model', 'load', (engine) => ({
    lora_name: model,
    lora_path: engine.adapterPath('chat-lora'),
  })),
  single('models with an adapter', { method: 'GET', path: '/v1/models' }),
  single('one adapter', { method: 'GET', path: '/v1/models/sql-lora' }),
  posted('chat with an adapter', chatPath, chat({ model: 'sql-lora' })),
  posted('completion stream with an adapter', completionsPath, completion({ model: 'sql-lora', stream: true })),
  { name: 'series of adapters', ask: adapterSeries },
  adapter('unload an adapter', 'unload', () => ({ lora_name: 'sql-lora' })),
  adapter('unload it again', 'unload', () => ({ lora_name: 'sql-lora' })),
  adapter('unload nothing', 'unload', () => ({})),
  posted('chat with an adapter that is gone', chatPath, chat({ model: 'sql-lora' })),
]

const behaviourQuestions: readonly Question[] = [
  { name: 'cached prefix', ask: cachedPrefix },
  { name: 'cached prefix of another salt', ask: saltedPrefix },
  single('clear the prefix cache', { method: 'POST', path: '/reset_prefix_cache' }),
  { name: 'client that leaves', ask: (engine) => leaving(engine, false) },
  { name: 'client that leaves a stream', ask: (engine) => leaving(engine, true) },
  { name: 'full queue', ask: fullQueue },
]

/** Everything asked of vLLM, in the order in which it is asked: the page at the end counts what came before. */
export const vllmQuestions: readonly Question[] = [
  { name: 'metrics before the first request', ask: metricsPage },
  ...infoQuestions,
  ...openaiQuestions,
  ...otherApiQuestions,
  ...headerQuestions,
  ...fieldQuestions,
  ...adapterQuestions,
  ...behaviourQuestions,
  { name: 'metrics', ask: metricsPage },
]

async function metricsPage(engine: Engine): Promise<Shape> {
  const answer = await engine.ask({ method: 'GET', path: '/metrics' })
  return [...shapeOf({ ...answer, text: '' }), ...pageShape(answer.text)]
}

function adapter(name: string, verb: 'load' | 'unload', body: (engine: Engine) => unknown): Question {
  const path = `/v1/${verb}_lora_adapter`
  return { name, ask: async (engine) => shapeOf(await engine.ask({ method: 'POST', path, body: body(engine) })) }
}

function idQuestion(name: string, path: string, body: unknown): Question {
  const id = 'probe-id'
  return {
    name,
    async ask(engine) {
      const answer = await engine.ask({ method: 'POST', path, body, headers: { 'x-request-id': id } })
      return [`id ${String(fieldOf(answer, 'id'))}`]
    },
  }
}

/** What the page says of adapters while one is in use: both lists name it. */
async function adapterSeries(engine: Engine): Promise<Shape> {
  const running = engine.ask({
    method: 'POST',
    path: completionsPath,
    body: completion({ model: 'sql-lora', max_tokens: 1500 }),
  })
  const wanted = 'running_lora_adapters="sql-lora",waiting_lora_adapters="sql-lora"'
  const isSeen = await waitUntil(engine, async () => {
    const { text } = await engine.ask({ method: 'GET', path: '/metrics' })
    return text.includes(wanted)
  })
  await running
  return [`both lists name the adapter in use: ${isSeen}`]
}

const prefix = 'The quick brown fox. '.repeat(120)

/** A prompt asked twice: the full blocks before its last token come from the cache, 32 tokens each. */
async function cachedPrefix(engine: Engine): Promise<Shape> {
  const body = chat({ messages: [{ role: 'user', content: `${prefix}same` }], max_tokens: 2 })
  const usages = []
  for (let i = 0; i < 2; i++) {
    const answer = await engine.ask({ method: 'POST', path: chatPath, body })
    const prompt = Number(fieldOf(answer, 'usage', 'prompt_tokens'))
    const details = ['usage', 'prompt_tokens_details'] as const
    const cached = Number(fieldOf(answer, ...details, 'cached_tokens'))
    usages.push({ prompt, cached, created: fieldOf(answer, ...details, 'created_cache_tokens') })
  }
  const [first, second] = usages
  const blocks = (tokens: number) => Math.floor(tokens / 32) * 32
  return [
    `first: no cached token: ${first?.cached === 0}`,
    `first: created the full blocks of the prompt: ${first?.created === blocks(first?.prompt ?? 0)}`,
    `second: cached the full blocks before the last token: ${second?.cached === blocks((second?.prompt ?? 0) - 1)}`,
    `second: created nothing: ${second?.created === 0}`,
  ]
}

async function saltedPrefix(engine: Engine): Promise<Shape> {
  const body = chat({ messages: [{ role: 'user', content: `${prefix}same` }], max_tokens: 2, cache_salt: 'other' })
  const answer = await engine.ask({ method: 'POST', path: chatPath, body })
  return [`cached tokens ${String(fieldOf(answer, 'usage', 'prompt_tokens_details', 'cached_tokens'))}`]
}

/** A client that leaves frees its place, and is counted nowhere. */
async function leaving(engine: Engine, stream: boolean): Promise<Shape> {
  const isIdle = async () => (await metricOf(engine, 'vllm:num_requests_running')) === 0
  const successes = async () => {
    const { text } = await engine.ask({ method: 'GET', path: '/metrics' })
    const lines = text.split('\n').filter((line) => line.startsWith('vllm:request_success_total{'))
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
  }
  const before = await successes()
  const left = engine.leave(
    { method: 'POST', path: completionsPath, body: completion({ max_tokens: 8000, stream }) },
    200,
  )
  const wasBusy = await waitUntil(engine, async () => !(await isIdle()))
  await left
  const isFree = await waitUntil(engine, isIdle)
  await engine.pause(200)
  return [
    `was running: ${wasBusy}`,
    `its place is free: ${isFree}`,
    `counted as finished: ${(await successes()) - before}`,
  ]
}

/** Twenty at once where twelve are taken: the rest is refused, in one wording. */
async function fullQueue(engine: Engine): Promise<Shape> {
  const body = completion({ max_tokens: 1000 })
  const crowd = Array.from({ length: 20 }, () => engine.ask({ method: 'POST', path: completionsPath, body }))
  const answers = await Promise.all(crowd)
  const refused = answers.filter(({ status }) => status !== 200)
  const shapes = new Set(refused.map((answer) => shapeOf(answer).join('\n')))
  return [
    `taken ${answers.length - refused.length} of ${answers.length}`,
    ...[...shapes].flatMap((shape) => shape.split('\n')),
  ]
}
