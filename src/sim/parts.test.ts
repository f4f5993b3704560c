import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { answerText, embeddingOf, fixedAnswer, sampleFromSchema, textAnswer, toolAnswer } from './answer.ts'
import { FaultPlan, faultFromText } from './fault.ts'
import { Histogram, oneTwoFive } from './histogram.ts'
import { MetricsPage, pythonNumber, rustNumber } from './metrics-page.ts'
import { formText, readMultipart } from './multipart.ts'
import { resolveSimOptions } from './options.ts'
import { detokenize, tokenize } from './tokens.ts'

const LIMITS = { maxTokens: undefined, defaultTokens: 16, room: 1_000 }

test('a text has one token for each four bytes, and tokens turn back into the text', () => {
  assert.equal(tokenize('').length, 0)
  assert.equal(tokenize('12345').length, 2)
  assert.equal(tokenize('äöü').length, 2)
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const clean = text.replaceAll('\0', '').toWellFormed()
      assert.equal(detokenize(tokenize(clean)), clean)
    }),
  )
})

test('the same seed and prompt give the same words, another seed or prompt others', () => {
  const words = (prompt: string, seed: number) => answerText(textAnswer(tokenize(prompt), seed, LIMITS))
  assert.equal(words('hello', 1), words('hello', 1))
  assert.notEqual(words('hello', 1), words('hello', 2))
  assert.notEqual(words('hello', 1), words('hello!', 1))
})

test('an answer is as long as asked for, and says how it ended', () => {
  const cases = [
    { limits: LIMITS, tokens: 16, finish: 'stop' },
    { limits: { ...LIMITS, maxTokens: 100 }, tokens: 100, finish: 'length' },
    { limits: { ...LIMITS, maxTokens: 2 }, tokens: 2, finish: 'length' },
    { limits: { ...LIMITS, room: 5 }, tokens: 5, finish: 'length' },
  ]
  for (const { limits, tokens, finish } of cases) {
    const answer = textAnswer(tokenize('x'), 1, limits)
    assert.deepEqual([answer.tokens, answer.finish], [tokens, finish])
  }
})

test('a fixed answer is whole, however long', () => {
  for (const length of [1, 63, 64, 65, 1_000]) {
    const text = 'abc'.repeat(length).slice(0, length)
    const answer = fixedAnswer(text, LIMITS)
    assert.equal(answerText(answer), text)
    assert.ok(answer.tokens <= 64)
  }
})

test('a tool answer is the arguments, in pieces that never split a letter', () => {
  const args = JSON.stringify({ city: 'Zürich 🏔🏔🏔🏔🏔' })
  const answer = toolAnswer({ name: 'f', args }, LIMITS)
  assert.equal(answerText(answer), args)
  assert.equal(answer.finish, 'tool_calls')
  for (let i = 0; i < answer.tokens; i++) assert.ok(answer.piece(i).isWellFormed())
  assert.equal(toolAnswer({ name: 'f', args }, { ...LIMITS, maxTokens: 2 }).finish, 'length')
})

test('sample arguments follow the schema', () => {
  const schema = {
    type: 'object',
    properties: {
      city: { type: 'string' },
      unit: { enum: ['c', 'f'] },
      days: { type: 'integer' },
      tags: { type: 'array', items: { type: 'string' } },
    },
  }
  assert.deepEqual(sampleFromSchema(schema), { city: 'city', unit: 'c', days: 1, tags: ['tags'] })
})

test('embeddings have length one and depend on the text only', () => {
  const vector = embeddingOf('a text', 1, 16)
  assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-9)
  assert.deepEqual(vector, embeddingOf('a text', 1, 16))
  assert.notDeepEqual(vector, embeddingOf('a tex', 1, 16))
})

