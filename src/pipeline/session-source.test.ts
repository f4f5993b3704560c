import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionSource } from '#config/snapshot.ts'
import { compileSessionOf } from './session-source.ts'

const source = (from: SessionSource['from'], name = ''): SessionSource => ({ from, name })

function jwt(claims: unknown): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `Bearer ${part({ alg: 'none' })}.${part(claims)}.c2ln`
}

const request = (headers: readonly string[] = [], target = '/v1/messages', session?: string) => ({
  headers,
  target,
  session,
})

const cases: readonly (readonly [SessionSource, ReturnType<typeof request>, string | undefined])[] = [
  [source('body'), request([], '/', 'b'), 'b'],
  [source('body'), request(), undefined],
  [source('header', 'x-id'), request(['x-id', 'h', 'x-id', 'i']), 'h'],
  [source('header', 'x-id'), request(['x-id', '']), undefined],
  [source('cookie', 'sid'), request(['cookie', 'a=1;sid=c d ; b=2']), 'c d'],
  [source('cookie', 'sid'), request(['cookie', 'asid=1', 'cookie', 'sid=2']), '2'],
  [source('cookie', 'sid'), request(['cookie', 'sid']), undefined],
  [source('query', 's'), request([], '/v1/messages?a=1&s=x%20y'), 'x y'],
  [source('query', 's'), request([], '/v1/messages'), undefined],
  [source('claim', 'sub'), request(['authorization', jwt({ sub: 'me' })]), 'me'],
  [source('claim', 'sub'), request(['authorization', jwt({ sub: 7 })]), '7'],
  [source('claim', 'sub'), request(['authorization', jwt({ sub: {} })]), undefined],
  [source('claim', 'toString'), request(['authorization', jwt({})]), undefined],
  [source('claim', 'sub'), request(['authorization', jwt(null)]), undefined],
  [source('claim', 'sub'), request(['authorization', 'Bearer a.!!.c']), undefined],
  [source('claim', 'sub'), request(['authorization', 'Bearer a.e30x.c']), undefined],
  [source('claim', 'sub'), request(['authorization', 'Bearer sk-123']), undefined],
  [source('claim', 'sub'), request(['authorization', jwt({ sub: 'x'.repeat(20_000) })]), undefined],
  [source('agent'), request(['x-claude-code-session-id', 'c']), 'c'],
  [source('agent'), request(['session_id', 'd', 'x-session-affinity', 'a']), 'a'],
  [source('agent'), request(['session-id', 'e']), 'e'],
  [source('agent'), request(['x-session-id', 'e']), undefined],
]

for (const [one, from, session] of cases) {
  test(`a session by ${one.from} ${one.name} of ${JSON.stringify(from).slice(0, 80)} is ${session}`, () => {
    assert.equal(compileSessionOf([one])(from), session)
  })
}

test('the first source that gives a text counts, and it is bounded', () => {
  const sessionOf = compileSessionOf([source('header', 'x-id'), source('agent'), source('body')])
  assert.equal(sessionOf(request(['session-id', 'a'], '/', 'b')), 'a')
  assert.equal(sessionOf(request(['session-id', 'a', 'x-id', 'h'], '/', 'b')), 'h')
  assert.equal(sessionOf(request([], '/', 'b')), 'b')
  assert.equal(sessionOf(request()), undefined)
  assert.equal(sessionOf(request(['x-id', 'y'.repeat(999)]))?.length, 256)
})
