import assert from 'node:assert/strict'
import { test } from 'node:test'
import { trimBlanks } from './trim-blanks.ts'

test('only spaces and tabs are blanks of a header', () => {
  const cases = [
    ['close', 'close'],
    [' \tclose\t ', 'close'],
    ['a b', 'a b'],
    ['', ''],
    [' \t ', ''],
    // The ten-minute fuzz found that `trim` took this byte away, so that a connection option was read that nobody sent.
    ['\xa0close', '\xa0close'],
    ['close\xa0 ', 'close\xa0'],
    ['\x0bclose', '\x0bclose'],
    ['\x85close', '\x85close'],
  ] as const
  for (const [text, trimmed] of cases) assert.equal(trimBlanks(text), trimmed, JSON.stringify(text))
})
