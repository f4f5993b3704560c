import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatDuration, maxDurationMs, parseDuration } from './duration.ts'

const cases: readonly (readonly [string, number | undefined])[] = [
  ['0', 0],
  ['0s', 0],
  ['250ms', 250],
  ['10s', 10_000],
  ['1.5s', 1500],
  ['.5s', 500],
  ['1m30s', 90_000],
  ['1h', 3_600_000],
  ['1h2m3s4ms', 3_723_004],
  ['5us', 0.005],
  ['5µs', 0.005],
  ['', undefined],
  ['10', undefined],
  ['s', undefined],
  ['-1s', undefined],
  ['1s ', undefined],
  ['1S', undefined],
  ['1d', undefined],
  ['1s2', undefined],
  ['1..5s', undefined],
  ['.s', undefined],
]

for (const [text, wanted] of cases) {
  test(`'${text}' is ${wanted === undefined ? 'no duration' : `${wanted} ms`}`, () => {
    assert.equal(parseDuration(text), wanted)
  })
}

test('every whole number of milliseconds reads back from how it is written', () => {
  fc.assert(fc.property(fc.nat(maxDurationMs), (ms) => assert.equal(parseDuration(formatDuration(ms)), ms)))
})

test('any text is read in a bounded time', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('1', '.', 's', 'm'), maxLength: 60 }), (text) => {
      const durationMs = parseDuration(text)
      assert.ok(durationMs === undefined || durationMs >= 0)
    }),
  )
})
