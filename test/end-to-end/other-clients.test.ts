import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { ChatOpenAI } from '@langchain/openai'
import { lastArrival, startFleet } from './support/fleet.ts'

const fleet = await startFleet()
after(() => fleet.close())

const anthropic = new Anthropic({ baseURL: fleet.gateway.url, apiKey: 'client-key', maxRetries: 0 })
const messages = [{ role: 'user' as const, content: 'Name a colour.' }]
const tools = [
  {
    name: 'weather',
    description: 'Weather of a city',
    input_schema: { type: 'object' as const, properties: { city: { type: 'string' } } },
  },
]

test('the Anthropic client gets its message', async () => {
  const message = await anthropic.messages.create({ model: 'tiny', max_tokens: 9, messages, system: 'Be brief.' })
  assert.equal(message.model, 'tiny')
  const [block] = message.content
  assert.ok(block?.type === 'text' && block.text.length > 0)
  assert.equal(message.usage.output_tokens, 9)
  assert.equal(message.stop_reason, 'max_tokens')
})

test('the Anthropic client streams, and the usage is in the access log', async () => {
  const stream = anthropic.messages.stream(
    { model: 'tiny', max_tokens: 9, messages },
    { headers: { 'x-request-id': 'anthropic-1' } },
  )
  let text = ''
  stream.on('text', (piece) => {
    text += piece
  })
  const final = await stream.finalMessage()
  const [block] = final.content
  assert.ok(block?.type === 'text')
  assert.equal(text, block.text)
  const { input_tokens, cache_read_input_tokens, output_tokens } = final.usage
  const line = await fleet.gateway.accessLine('anthropic-1')
  assert.deepEqual(
    [line.api, line.input_tokens, line.output_tokens],
    ['messages', input_tokens + (cache_read_input_tokens ?? 0), output_tokens],
  )
})

test('the Anthropic client uses tools, whole and streamed', async () => {
  const whole = await anthropic.messages.create({ model: 'tiny', max_tokens: 200, messages, tools })
  const [call] = whole.content
  assert.ok(call?.type === 'tool_use')
  assert.deepEqual([call.name, Object.keys(call.input as object)], ['weather', ['city']])
  const streamed = await anthropic.messages.stream({ model: 'tiny', max_tokens: 200, messages, tools }).finalMessage()
  const [same] = streamed.content
  assert.ok(same?.type === 'tool_use')
  assert.deepEqual(same.input, call.input)
})

test('the Anthropic client counts tokens', async () => {
  const { input_tokens } = await anthropic.messages.countTokens({ model: 'tiny', messages })
  assert.ok(input_tokens > 0)
})

test('the Anthropic client understands refusals', async () => {
  const wrong = anthropic.messages.create({ model: 'tinny', max_tokens: 9, messages })
  await assert.rejects(wrong, (error: unknown) => {
    assert.ok(error instanceof Anthropic.NotFoundError, String(error))
    assert.match(error.message, /Did you mean 'tiny'/)
    return true
  })
})

const langchain = new ChatOpenAI({
  model: 'tiny',
  apiKey: 'client-key',
  maxRetries: 0,
  maxTokens: 10,
  configuration: { baseURL: `${fleet.gateway.url}/v1` },
})

/** The client's types lose this field when a message is narrowed by its content. */
function outputTokensOf(message: object): number {
  return (
    (message as { readonly usage_metadata?: { readonly output_tokens: number } }).usage_metadata?.output_tokens ?? 0
  )
}

test('LangChain invokes and gets text and usage', async () => {
  const answer = await langchain.invoke('Name a colour.')
  assert.ok(answer.text.length > 0)
  assert.equal(outputTokensOf(answer), 10)
  assert.equal((await lastArrival(fleet.sim)).target, '/v1/chat/completions')
})

test('LangChain streams, with the usage it asks for at the end', async () => {
  let text = ''
  let outputTokens = 0
  for await (const chunk of await langchain.stream('Name a colour.')) {
    text += chunk.text
    outputTokens += outputTokensOf(chunk)
  }
  assert.equal(text, (await langchain.invoke('Name a colour.')).text)
  assert.equal(outputTokens, 10)
})

test('LangChain binds tools and reads the call', async () => {
  const schema = { type: 'object', properties: { city: { type: 'string' } } }
  const bound = langchain.bindTools([{ type: 'function', function: { name: 'weather', parameters: schema } }])
  const { tool_calls } = await bound.invoke('Weather?', { tool_choice: 'auto' })
  assert.equal(tool_calls?.[0]?.name, 'weather')
})
