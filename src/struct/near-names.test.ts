import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { nearNames } from './near-names.ts'

const options = { limit: 3, maxCandidates: 100, maxLength: 256 }

describe('near names', () => {
  const models = ['llama-3.1-8b', 'llama-3.1-70b', 'meta-llama/Llama-3.3-70B', 'qwen3-32b', 'sql', 'gpt-5-mini']
  const cases = [
    { name: 'a letter is missing', wanted: 'lama-3.1-8b', near: ['llama-3.1-8b', 'llama-3.1-70b'] },
    { name: 'letters are swapped', wanted: 'qwen3-23b', near: ['qwen3-32b'] },
    { name: 'capitals differ', wanted: 'GPT-5-Mini', near: ['gpt-5-mini'] },
    {
      name: 'the owner is missing',
      wanted: 'llama-3.3-70b',
      near: ['llama-3.1-70b', 'llama-3.1-8b', 'meta-llama/Llama-3.3-70B'],
    },
    { name: 'something is added', wanted: 'qwen3-32b-instruct-fp8', near: ['qwen3-32b'] },
    { name: 'nothing is near', wanted: 'claude', near: [] },
    { name: 'nothing is given', wanted: '', near: [] },
    { name: 'a short name has one edit', wanted: 'sq', near: ['sql'] },
    { name: 'a short name is not near every name', wanted: 'x', near: [] },
  ]
  for (const { name, wanted, near } of cases) {
    test(`are found when ${name}`, () => assert.deepEqual(nearNames(wanted, models, options), near))
  }

  test('are at most as many as asked for, of the first candidates', () => {
    const candidates = Array.from({ length: 50 }, (_, i) => `model-${i}`)
    assert.equal(nearNames('model-x', candidates, options).length, 3)
    assert.deepEqual(nearNames('model-49', candidates, { ...options, maxCandidates: 49 }).includes('model-49'), false)
  })
})
