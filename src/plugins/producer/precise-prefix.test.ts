import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PromptQuestion } from '#contracts/schedule.ts'
import { candidatesOf, pluginPorts, scheduleRequest, slotAt } from '#plugins/plugin-case.ts'
import { LearnedPrompts } from '#struct/learned-prompts.ts'
import { PrefixIndex, prefixIndexMemory } from '#struct/prefix-index.ts'
import { extrasOfSalt, keysOfTokens } from '#struct/token-chain.ts'
import { precisePrefix } from './precise-prefix.ts'

const words = 'What one gateway knows of the caches behind it, another one has to learn. '
const endpoints = 3

/** One token for four bytes, made from them. */
function tokensOf(text: string): number[] {
  const bytes = Buffer.from(text)
  return Array.from({ length: Math.ceil(bytes.length / 4) }, (_, i) =>
    bytes.subarray(4 * i, 4 * i + 4).reduce((n, b) => n * 256 + b, 0),
  )
}

class Case {
  readonly units = new Int32Array(4096)
  readonly prompts = new LearnedPrompts({ blockBytes: 256 })
  readonly questions: PromptQuestion[] = []
  readonly #memory = prefixIndexMemory({ blocks: 4096, blockTokens: 16 })
  readonly #index = new PrefixIndex(this.#memory)
  readonly #ports = {
    ...pluginPorts(),
    exact: {
      memory: this.#memory,
      units: this.units,
      prompts: this.prompts,
      ask: (question: PromptQuestion) => void this.questions.push(question),
    },
  }
  readonly #producer = precisePrefix.create({}, this.#ports)
  readonly #candidates = candidatesOf(Array.from({ length: endpoints }, () => ({ blockSize: 16, blockCount: 5000 })))

  constructor() {
    for (let i = 0; i < endpoints; i++) {
      this.units[slotAt(i)] = 1
      this.#index.setCapacity(slotAt(i), 2 ** 28)
    }
  }

  /** What is foretold of each endpoint; the request is then placed at the first. */
  ask(text: string, more = '', isPlaced = true): number[] {
    const prompt = JSON.stringify(text)
    const before = '{"model":"base","prompt":'
    const body = Buffer.from(`${before}${prompt}${more}}`)
    const request = scheduleRequest({
      body: { slices: [body.subarray(0, 100), body.subarray(100)], bytes: body.length },
      promptSpans: [{ start: before.length, end: before.length + Buffer.byteLength(prompt) }],
      promptBytes: Buffer.byteLength(prompt),
      cacheSalt: /"cache_salt":"(\w+)"/.exec(more)?.[1],
    })
    const { facts } = this.#ports
    facts.promptTokens = Math.ceil(request.promptBytes / 4)
    for (let i = 0; i < endpoints; i++) facts.cachedTokens[slotAt(i)] = facts.inUseTokens[slotAt(i)] = 0
    this.#producer.produce(request, this.#candidates)
    if (isPlaced) this.#producer.placed?.(request, slotAt(0))?.ended({ isAnswered: true, outputTokens: 1 })
    return Array.from({ length: endpoints }, (_, i) => facts.cachedTokens[slotAt(i)] ?? Number.NaN)
  }

  get promptTokens(): number {
    return this.#ports.facts.promptTokens
  }

  /** Answers all questions. */
  learn(): void {
    for (const { identity, starts, promptBytes, adapter, cacheSalt, body } of this.questions.splice(0)) {
      const { prompt } = JSON.parse(Buffer.from(body).toString()) as { prompt: string }
      const tokens = tokensOf(prompt)
      const keys = keysOfTokens(tokens, adapter, extrasOfSalt(cacheSalt))
      this.prompts.learn({ identity, starts, promptBytes, tokens: tokens.length, keys })
    }
  }

  /** The engine says that it has the first blocks of a text. */
  hold(index: number, text: string, units: number, salt?: string): void {
    const keys = keysOfTokens(tokensOf(text), '', extrasOfSalt(salt))
    for (let i = 0; i < units; i++) this.#index.setHolder(keys[2 * i] ?? 0, keys[2 * i + 1] ?? 0, slotAt(index))
  }
}

const text = words.repeat(10)

test('a prompt whose tokens are unknown is placed by what was sent, and is asked for once', () => {
  const known = new Case()
  known.hold(1, text, 5)
  assert.deepEqual(known.ask(text), [0, 0, 0])
  assert.deepEqual([known.questions.length, known.questions[0]?.slot], [1, slotAt(0)])
  const [first, second] = known.ask(text)
  assert.ok((first ?? 0) >= 128 && second === 0)
  assert.equal(known.questions.length, 1)
})

test('what engines say goes before what was sent', () => {
  const known = new Case()
  known.ask(text)
  known.learn()
  known.hold(1, text, 5)
  assert.deepEqual(known.ask(text), [0, 80, 0])
  assert.equal(known.promptTokens, tokensOf(text).length)
})

test('the last token is always computed', () => {
  const known = new Case()
  const whole = 'abcd'.repeat(64)
  known.ask(whole)
  known.learn()
  known.hold(0, whole, 4)
  assert.deepEqual(known.ask(whole), [48, 0, 0])
})

test('where events are not to be trusted, and where there may be more, what was sent counts', () => {
  const known = new Case()
  known.ask(text)
  known.learn()
  known.hold(1, text, 5)
  known.hold(2, text, 5)
  known.units[slotAt(0)] = 0
  known.units[slotAt(1)] = -1
  const [first, second, third] = known.ask(text)
  assert.ok((first ?? 0) >= 128)
  assert.deepEqual([second, third], [80, 80])
  known.units[slotAt(0)] = -1
  assert.deepEqual(known.ask(text)[0], first)
})

test('keys further apart count where blocks are larger', () => {
  const known = new Case()
  known.ask(text)
  known.learn()
  for (const index of [0, 1]) known.hold(index, text, 5)
  known.units[slotAt(1)] = 2
  assert.deepEqual(known.ask(text), [80, 64, 0])
})

test('of a prompt with a new end its beginning is known', () => {
  const known = new Case()
  known.ask(`${text}one`)
  known.ask(`${text}other`)
  known.learn()
  known.hold(1, text, 6)
  assert.deepEqual(known.ask(`${text}third`)[1], 96)
})

test('a salt keeps prompts apart, known or not', () => {
  const known = new Case()
  known.ask(text)
  known.learn()
  known.hold(0, text, 5)
  const salted = ',"cache_salt":"a"'
  assert.deepEqual(known.ask(text, salted, false), [0, 0, 0])
  assert.deepEqual(known.ask(text, salted), [0, 0, 0])
  assert.ok((known.ask(text, salted)[0] ?? 0) >= 128, 'until its tokens are known, what was sent there says')
  known.learn()
  known.hold(1, text, 4, 'a')
  assert.deepEqual(known.ask(text, salted), [0, 64, 0])
  assert.deepEqual(known.ask(text), [80, 0, 0])
})

test('a body that changes the template is placed by what was sent, and is not asked for', () => {
  const known = new Case()
  known.hold(1, text, 5)
  const changed = ',"chat_template":"x"'
  assert.deepEqual(known.ask(text, changed), [0, 0, 0])
  assert.ok((known.ask(text, changed)[0] ?? 0) >= 128)
  assert.deepEqual(known.questions, [])
})
