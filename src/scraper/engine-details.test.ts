import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readModelsAnswer, readTotalSlots } from './engine-details.ts'

const base = {
  id: 'llama-8b',
  object: 'model',
  owned_by: 'vllm',
  root: '/models/llama',
  parent: null,
  max_model_len: 8192,
}
const adapter = { id: 'sql-lora', object: 'model', root: '/adapters/sql', parent: 'llama-8b', max_model_len: null }

const cases = [
  {
    name: 'a base model with adapters',
    body: { data: [base, adapter] },
    expected: { adapters: ['sql-lora'], maxModelLen: 8192 },
  },
  { name: 'a base model alone', body: { data: [base] }, expected: { adapters: [], maxModelLen: 8192 } },
  { name: 'an empty list', body: { data: [] }, expected: { adapters: [], maxModelLen: undefined } },
  {
    name: 'cards of other engines',
    body: { data: [{ id: 'm', created: 0 }, 7, null, { id: 5, parent: 'x' }] },
    expected: { adapters: [], maxModelLen: undefined },
  },
  { name: 'no list', body: { error: 'Unauthorized' }, expected: undefined },
  { name: 'a list of something else', body: [1], expected: undefined },
] as const

for (const { name, body, expected } of cases) {
  test(`reads ${name}`, () => {
    assert.deepEqual(readModelsAnswer(Buffer.from(JSON.stringify(body))), expected)
  })
}

test('does not read what is no JSON or too long', () => {
  assert.equal(readModelsAnswer(Buffer.from('<html>')), undefined)
  assert.equal(readModelsAnswer(Buffer.from(`{"data":[]${' '.repeat(600_000)}}`)), undefined)
})

test('reads the slots of llama.cpp', () => {
  assert.equal(readTotalSlots(Buffer.from('{"total_slots":2,"chat_template":"x"}')), 2)
  for (const text of ['{"total_slots":0}', '{"total_slots":"2"}', '{}', 'null', '']) {
    assert.equal(readTotalSlots(Buffer.from(text)), undefined, text)
  }
})
