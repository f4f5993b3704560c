import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseGoDuration } from './go-duration.ts'

test('durations are read as Go writes them', () => {
  const cases: readonly (readonly [string, number | undefined])[] = [
    ['200ms', 200],
    ['1m30s', 90_000],
    ['1m0s', 60_000],
    ['1.5h', 5_400_000],
    ['2us', 0.002],
    ['0', 0],
    ['0s', 0],
    ['', undefined],
    ['5', undefined],
    ['5 s', undefined],
    ['5d', undefined],
    ['s', undefined],
    ['1ms2', undefined],
  ]
  for (const [text, ms] of cases) assert.equal(parseGoDuration(text), ms, text)
})
