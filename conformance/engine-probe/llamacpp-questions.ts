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

const infoQuestions: readonly Question[] = [
  single('health', { method: 'GET', path: '/health' }),
  single('health below /v1', { method: 'GET', path: '/v1/health' }),
  single('models', { method: 'GET', path: '/v1/models' }),
  single('models without /v1', { method: 'GET', path: '/models' }),
  single('one model', { method: 'GET', path: '/v1/models/tiny' }),
  single('properties', { method: 'GET', path: '/props' }),
  single('slots', { method: 'GET', path: '/slots' }),
  single('slots, one wanted', { method: 'GET', path: '/slots?fail_on_no_slot=1' }),
  single('adapters', { method: 'GET', path: '/lora-adapters' }),
  single('version', { method: 'GET', path: '/version' }),
  single('health by POST', { method: 'POST', path: '/health' }),
]

const nativeQuestions: readonly Question[] = [
  posted('native completion', '/completion', { prompt: 'def main():', n_predict: 4, ignore_eos: true }),
  posted('native completion stream', '/completion', {
    prompt: 'def main():',
    n_predict: 24,
    ignore_eos: true,
    stream: true,
  }),
  posted('native completion without a prompt', '/completion', { n_predict: 4 }),
  posted('tokenize', '/tokenize', { content: 'def main():' }),
  posted('tokenize with pieces', '/tokenize', { content: 'def main():', with_pieces: true }),
  posted('detokenize', '/detokenize', { tokens: [300, 301, 302] }),
  posted('apply the template', '/apply-template', { messages }),
  posted('chat without /v1', '/chat/completions', chat()),
  posted('request id', chatPath, chat(), { 'x-request-id': 'probe' }),
  posted('chat with a slot', chatPath, chat({ id_slot: 0, cache_prompt: true })),
]

const behaviourQuestions: readonly Question[] = [
  { name: 'cached prefix', ask: cachedPrefix },
  { name: 'busy slots', ask: busySlots },
  { name: 'client that leaves', ask: (engine) => leaving(engine, false) },
  { name: 'client that leaves a stream', ask: (engine) => leaving(engine, true) },
]

/** Everything asked of llama.cpp's server with two slots. */
export const llamacppQuestions: readonly Question[] = [
  { name: 'metrics before the first request', ask: metricsPage },
  ...infoQuestions,
  ...openaiQuestions,
  ...otherApiQuestions,
  ...nativeQuestions,
  ...behaviourQuestions,
  { name: 'metrics', ask: metricsPage },
]

async function metricsPage(engine: Engine): Promise<Shape> {
  const answer = await engine.ask({ method: 'GET', path: '/metrics' })
  return [...shapeOf({ ...answer, text: '' }), ...pageShape(answer.text)]
}

/** A prompt asked twice: all of it but the last token comes from the slot, and the answer says so twice. */
async function cachedPrefix(engine: Engine): Promise<Shape> {
  const body = chat({ messages: [{ role: 'user', content: 'The quick brown fox. '.repeat(20) }], max_tokens: 2 })
  await engine.ask({ method: 'POST', path: chatPath, body })
  const answer = await engine.ask({ method: 'POST', path: chatPath, body })
  const prompt = Number(fieldOf(answer, 'usage', 'prompt_tokens'))
  const cached = Number(fieldOf(answer, 'usage', 'prompt_tokens_details', 'cached_tokens'))
  return [
    `cached all but the last token: ${cached === prompt - 1}`,
    `timings agree: ${fieldOf(answer, 'timings', 'cache_n') === cached}`,
  ]
}

/** Three long requests on two slots. */
async function busySlots(engine: Engine): Promise<Shape> {
  const body = completion({ max_tokens: 800 })
  const crowd = Array.from({ length: 3 }, () => engine.ask({ method: 'POST', path: '/v1/completions', body }))
  const isFull = async () => (await metricOf(engine, 'llamacpp:requests_deferred')) === 1
  const wasFull = await waitUntil(engine, isFull)
  const running = await metricOf(engine, 'llamacpp:requests_processing')
  const slots = shapeOf(await engine.ask({ method: 'GET', path: '/slots' }))
  const none = shapeOf(await engine.ask({ method: 'GET', path: '/slots?fail_on_no_slot=1' }))
  const answers = await Promise.all(crowd)
  return [
    `one waits: ${wasFull}`,
    `running ${running}`,
    ...slots.map((line) => `slots ${line}`),
    ...none.map((line) => `none free ${line}`),
    `answered ${answers.filter(({ status }) => status === 200).length}`,
  ]
}

async function leaving(engine: Engine, stream: boolean): Promise<Shape> {
  const isIdle = async () => (await metricOf(engine, 'llamacpp:requests_processing')) === 0
  const left = engine.leave(
    { method: 'POST', path: '/v1/completions', body: { ...completion({ max_tokens: 3500, stream }), model } },
    200,
  )
  const wasBusy = await waitUntil(engine, async () => !(await isIdle()))
  await left
  return [`was running: ${wasBusy}`, `its slot is free: ${await waitUntil(engine, isIdle)}`]
}
