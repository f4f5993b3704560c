import assert from 'node:assert/strict'
import { test } from 'node:test'
import { candidatesOf, type LoadRow, slotAt } from '#plugins/plugin-case.ts'
import { SequenceLimits } from './sequence-limits.ts'

/** The limit after each of these reports, 200 ms apart; `undefined` is a report that did not come. */
function limitsAfter(reports: readonly (LoadRow | undefined)[], startMs = 1_000): number[] {
  const limits = new SequenceLimits(64)
  return reports.map((report, i) => {
    const nowMs = startMs + 200 * i
    const { loads } = candidatesOf([report === undefined ? {} : { reportedAtMs: nowMs, kvUse: 0.2, ...report }])
    return limits.of(slotAt(0), loads, nowMs)
  })
}

function repeated<Value>(value: Value, times: number): Value[] {
  return Array.from({ length: times }, () => value)
}

const full = { running: 4, waiting: 3 }

test('an engine is taken to run 256 at a time, or as many as it says it runs', () => {
  assert.deepEqual(
    limitsAfter([
      { running: 3, waiting: 0 },
      { running: 300, waiting: 0 },
    ]),
    [256, 300],
  )
})

test('requests that wait while the same number runs show the limit after about a second', () => {
  assert.deepEqual(limitsAfter(repeated(full, 7)), [256, 256, 256, 256, 256, 4, 4])
})

test('a burst shows no limit: more run with each report', () => {
  const burst = [5, 20, 45, 60, 64, 64].map((running) => ({ running, waiting: 90 - running }))
  assert.deepEqual(limitsAfter(burst), repeated(256, 6))
})

test('what waits for memory shows no limit', () => {
  assert.deepEqual(limitsAfter(repeated({ ...full, kvUse: 0.97 }, 8)), repeated(256, 8))
})

test('a limit is forgotten when more run than it says', () => {
  assert.deepEqual(limitsAfter([...repeated(full, 6), { running: 9, waiting: 1 }]).slice(-2), [4, 256])
})

test('a report that is late changes nothing: an endpoint once got half of what the others got for it', () => {
  assert.deepEqual(limitsAfter([{ running: 3, waiting: 0 }, ...repeated(undefined, 40)]).at(-1), 256)
  assert.deepEqual(limitsAfter([...repeated(full, 6), undefined]).at(-1), 4)
})

test('an engine that never reports is taken for a small one, after five seconds', () => {
  const limits = limitsAfter(repeated(undefined, 30))
  assert.deepEqual([limits[0], limits[24], limits[25]], [256, 256, 16])
})
