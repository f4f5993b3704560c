import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readAnswer } from './lab-http-answer.ts'

const usage =
  '{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":8}}}'
const events = ['{"choices":[{"text":"This"}]}', '{"choices":[{"text":" one two"}]}', usage, '[DONE]']

function streamOf(all: readonly string[]): string {
  return all.map((event) => `data: ${event}\n\n`).join('')
}

test('a stream is an answer with its text and its usage', () => {
  assert.deepEqual(readAnswer(streamOf(events)), {
    text: 'This one two',
    promptTokens: 9,
    outputTokens: 3,
    cachedTokens: 8,
  })
})

test('a stream that broke off, or has no usage, is none', () => {
  const cases = [events.slice(0, 3), [], [...events.slice(0, 2), '[DONE]']]
  for (const all of cases) assert.equal(readAnswer(streamOf(all)), undefined)
  assert.equal(readAnswer(`event: error\n\n${streamOf(events)}`), undefined)
})
