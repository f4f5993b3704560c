import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LearnedPrompts } from './learned-prompts.ts'
import { keysOfTokens } from './token-chain.ts'

const blockBytes = 64

/** A prompt of texts, each one block of bytes and one unit of tokens, in order. */
function promptOf(identity: number, texts: readonly number[]) {
  const tokens = texts.flatMap((text) => Array.from({ length: 16 }, (_, i) => text * 100 + i))
  let number = 1
  const starts = Float64Array.from(texts, (text) => (number = (number * 31 + text) % 2 ** 40))
  return {
    identity,
    starts,
    promptBytes: blockBytes * texts.length,
    tokens: tokens.length,
    keys: keysOfTokens(tokens, '', ''),
  }
}

function find(prompts: LearnedPrompts, { identity, starts }: ReturnType<typeof promptOf>) {
  return prompts.find(identity, starts, starts.length)
}

test('a prompt that was learned is known whole', () => {
  const prompts = new LearnedPrompts({ blockBytes })
  const prompt = promptOf(1, [1, 2, 3])
  assert.equal(find(prompts, prompt), undefined)
  prompts.learn(prompt)
  assert.deepEqual(find(prompts, prompt), { keys: prompt.keys, units: 3, tokens: 48 })
})

test('of a prompt that begins like another a little less than their common bytes is known', () => {
  const prompts = new LearnedPrompts({ blockBytes })
  prompts.learn(promptOf(1, [1, 2, 3, 4, 5]))
  const known = find(prompts, promptOf(2, [1, 2, 3, 9]))
  assert.deepEqual([known?.units, known?.tokens], [2, undefined])
  assert.equal(find(prompts, promptOf(3, [7, 2, 3])), undefined)
})

test('where two prompts have parted, a third is known to the very place', () => {
  const prompts = new LearnedPrompts({ blockBytes })
  prompts.learn(promptOf(1, [1, 2, 3, 4, 5]))
  prompts.learn(promptOf(2, [1, 2, 3, 8]))
  const third = promptOf(3, [1, 2, 3, 9])
  assert.equal(find(prompts, third)?.units, 3)
  assert.deepEqual(find(prompts, third)?.keys.subarray(0, 6), third.keys.subarray(0, 6))
})

test('memory is bounded; what was used last stays, with its beginnings', () => {
  const prompts = new LearnedPrompts({ blockBytes, maxBytes: 20_000 })
  const hot = promptOf(1, [1, 2, 3])
  prompts.learn(hot)
  for (let i = 0; i < 500; i++) {
    prompts.learn(promptOf(10 + i, [1, 2, 100 + i]))
    assert.equal(find(prompts, hot)?.tokens, 48, `after ${i}`)
    assert.ok(prompts.bytes <= 20_000)
  }
  assert.ok(prompts.size < 40)
  assert.equal(find(prompts, promptOf(2, [1, 2, 77]))?.units, 2)
  assert.equal(find(prompts, promptOf(10, [1, 2, 100]))?.tokens, undefined)
})

test('a prompt larger than all memory is not learned', () => {
  const prompts = new LearnedPrompts({ blockBytes, maxBytes: 1000 })
  prompts.learn(
    promptOf(
      1,
      Array.from({ length: 50 }, (_, i) => i),
    ),
  )
  assert.deepEqual([prompts.size, prompts.bytes], [0, 0])
})
