import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { CorsPlan } from '#config/snapshot.ts'
import type { RequestHead } from '#contracts/exchange.ts'
import { headerOf } from '#core/header-list.ts'
import { compileCors, isPreflight } from './cors.ts'

const plan: CorsPlan = {
  origins: ['https://a.example', 'http://localhost:3000'],
  headers: undefined,
  exposedHeaders: ['x-request-id', 'retry-after'],
  credentials: false,
  maxAgeMs: 90_500,
}
const anybody: CorsPlan = { ...plan, origins: ['*'] }

function head(method: string, ...headers: string[]): RequestHead {
  return { method, target: '/v1/chat/completions', headers }
}

function preflight(origin: string, ...headers: string[]): RequestHead {
  return head('OPTIONS', 'origin', origin, 'access-control-request-method', 'POST', ...headers)
}

test('a preflight is an OPTIONS that names an origin and a method', () => {
  assert.equal(isPreflight(preflight('https://a.example')), true)
  assert.equal(isPreflight(head('OPTIONS', 'origin', 'https://a.example')), false)
  assert.equal(isPreflight(head('OPTIONS', 'access-control-request-method', 'POST')), false)
  assert.equal(isPreflight(head('POST', 'origin', 'x', 'access-control-request-method', 'POST')), false)
})

describe('an answer', () => {
  const exposed = ['access-control-expose-headers', 'x-request-id, retry-after']
  const cases: readonly [title: string, plan: CorsPlan, origin: string | undefined, expected: readonly string[]][] = [
    [
      'to an allowed origin names it',
      plan,
      'https://a.example',
      ['vary', 'origin', 'access-control-allow-origin', 'https://a.example', ...exposed],
    ],
    ['to another origin gives no permission', plan, 'https://evil.example', ['vary', 'origin']],
    ['to a longer origin gives none', plan, 'https://a.example.evil', ['vary', 'origin']],
    ['to a page without an origin of its own gives none', plan, 'null', ['vary', 'origin']],
    ['to nobody depends on the origin too', plan, undefined, ['vary', 'origin']],
    ['to anybody', anybody, 'https://evil.example', ['access-control-allow-origin', '*', ...exposed]],
    ['to anybody who is no page', anybody, undefined, []],
    [
      'with credentials names the origin',
      { ...plan, credentials: true, exposedHeaders: [] },
      'http://localhost:3000',
      [
        'vary',
        'origin',
        'access-control-allow-origin',
        'http://localhost:3000',
        'access-control-allow-credentials',
        'true',
      ],
    ],
  ]
  for (const [title, of, origin, expected] of cases) {
    test(title, () => assert.deepEqual(compileCors(of).answer(origin), expected))
  }

  test('never gives credentials to any origin', () => {
    const cors = compileCors({ ...anybody, credentials: true })
    assert.equal(headerOf(cors.answer('https://evil.example'), 'access-control-allow-origin'), undefined)
  })

  test('makes no list of its own', () => {
    const cors = compileCors(plan)
    for (const origin of ['https://a.example', 'https://evil.example', undefined]) {
      assert.equal(cors.answer(origin), cors.answer(origin))
    }
  })
})

describe('a preflight', () => {
  const asked = ['access-control-request-headers', 'authorization,content-type, x-stainless-os']

  test('of an allowed origin is permitted what it asks for', () => {
    assert.deepEqual(compileCors(plan).preflight(preflight('https://a.example', ...asked)), [
      'vary',
      'origin',
      'access-control-allow-origin',
      'https://a.example',
      'access-control-allow-methods',
      'GET, HEAD, POST',
      'access-control-allow-headers',
      'authorization,content-type, x-stainless-os',
      'vary',
      'access-control-request-headers',
      'access-control-max-age',
      '90',
    ])
  })

  test('is permitted the headers of the plan where it has some', () => {
    const list = compileCors({ ...plan, headers: ['authorization', 'content-type'] }).preflight(
      preflight('https://a.example', ...asked),
    )
    assert.equal(headerOf(list, 'access-control-allow-headers'), 'authorization, content-type')
    const none = compileCors({ ...plan, headers: [] }).preflight(preflight('https://a.example', ...asked))
    assert.equal(headerOf(none, 'access-control-allow-headers'), undefined)
  })

  test('of another origin gets no permission', () => {
    assert.deepEqual(compileCors(plan).preflight(preflight('https://evil.example', ...asked)), ['vary', 'origin'])
  })

  test('is not repeated when it asks for nonsense', () => {
    for (const nonsense of ['a b', 'a,', 'é', `a${',a'.repeat(4000)}`, '']) {
      const list = compileCors(anybody).preflight(preflight('https://x', 'access-control-request-headers', nonsense))
      assert.equal(headerOf(list, 'access-control-allow-headers'), undefined)
      assert.equal(headerOf(list, 'access-control-allow-origin'), '*')
    }
  })
})
