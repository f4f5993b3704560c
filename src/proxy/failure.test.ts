import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type RefusalReason, refusals } from '#core/refusal.ts'
import { failureMessage, isRetryableStatus, retryAfterMs } from './failure.ts'

test('only answers that say "not now" are worth another endpoint', () => {
  const retryable = Array.from({ length: 600 }, (_, status) => status).filter((status) => isRetryableStatus(status))
  assert.deepEqual(retryable, [429, 502, 503, 504])
})

test('retry-after is read in whole seconds and bounded by a minute', () => {
  const cases: readonly [value: string | undefined, ms: number][] = [
    [undefined, 0],
    ['', 0],
    ['0', 0],
    ['3', 3000],
    ['60', 60_000],
    ['86400', 60_000],
    ['9999999', 0],
    ['-1', 0],
    ['1.5', 0],
    ['2s', 0],
    ['Wed, 21 Oct 2026 07:28:00 GMT', 0],
  ]
  for (const [value, ms] of cases) {
    const headers = value === undefined ? [] : ['x', 'y', 'retry-after', value]
    assert.equal(retryAfterMs({ status: 503, headers, body: 'none', bodyBytes: 0, keepAlive: true }), ms, value)
  }
})

test('every upstream failure has a sentence, and none gives an address away', () => {
  const reasons = Object.keys(refusals).filter((reason) => reason.startsWith('upstream-')) as RefusalReason[]
  assert.ok(reasons.length >= 6)
  for (const reason of reasons) assert.match(failureMessage(reason), /^The [^\d]*model server [^\d]+\.$/)
})
