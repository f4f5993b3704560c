import assert from 'node:assert/strict'
import { test } from 'node:test'
import { draftOutcome } from './outcome.ts'

test('an outcome begins with nothing known: no instant but its start, no bytes, nobody to blame', () => {
  const { startedAtMs, usage, ...rest } = draftOutcome(1234)
  assert.equal(startedAtMs, 1234)
  assert.ok(Object.values(usage).every((tokens) => tokens === undefined))
  for (const [key, value] of Object.entries(rest)) {
    if (key.endsWith('AtMs')) assert.ok(Number.isNaN(value), key)
    else assert.ok(value === undefined || value === '' || value === 0 || value === false || Array.isArray(value), key)
  }
})

test('drafts share one order of fields, and nothing that can be changed', () => {
  const [first, second] = [draftOutcome(1), draftOutcome(2)]
  first.requestId = 'a'
  first.failedAttempts = [{ modelServer: 's', endpoint: 'e', reason: 'upstream-reset' }]
  assert.deepEqual(Object.keys(first), Object.keys(second))
  assert.equal(second.requestId, '')
  assert.deepEqual(second.failedAttempts, [])
})
