import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type RefusalReason, refusals } from '#core/refusal.ts'
import { failureMessage, isOwnShortage, isRetryableStatus, retryAfterMs } from './failure.ts'

test('only answers that say "not now" are worth another endpoint', () => {
  const retryable = Array.from({ length: 600 }, (_, status) => status).filter((status) => isRetryableStatus(status))
  assert.deepEqual(retryable, [429, 502, 503, 504])
})

test('retry-after is read in whole seconds or as a date, and bounded by a minute', () => {
  const wallMs = Date.UTC(2026, 9, 21, 7, 28, 0)
  const cases: readonly [value: string | undefined, ms: number][] = [
    [undefined, 0],
    ['', 0],
    ['0', 0],
    ['3', 3000],
    ['60', 60_000],
    ['86400', 60_000],
    ['9999999999', 60_000],
    ['99999999999', 0],
    ['-1', 0],
    ['1.5', 0],
    ['2s', 0],
    ['Wed, 21 Oct 2026 07:28:07 GMT', 7000],
    ['Wednesday, 21-Oct-26 07:28:07 GMT', 7000],
    ['Wed Oct 21 07:28:07 2026', 7000],
    ['Wed, 21 Oct 2026 08:28:00 GMT', 60_000],
    ['Wed, 21 Oct 2026 07:27:00 GMT', 0],
    ['Wed, 41 Oct 2026 07:28:07 GMT', 0],
    ['21 Oct 2026 07:28:07 GMT', 0],
    ['2026-10-21T07:28:07Z', 0],
  ]
  for (const [value, ms] of cases) {
    const headers = value === undefined ? [] : ['x', 'y', 'retry-after', value]
    assert.equal(retryAfterMs({ status: 503, headers, body: 'none', bodyBytes: 0, keepAlive: true }, wallMs), ms, value)
  }
})

test('every upstream failure has a sentence, and none gives an address away', () => {
  const reasons = Object.keys(refusals).filter((reason) => reason.startsWith('upstream-')) as RefusalReason[]
  assert.ok(reasons.length >= 6)
  for (const reason of reasons) assert.match(failureMessage(reason), /^The [^\d]*model server [^\d]+\.$/)
})

test('a connection that fails for want of descriptors or ports of our own is told from one that was refused', () => {
  const cases: readonly [detail: string, isOwn: boolean][] = [
    ['connect EMFILE 10.0.0.1:8000 - Local (undefined:undefined)', true],
    ['connect EADDRNOTAVAIL 10.0.0.1:8000 - Local (0.0.0.0:0)', true],
    ['connect ECONNREFUSED 10.0.0.1:8000', false],
    ['getaddrinfo ENOTFOUND emfile.example', false],
    ['', false],
  ]
  for (const [detail, isOwn] of cases) assert.equal(isOwnShortage(detail), isOwn, detail)
})
