import assert from 'node:assert/strict'
import { test } from 'node:test'
import { replyHeaders } from './reply-headers.ts'

const own = { requestId: 'r', endpoint: undefined, added: undefined, hidesCors: false }

test('headers of plug-ins come with the answer, in the place of the engine’s of the same name', () => {
  const headers = ['x-session-token', 'engine', 'x-other', 'o']
  const added = ['x-session-token', 'plugin', 'set-cookie', 'a=b']
  assert.deepEqual(replyHeaders(headers, { ...own, added }), [
    ...['x-other', 'o', 'x-request-id', 'r'],
    ...['x-session-token', 'plugin', 'set-cookie', 'a=b'],
  ])
  assert.deepEqual(replyHeaders(headers, own), [...headers, 'x-request-id', 'r'])
})
