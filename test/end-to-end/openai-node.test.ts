import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import OpenAI, { toFile } from 'openai'
import { startFleet } from './support/fleet.ts'
import { waitFor } from './support/wait.ts'

const fleet = await startFleet({
  sims: [{ adapters: ['sql'] }],
  config: ([sim]) => ({
    models: { tiny: { engine: 'vllm', endpoints: [sim?.url], adapters: ['sql'] } },
    limits: { bodyBytes: '64KiB' },
  }),
})
after(() => fleet.close())
const client = new OpenAI({ baseURL: `${fleet.gateway.url}/v1`, apiKey: 'client-key', maxRetries: 0 })

const messages = [{ role: 'user' as const, content: 'Name a colour.' }]
const tools = [
  {
    type: 'function' as const,
    function: {
      name: 'weather',
      description: 'Weather of a city',
      parameters: { type: 'object', properties: { city: { type: 'string' }, days: { type: 'integer' } } },
    },
  },
]

/** The error of a call that must fail. */
async function failure(call: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  const caught: unknown = await call.then(
    () => undefined,
    (error: unknown) => error,
  )
  assert.ok(caught instanceof OpenAI.APIError, String(caught))
  return caught
}

test('chat answers, and a streamed answer says the same', async () => {
  const answer = await client.chat.completions.create({ model: 'tiny', messages, max_tokens: 12 })
  const text = answer.choices[0]?.message.content ?? ''
  assert.equal(answer.model, 'tiny')
  assert.ok(text.length > 20)
  assert.equal(answer.usage?.completion_tokens, 12)

  const stream = await client.chat.completions.create({ model: 'tiny', messages, max_tokens: 12, stream: true })
  let streamed = ''
  let chunks = 0
  for await (const chunk of stream) {
    assert.equal(chunk.model, 'tiny')
    assert.equal(chunk.usage ?? undefined, undefined)
    assert.equal(chunk.choices.length, 1)
    streamed += chunk.choices[0]?.delta.content ?? ''
    chunks++
  }
  assert.equal(streamed, text)
  assert.equal(chunks, 13)
})

test('the request id of the client is the one that comes back and is logged', async () => {
  const options = { headers: { 'x-request-id': 'from-the-client-1' } }
  const { response } = await client.chat.completions.create({ model: 'tiny', messages }, options).withResponse()
  assert.equal(response.headers.get('x-request-id'), 'from-the-client-1')
  const line = await fleet.gateway.accessLine('from-the-client-1')
  assert.deepEqual([line.model, line.api, line.status, line.attempts], ['tiny', 'chat', 200, 1])
})

test('tools pass through, whole and streamed', async () => {
  const unary = await client.chat.completions.create({ model: 'tiny', messages, tools })
  const call = unary.choices[0]?.message.tool_calls?.[0]
  assert.ok(call?.type === 'function')
  assert.equal(call.function.name, 'weather')
  assert.deepEqual(Object.keys(JSON.parse(call.function.arguments) as object), ['city', 'days'])
  assert.equal(unary.choices[0]?.finish_reason, 'tool_calls')

  const streamed = await client.chat.completions.stream({ model: 'tiny', messages, tools }).finalChatCompletion()
  const same = streamed.choices[0]?.message.tool_calls?.[0]
  assert.ok(same?.type === 'function')
  assert.equal(same.function.arguments, call.function.arguments)

  const result = { role: 'tool' as const, tool_call_id: call.id, content: '{"sky":"clear"}' }
  const history = [...messages, { role: 'assistant' as const, tool_calls: [call] }, result]
  const last = await client.chat.completions.create({ model: 'tiny', messages: history, tools })
  assert.ok((last.choices[0]?.message.content ?? '').length > 0)
})

test('completions answer, and an adapter is called by its own name', async () => {
  const base = await client.completions.create({ model: 'tiny', prompt: 'Once', max_tokens: 5 })
  assert.equal(base.usage?.completion_tokens, 5)
  const adapted = await client.chat.completions.create({ model: 'sql', messages })
  assert.equal(adapted.model, 'sql')
})

test('embeddings come as the vectors that the engine made', async () => {
  const { data, usage } = await client.embeddings.create({ model: 'tiny', input: ['one', 'two'], dimensions: 16 })
  assert.deepEqual(
    data.map(({ embedding }) => embedding.length),
    [16, 16],
  )
  assert.notDeepEqual(data[0]?.embedding, data[1]?.embedding)
  assert.ok(usage.prompt_tokens > 0)
})

