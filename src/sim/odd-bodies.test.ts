import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRng } from '#core/clock.ts'
import type { EngineName } from './options.ts'
import { personalities } from './personality/personalities.ts'
import { startSim } from './server.ts'
import { get, post } from './test-client.ts'

const PATHS = [
  '/v1/chat/completions',
  '/v1/completions',
  '/v1/messages',
  '/v1/messages/count_tokens',
  '/v1/responses',
  '/v1/embeddings',
  '/v1/load_lora_adapter',
  '/tokenize',
  '/detokenize',
  '/generate',
  '/completion',
  '/v2/models/m/generate',
  '/v2/models/m/generate_stream',
] as const

/** A call that every engine can answer on one of the paths. */
const BODY = {
  model: 'm',
  messages: [{ role: 'user', content: 'hi' }],
  prompt: 'hi',
  input: 'hi',
  inputs: 'hi',
  text: 'hi',
  text_input: 'hi',
  tokens: [1, 2, 3],
  max_tokens: 3,
}

/** What is put in the place of other fields, or beside them. */
const FIELDS = [
  'n',
  'stream',
  'stream_options',
  'sampling_params',
  'parameters',
  'tools',
  'tool_choice',
  'stop',
] as const
const MORE = [
  'max_completion_tokens',
  'max_output_tokens',
  'max_new_tokens',
  'n_predict',
  'priority',
  'logprobs',
] as const
const VALUES = [
  -4,
  0,
  2.5,
  1e30,
  -1e30,
  null,
  true,
  '',
  'x',
  [],
  [null],
  [-1],
  [2.5],
  {},
  [{}],
  [[]],
  { a: 1 },
] as const

function choiceFrom<T>(rng: () => number, from: readonly T[]): T | undefined {
  return from[Math.floor(rng() * from.length)]
}

for (const engine of Object.keys(personalities) as EngineName[]) {
  test(`${engine} answers whatever a body says, and goes on`, async () => {
    const rng = seededRng(7)
    const sim = await startSim({ engine, models: ['m'], ttftMs: 0, tpotMs: 0, maxModelLen: 256 })
    try {
      for (let i = 0; i < 250; i++) {
        const key = choiceFrom(rng, [...Object.keys(BODY), ...FIELDS, ...MORE]) ?? ''
        const path = choiceFrom(rng, PATHS) ?? ''
        const body = { ...BODY, [key]: choiceFrom(rng, VALUES), ...(rng() < 0.3 ? { stream: true } : {}) }
        const { text } = await post(sim, path, body)
        assert.doesNotMatch(text, /the simulator failed|NaN/, `${path} ${JSON.stringify(body)}`)
      }
      for (const maxTokens of [-4, 2.5]) {
        const body = { ...BODY, text_input: 'hi', max_tokens: maxTokens }
        const path = engine === 'triton' ? '/v2/models/m/generate' : '/v1/completions'
        const { status } = await post(sim, path, body)
        if (engine !== 'llamacpp') assert.ok(status >= 400 && status < 500, `${path} ${maxTokens}: ${status}`)
      }
      const { running, waiting, usedBlocks } = sim.stats()
      assert.deepEqual({ running, waiting, usedBlocks }, { running: 0, waiting: 0, usedBlocks: 0 })
      assert.ok((await get(sim, '/v1/models')).includes('"m"'))
    } finally {
      await sim.close()
    }
  })
}
