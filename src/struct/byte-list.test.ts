import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type ByteList, byteLength, byteRange, type Splice, spliceBytes } from './byte-list.ts'

/** Slices, empty ones among them, of letters that show where each byte came from. */
const list = fc.array(fc.nat(7), { maxLength: 8 }).map((sizes) => {
  let next = 0
  return sizes.map((size) => Buffer.from(Array.from({ length: size }, () => 0x41 + (next++ % 58))))
})

/** Ascending splices without overlap, some of them touching, some only inserting. */
function splicesOf(numbers: readonly number[], inserts: readonly string[], total: number): Splice[] {
  const bounds = numbers.map((n) => n % (total + 1)).toSorted((a, b) => a - b)
  return inserts.slice(0, bounds.length >> 1).map((insert, i) => ({
    start: bounds[2 * i] as number,
    end: bounds[2 * i + 1] as number,
    insert: Buffer.from(insert),
  }))
}

const joined = (slices: ByteList): string => Buffer.concat(slices).toString('latin1')

function spliceText(text: string, splices: readonly Splice[]): string {
  let result = ''
  let pos = 0
  for (const { start, end, insert } of splices) {
    result += text.slice(pos, start) + insert.toString('latin1')
    pos = end
  }
  return result + text.slice(pos)
}

test('property: splicing slices gives what splicing the text gives, and leaves the input alone', () => {
  const inserts = fc.array(fc.constantFrom('', '1', '2345'), { maxLength: 5 })
  fc.assert(
    fc.property(list, fc.array(fc.nat(), { maxLength: 10 }), inserts, (slices, numbers, texts) => {
      const before = joined(slices)
      const splices = splicesOf(numbers, texts, before.length)
      // An insertion at the very end of a list without slices has no slice to stand behind.
      fc.pre(slices.length > 0)
      const result = spliceBytes(slices, splices)
      assert.equal(joined(result), spliceText(before, splices))
      assert.equal(byteLength(result), joined(result).length)
      assert.equal(joined(slices), before)
    }),
    { seed: 41, numRuns: 5000 },
  )
})

test('property: a range of slices is the range of the text', () => {
  fc.assert(
    fc.property(list, fc.nat(60), fc.nat(60), (slices, a, b) => {
      const [start, end] = [Math.min(a, b), Math.max(a, b)]
      assert.equal(byteRange(slices, start, end).toString('latin1'), joined(slices).slice(start, end))
    }),
    { seed: 42, numRuns: 2000 },
  )
})

test('what stays is shared, not copied', () => {
  const slices = [Buffer.from('abc'), Buffer.from('defg'), Buffer.from('hij')]
  assert.equal(spliceBytes(slices, []), slices)
  const result = spliceBytes(slices, [{ start: 4, end: 5, insert: Buffer.from('X') }])
  assert.equal(joined(result), 'abcdXfghij')
  assert.equal(result[0], slices[0])
  assert.equal(result.at(-1), slices[2])
  assert.equal(result[1]?.buffer, slices[1]?.buffer)
  assert.equal(byteRange(slices, 3, 7).buffer, slices[1]?.buffer)
})
