import assert from 'node:assert/strict'
import { test } from 'node:test'
import { responseFields } from './response-fields.ts'

test('headers keep their order and repeats, those of the connection are left out', () => {
  const added = ['vary', 'origin', 'Connection', 'close']
  const headers = [
    'X-Two',
    '1',
    'transfer-encoding',
    'chunked',
    'x-two',
    '2',
    'keep-alive',
    'timeout=5',
    'te',
    'trailers',
  ]
  assert.deepEqual(responseFields(201, added, headers), [
    ':status',
    '201',
    'vary',
    'origin',
    'x-two',
    '1',
    'x-two',
    '2',
  ])
})

for (const [status, sent] of [
  [200, '200'],
  [599, '599'],
  [600, '502'],
  [999, '502'],
] as const) {
  test(`status ${status} goes out as ${sent}`, () =>
    assert.deepEqual(responseFields(status, [], []), [':status', sent]))
}
