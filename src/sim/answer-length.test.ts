import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startSim } from './server.ts'
import { pick, post } from './test-client.ts'

test('an answer ends by itself after as many tokens as the request says to the engine alone', async (t) => {
  const sim = await startSim({ ttftMs: 0, tpotMs: 0 })
  t.after(() => sim.close())
  const text = { prompt: 'Tell me' }
  const chat = { messages: [{ role: 'user', content: 'Tell me' }] }
  const cases = [
    { name: 'a text', path: '/v1/completions', body: text, header: '23', tokens: 23, finish: 'stop' },
    { name: 'a chat', path: '/v1/chat/completions', body: chat, header: '23', tokens: 23, finish: 'stop' },
    {
      name: 'within its limit',
      path: '/v1/completions',
      body: { ...text, max_tokens: 40 },
      header: '23',
      tokens: 23,
      finish: 'stop',
    },
    {
      name: 'cut at its limit',
      path: '/v1/completions',
      body: { ...text, max_tokens: 5 },
      header: '23',
      tokens: 5,
      finish: 'length',
    },
    {
      name: 'as long as its limit',
      path: '/v1/completions',
      body: { ...text, max_tokens: 23 },
      header: '23',
      tokens: 23,
      finish: 'length',
    },
    { name: 'no number', path: '/v1/completions', body: text, header: 'many', tokens: 16, finish: 'length' },
    { name: 'nothing', path: '/v1/completions', body: text, header: '0', tokens: 16, finish: 'length' },
  ]
  for (const { name, path, body, header, tokens, finish } of cases) {
    const answer = await post(sim, path, { model: 'sim-model', ...body }, { 'x-sim-tokens': header })
    assert.equal(answer.status, 200, name)
    assert.equal(pick(answer.text, 'usage', 'completion_tokens'), tokens, name)
    assert.equal(pick(answer.text, 'choices', 0, 'finish_reason'), finish, name)
  }
})
