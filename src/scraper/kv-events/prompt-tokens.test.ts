import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { EndpointPlan, ModelServerPlan } from '#config/snapshot.ts'
import type { PromptQuestion } from '#contracts/schedule.ts'
import { manualClock } from '#core/manual-clock.ts'
import type { LearnedPrompt } from '#struct/learned-prompts.ts'
import { extrasOfSalt, keysOfTokens } from '#struct/token-chain.ts'
import { PromptTokens } from './prompt-tokens.ts'

type Answer = (body: Readonly<Record<string, unknown>>, response: ServerResponse, request: IncomingMessage) => void

const tokens = Array.from({ length: 40 }, (_, i) => i)

async function started(t: TestContext, answer: Answer) {
  const server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      answer(JSON.parse(Buffer.concat(pieces).toString()) as Record<string, unknown>, response, request)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const clock = manualClock()
  const learned: LearnedPrompt[] = []
  const endpoint = { host: '127.0.0.1', port } as EndpointPlan
  const modelServer = { basePath: '/base', setHeaders: [{ name: 'x-key', value: 'k' }] } as unknown as ModelServerPlan
  const prompts = new PromptTokens({
    clock,
    endpointOf: (slot) => (slot === 3 ? { endpoint, modelServer } : undefined),
    onLearned: (prompt) => learned.push(prompt),
  })
  t.after(() => {
    prompts.close()
    server.closeAllConnections()
    server.close()
  })
  const ask = (body: object | string, more: Partial<PromptQuestion> = {}): void => {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    prompts.ask({
      slot: 3,
      model: 'served',
      adapter: '',
      cacheSalt: undefined,
      identity: prompts.counts.learned + 1,
      starts: Float64Array.of(5),
      promptBytes: 100,
      body: Buffer.from(text),
      ...more,
    })
  }
  const ended = async (count: number): Promise<void> => {
    for (let i = 0; i < 400 && prompts.counts.learned + prompts.counts.failed < count; i++) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    assert.equal(prompts.counts.learned + prompts.counts.failed, count)
  }
  return { prompts, ask, ended, learned, clock }
}

const good: Answer = (_body, response) => response.end(JSON.stringify({ count: 40, tokens }))

test('a chat and a completion are asked for with what decides their tokens, and with the headers of the engine', async (t) => {
  const seen: unknown[] = []
  const { ask, ended, learned } = await started(t, (body, response, { url, headers }) => {
    seen.push([url, headers['x-key'], body])
    response.end(JSON.stringify({ tokens }))
  })
  ask(
    { model: 'm', messages: [{ role: 'user' }], tools: [1], stream: true, temperature: 3 },
    { adapter: 'a', identity: 1 },
  )
  await ended(1)
  ask({ model: 'm', prompt: 'text', max_tokens: 3 }, { cacheSalt: 's', identity: 2 })
  await ended(2)
  assert.deepEqual(seen, [
    ['/base/tokenize', 'k', { model: 'served', add_generation_prompt: true, messages: [{ role: 'user' }], tools: [1] }],
    ['/base/tokenize', 'k', { model: 'served', prompt: 'text' }],
  ])
  assert.deepEqual(learned, [
    { identity: 1, starts: Float64Array.of(5), promptBytes: 100, tokens: 40, keys: keysOfTokens(tokens, 'a', '') },
    {
      identity: 2,
      starts: Float64Array.of(5),
      promptBytes: 100,
      tokens: 40,
      keys: keysOfTokens(tokens, '', extrasOfSalt('s')),
    },
  ])
})

test('a prompt of tokens needs no question', async (t) => {
  const { ask, ended, learned } = await started(t, () => assert.fail('asked'))
  ask({ prompt: tokens })
  await ended(1)
  assert.equal(learned[0]?.tokens, 40)
})

test('what cannot be asked for, or has no good answer, is a failure', async (t) => {
  const answers: readonly Answer[] = [
    (_body, response) => response.writeHead(404).end('{}'),
    (_body, response) => response.end('{"tokens":["a"]}'),
    (_body, response) => response.end('no JSON'),
    (_body, response) => void response.destroy(),
  ]
  let at = 0
  const { ask, ended, learned } = await started(t, (...parts) => answers[at++]?.(...parts))
  for (let i = 1; i <= answers.length; i++) {
    ask({ prompt: 'text' })
    await ended(i)
  }
  for (const body of ['no JSON', '[]', { input: 'text' }, { messages: [], system: 'x' }]) ask(body, { identity: ++at })
  ask({ prompt: 'text' }, { slot: 4, identity: 99 })
  await ended(answers.length + 5)
  assert.deepEqual(learned, [])
})

test('few questions run at a time, none twice, and more than can wait are dropped', async (t) => {
  const open: ServerResponse[] = []
  const { ask, ended, prompts } = await started(t, (_body, response) => void open.push(response))
  for (let i = 0; i < 300; i++) ask({ prompt: 'text' }, { identity: i })
  ask({ prompt: 'text' }, { identity: 7 })
  assert.equal(prompts.counts.dropped, 300 - 4 - 256)
  for (let done = 0; done < 260; done++) {
    for (let i = 0; i < 400 && open.length <= done; i++) await new Promise((resolve) => setTimeout(resolve, 1))
    assert.ok(open.length <= done + 4)
    const response = open[done]
    assert.ok(response)
    good({}, response, response.req)
  }
  await ended(260)
})

test('an engine that does not answer in time is given up', async (t) => {
  const asked: unknown[] = []
  const { ask, ended, clock } = await started(t, (body) => void asked.push(body))
  ask({ prompt: 'text' })
  for (let i = 0; i < 400 && asked.length === 0; i++) await new Promise((resolve) => setTimeout(resolve, 5))
  clock.advance(10_000)
  await ended(1)
})
