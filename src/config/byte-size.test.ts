import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatByteSize, parseByteSize } from './byte-size.ts'

const cases: readonly (readonly [string, number | undefined])[] = [
  ['0', 0],
  ['4096', 4096],
  ['4096B', 4096],
  ['64KiB', 65_536],
  ['32MiB', 33_554_432],
  ['32 MiB', 33_554_432],
  ['1.5MB', 1_500_000],
  ['1GB', 1_000_000_000],
  ['1kB', 1000],
  ['', undefined],
  ['MiB', undefined],
  ['-1MiB', undefined],
  ['32Mi', undefined],
  ['32mib', undefined],
  ['0.3B', undefined],
  ['kiB', undefined],
  ['1kiB', undefined],
]

for (const [text, wanted] of cases) {
  test(`'${text}' is ${wanted === undefined ? 'no size' : `${wanted} bytes`}`, () => {
    assert.equal(parseByteSize(text), wanted)
  })
}

test('every size reads back from how it is written', () => {
  fc.assert(fc.property(fc.maxSafeNat(), (bytes) => assert.equal(parseByteSize(formatByteSize(bytes)), bytes)))
})
