import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { translateText } from './translate-case.ts'

const words = [
  'models',
  'endpoints',
  'a',
  'http://x',
  'kind',
  'apiVersion',
  'ModelRoute',
  'spec',
  'metadata',
  'name',
  'rules',
  '__proto__',
  'listeners',
  'port',
  'tls',
  'profiles',
  'split',
  '',
]

test('no document, however odd, makes the translation throw', () => {
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom(...words),
      fc.integer(),
      fc.constant(null),
      fc.boolean(),
      tie('list'),
      tie('map'),
    ),
    list: fc.array(tie('any'), { maxLength: 3 }),
    map: fc.dictionary(fc.constantFrom(...words), tie('any'), { maxKeys: 4 }),
  })).map
  fc.assert(
    fc.property(value, (document) => {
      const result = translateText(JSON.stringify(document))
      if (!result.ok) for (const problem of result.problems) assert.ok(problem.line >= 1, problem.message)
    }),
    { numRuns: 500 },
  )
})

test('no text makes the translation throw', () => {
  const piece = fc.constantFrom(
    'models:',
    '\n',
    '  ',
    '- ',
    '{',
    '}',
    '[',
    ']',
    ': ',
    '"',
    "'",
    '&a ',
    '*a',
    '<<: ',
    '${A}',
    '${',
    '---\n',
    '\t',
    '#',
    'kind: Secret\n',
    '|',
    '!!x ',
    'a',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      translateText(pieces.join(''), { env: { A: 'x' } })
    }),
    { numRuns: 1000 },
  )
})

test('too many endpoints are one problem', () => {
  const hosts = Array.from({ length: 3 }, (_, i) => `http://10.0.0.${i}`)
  const result = translateText(
    `models: { a: { dataParallel: 1024, endpoints: [${hosts.join(', ')}] }, b: { dataParallel: 1024, endpoints: [${hosts.join(', ')}] } }`,
  )
  assert.ok(!result.ok)
  assert.deepEqual(
    result.problems.map(({ message }) => message),
    ['6144 endpoints are too many: one gateway holds at most 4096'],
  )
})

test('a configuration without a model is valid, with a warning', () => {
  const result = translateText('listeners: [{ port: 1 }]')
  assert.ok(result.ok)
  assert.deepEqual(
    result.warnings.map(({ message }) => message),
    ['no model is configured: every request will be refused'],
  )
})
