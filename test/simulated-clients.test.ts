import assert from 'node:assert/strict'
import { test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import type { EngineName } from '#sim/options.ts'
import { startSim } from '#sim/server.ts'

/** What each simulated engine has to answer to the libraries of the providers, with no gateway between. */
const engines: readonly {
  readonly engine: EngineName
  readonly responses?: boolean
  readonly messages?: boolean
  /** Whether answers say how many tokens they have. */
  readonly usage?: boolean
}[] = [
  { engine: 'vllm', responses: true, messages: true, usage: true },
  { engine: 'sglang', responses: true, messages: true, usage: true },
  { engine: 'tgi', usage: true },
  { engine: 'triton' },
  { engine: 'trtllm', responses: true, usage: true },
  { engine: 'llamacpp', responses: true, messages: true, usage: true },
]

const messages = [{ role: 'user' as const, content: 'Name a colour.' }]
const parameters = { type: 'object' as const, properties: { city: { type: 'string' } } }

interface Clients {
  readonly openai: OpenAI
  readonly anthropic: Anthropic
}

async function withClients(engine: EngineName, run: (clients: Clients) => Promise<void>): Promise<void> {
  const sim = await startSim({ engine, models: ['tiny'], ttftMs: 1, tpotMs: 1 })
  try {
    await run({
      openai: new OpenAI({ baseURL: `${sim.url}/v1`, apiKey: 'none', maxRetries: 0 }),
      anthropic: new Anthropic({ baseURL: sim.url, apiKey: 'none', maxRetries: 0 }),
    })
  } finally {
    await sim.close()
  }
}

for (const { engine, responses, messages: hasMessages, usage } of engines) {
  test(`the OpenAI library chats with ${engine}, whole and streamed`, () =>
    withClients(engine, async ({ openai }) => {
      const request = { model: 'tiny', messages, max_tokens: 6 }
      const whole = await openai.chat.completions.create(request)
      const text = whole.choices[0]?.message.content ?? ''
      assert.ok(text.length > 0)
      if (usage === true) assert.equal(whole.usage?.completion_tokens, 6)
      const options = { stream: true, stream_options: { include_usage: true } } as const
      let streamed = ''
      let tokens = 0
      for await (const chunk of await openai.chat.completions.create({ ...request, ...options })) {
        streamed += chunk.choices[0]?.delta.content ?? ''
        tokens += chunk.usage?.completion_tokens ?? 0
      }
      assert.equal(streamed, text)
      assert.equal(tokens, usage === true ? 6 : 0)
      const completion = await openai.completions.create({ model: 'tiny', prompt: 'Once', max_tokens: 4 })
      assert.ok((completion.choices[0]?.text ?? '').length > 0)
      assert.equal((await openai.models.list()).data[0]?.id, 'tiny')
    }))

  test(`the OpenAI library calls tools of ${engine}`, () =>
    withClients(engine, async ({ openai }) => {
      const tools = [{ type: 'function' as const, function: { name: 'weather', parameters } }]
      const answer = await openai.chat.completions.create({ model: 'tiny', messages, tools, tool_choice: 'auto' })
      const call = answer.choices[0]?.message.tool_calls?.[0]
      assert.ok(call?.type === 'function')
      assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ['weather', { city: 'city' }])
      const runner = openai.chat.completions.stream({ model: 'tiny', messages, tools })
      const final = await runner.finalChatCompletion()
      const streamed = final.choices[0]?.message.tool_calls?.[0]
      assert.ok(streamed?.type === 'function')
      assert.equal(streamed.function.arguments.includes('city'), true)
    }))

  if (responses === true)
    test(`the OpenAI library gets responses from ${engine}`, () =>
      withClients(engine, async ({ openai }) => {
        const request = { model: 'tiny', input: 'Name a colour.', max_output_tokens: 6 }
        const whole = await openai.responses.create(request)
        assert.equal(whole.usage?.output_tokens, 6)
        let text = ''
        for await (const event of await openai.responses.create({ ...request, stream: true })) {
          if (event.type === 'response.output_text.delta') text += event.delta
        }
        assert.equal(text, whole.output_text)
      }))

  if (hasMessages === true)
    test(`the Anthropic library talks with ${engine}`, () =>
      withClients(engine, async ({ anthropic }) => {
        const request = { model: 'tiny', messages, max_tokens: 6 }
        const whole = await anthropic.messages.create(request)
        assert.equal(whole.usage.output_tokens, 6)
        const final = await anthropic.messages.stream(request).finalMessage()
        assert.deepEqual(final.content, whole.content)
        const tools = [{ name: 'weather', input_schema: parameters }]
        const called = await anthropic.messages.stream({ ...request, max_tokens: 100, tools }).finalMessage()
        const block = called.content.find(({ type }) => type === 'tool_use')
        assert.ok(block?.type === 'tool_use')
        assert.deepEqual([block.name, block.input], ['weather', { city: 'city' }])
        const { input_tokens } = await anthropic.messages.countTokens({ model: 'tiny', messages })
        assert.ok(input_tokens > 0)
      }))
}