test('the Responses API answers, whole and streamed', async () => {
  const whole = await client.responses.create({ model: 'tiny', input: 'Name a colour.', max_output_tokens: 8 })
  assert.equal(whole.model, 'tiny')
  assert.ok(whole.output_text.length > 0)
  assert.equal(whole.usage?.output_tokens, 8)
  const request = { model: 'tiny', input: 'Name a colour.', max_output_tokens: 8, stream: true } as const
  const types: string[] = []
  let streamed = ''
  for await (const event of await client.responses.create(request)) {
    types.push(event.type)
    if (event.type === 'response.output_text.delta') streamed += event.delta
  }
  assert.equal(streamed, whole.output_text)
  assert.equal(types[0], 'response.created')
  assert.match(types.at(-1) ?? '', /^response\.(completed|incomplete)$/)
})

test('audio and images go through in both directions', async () => {
  const audio = Buffer.alloc(30_000, 7)
  const { text } = await client.audio.transcriptions.create({ file: await toFile(audio, 'a.wav'), model: 'tiny' })
  assert.ok(text.length > 0)
  const translated = await client.audio.translations.create({ file: await toFile(audio, 'a.wav'), model: 'tiny' })
  assert.ok(translated.text.length > 0)
  const speech = await client.audio.speech.create({ model: 'tiny', voice: 'alloy', input: 'Good morning' })
  assert.equal(Buffer.from(await speech.arrayBuffer()).toString('latin1', 0, 4), 'RIFF')
  const image = await client.images.generate({ model: 'tiny', prompt: 'a dot' })
  const png = Buffer.from(image.data?.[0]?.b64_json ?? '', 'base64')
  assert.equal(png.toString('latin1', 1, 4), 'PNG')
  const edited = await client.images.edit({ model: 'tiny', prompt: 'red', image: await toFile(png, 'dot.png') })
  assert.ok(edited.data?.[0]?.b64_json)
})

test('a streamed transcription arrives piece by piece', async () => {
  const file = await toFile(Buffer.alloc(5000, 3), 'a.wav')
  const stream = await client.audio.transcriptions.create({ file, model: 'tiny', stream: true })
  let events = 0
  for await (const _ of stream) events++
  assert.ok(events > 1)
})

test('every model and adapter is listed, and each can be retrieved', async () => {
  const ids: string[] = []
  for await (const { id } of client.models.list()) ids.push(id)
  assert.deepEqual(ids, ['sql', 'tiny'])
  const card = await client.models.retrieve('sql')
  assert.deepEqual([card.id, card.object, (card as { parent?: string }).parent], ['sql', 'model', 'tiny'])
  const error = await failure(client.models.retrieve('nothing'))
  assert.ok(error instanceof OpenAI.NotFoundError)
})

test('an unknown model is a NotFoundError that names what was probably meant', async () => {
  const error = await failure(client.chat.completions.create({ model: 'tinny', messages }))
  assert.ok(error instanceof OpenAI.NotFoundError)
  assert.equal(error.code, 'model_not_found')
  assert.equal(error.param, 'model')
  assert.match(error.message, /'tinny' does not exist.*Did you mean 'tiny'/)
  assert.ok(error.requestID)
  const streamed = await failure(client.chat.completions.create({ model: 'tinny', messages, stream: true }))
  assert.ok(streamed instanceof OpenAI.NotFoundError)
})

test('a body beyond the limit is refused with 413', async () => {
  const long = [{ role: 'user' as const, content: 'x'.repeat(100_000) }]
  const error = await failure(client.chat.completions.create({ model: 'tiny', messages: long }))
  assert.deepEqual([error.status, error.code], [413, 'body_too_large'])
})

test('an engine that refuses is heard in its own words', async () => {
  const error = await failure(client.chat.completions.create({ model: 'tiny', messages, max_tokens: 10_000_000 }))
  assert.ok(error instanceof OpenAI.BadRequestError)
  assert.match(error.message, /max_model_len/)
})

test('a client that aborts ends the work of the engine, streamed and not', async () => {
  for (const stream of [false, true]) {
    const controller = new AbortController()
    const request = { model: 'tiny', messages, max_tokens: 100_000, stream }
    const call = client.chat.completions.create(request, { signal: controller.signal })
    const reading = call.then(async (answer) => {
      if (Symbol.asyncIterator in answer) for await (const _ of answer) if (!stream) break
    })
    await waitFor('running request', () => fleet.sim.stats().running === 1)
    const before = fleet.sim.stats().aborted
    controller.abort()
    await reading.catch((error: unknown) => assert.ok(error instanceof OpenAI.APIUserAbortError, String(error)))
    await waitFor('idle engine', () => fleet.sim.stats().running === 0, 1000)
    assert.equal(fleet.sim.stats().aborted, before + 1)
  }
})