test('numbers are written as the Python client writes them', () => {
  const cases: [number, string][] = [
    [0, '0.0'],
    [12, '12.0'],
    [999_999, '999999.0'],
    [1_843_000, '1.843e+06'],
    [1_795_253_819.5, '1.7952538195e+09'],
    [0.00030518509475996325, '0.00030518509475996325'],
    [Number.POSITIVE_INFINITY, '+Inf'],
    [Number.NaN, 'NaN'],
  ]
  for (const [value, text] of cases) assert.equal(pythonNumber(value), text)
  assert.equal(rustNumber(4), '4')
})

test('a histogram shows cumulative counts, sum and count', () => {
  const histogram = new Histogram([1, 2, 5])
  for (const value of [0.5, 1, 1.5, 4, 9]) histogram.observe(value)
  const page = new MetricsPage({ number: pythonNumber, hasHelp: true })
  page.histogram('h', 'A histogram.', { z: 'a"b\\c\nd' }, histogram)
  const label = 'z="a\\"b\\\\c\\nd"'
  assert.equal(
    page.toString(),
    `# HELP h A histogram.\n# TYPE h histogram\nh_bucket{le="1.0",${label}} 2.0\nh_bucket{le="2.0",${label}} 3.0\nh_bucket{le="5.0",${label}} 4.0\nh_bucket{le="+Inf",${label}} 5.0\nh_count{${label}} 5.0\nh_sum{${label}} 16.0\n`,
  )
  assert.deepEqual(oneTwoFive(120), [1, 2, 5, 10, 20, 50, 100])
})

test('a form is split into its parts, whatever bytes they hold', () => {
  const file = Buffer.from([0, 13, 10, 45, 45, 255])
  const body = Buffer.concat([
    Buffer.from('--B\r\ncontent-disposition: form-data; name="model"\r\n\r\ntiny\r\n'),
    Buffer.from('--B\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'),
    file,
    Buffer.from('\r\n--B--\r\n'),
  ])
  const parts = readMultipart('multipart/form-data; boundary=B', body) ?? []
  assert.equal(formText(parts, 'model'), 'tiny')
  assert.deepEqual(parts[1]?.data, file)
  assert.equal(parts[1]?.fileName, 'a.wav')
  assert.equal(readMultipart('application/json', body), undefined)
})

test('a fault is read from its short form', () => {
  assert.deepEqual(faultFromText('status; status=503; retryAfterS=2'), { kind: 'status', status: 503, retryAfterS: 2 })
  assert.deepEqual(faultFromText('delay;path=/metrics;delayMs=5'), { kind: 'delay', path: '/metrics', delayMs: 5 })
  for (const text of ['nothing', 'status;status=many', 'delay;what=1'])
    assert.throws(() => faultFromText(text), TypeError)
})

test('a fault applies as often as it says, to the paths it says', () => {
  const plan = new FaultPlan()
  plan.set({ kind: 'delay', times: 2 })
  const taken = [1, 2, 3].map(() => plan.take('/v1/completions', true, undefined)?.kind)
  assert.deepEqual(taken, ['delay', 'delay', undefined])
  plan.set({ kind: 'delay', path: '/metrics' })
  assert.equal(plan.take('/v1/completions', true, undefined), undefined)
  assert.equal(plan.take('/metrics', false, undefined)?.kind, 'delay')
  plan.set(undefined)
  assert.equal(plan.take('/metrics', false, undefined), undefined)
  const texts = [1, 2].map(() => plan.take('/x', true, 'garbage;times=1')?.kind)
  assert.deepEqual(texts, ['garbage', undefined])
})

test('options that make no sense are refused by name', () => {
  assert.throws(() => resolveSimOptions({ maxNumSeqs: 0 }), /maxNumSeqs must be at least 1/)
  assert.throws(() => resolveSimOptions({ ttftMs: Number.NaN }), /ttftMs/)
  assert.throws(() => resolveSimOptions({ models: [] }), /models/)
  assert.throws(() => resolveSimOptions({ models: ['a'], adapters: ['a'] }), /adapter a/)
  assert.equal(resolveSimOptions({ kvBlocks: 10, blockSize: 16 }).maxModelLen, 160)
})
