import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { eventData, eventEnd, lastEventEnd } from './sse.ts'

/** A text inside a larger buffer whose other bytes must not be looked at. */
function inside(text: string): { data: Buffer; start: number; end: number } {
  const data = Buffer.from(`\n\n${text}\n\n data: x\n\n`, 'latin1')
  return { data, start: 2, end: 2 + Buffer.byteLength(text, 'latin1') }
}

/** Positions behind every event of a text, the slow way. */
function boundaries(text: string): number[] {
  return [...text.matchAll(/(?<=\n)\r?\n/g)].map(({ index, 0: blank }) => index + blank.length)
}

const piece = fc.constantFrom('\n', '\r\n', '\r', 'data: x', 'event: y\n', ':', '\n\n', '\r\n\r\n', ' ')
const text = fc.array(piece, { maxLength: 14 }).map((pieces) => pieces.join(''))

test('property: the last event ends at the last blank line', () => {
  fc.assert(
    fc.property(text, (sample) => {
      const { data, start, end } = inside(sample)
      const last = boundaries(sample).at(-1)
      assert.equal(lastEventEnd(data, start, end), last === undefined ? -1 : start + last)
    }),
    { seed: 51, numRuns: 3000 },
  )
})

test('property: the first event ends at the first blank line', () => {
  fc.assert(
    fc.property(text, (sample) => {
      const { data, start, end } = inside(sample)
      const first = boundaries(sample)[0]
      assert.equal(eventEnd(data, start, end), first === undefined ? -1 : start + first)
    }),
    { seed: 52, numRuns: 3000 },
  )
})

describe('the payload of an event is its one data line', () => {
  const cases: readonly [text: string, payload: string | undefined][] = [
    ['data: {"a":1}\n\n', '{"a":1}'],
    ['data:{"a":1}\n\n', '{"a":1}'],
    ['data:  x\n\n', ' x'],
    ['data: x\r\n\r\n', 'x'],
    ['event: e\ndata: x\n\n', 'x'],
    ['id: 1\r\ndata: x\r\nretry: 5\r\n\r\n', 'x'],
    [': comment\n\ndata: x\n\n', 'x'],
    ['data: x', 'x'],
    ['data: x\r', 'x'],
    ['data:', ''],
    ['data:\n\n', ''],
    ['data:\r\n\r\n', ''],
    ['data: \n\n', ''],
    ['data: a: b\n\n', 'a: b'],
    ['data: x\ndata: y\n\n', undefined],
    ['data: x\r\ndata:\r\n\r\n', undefined],
    ['event: ping\n\n', undefined],
    [': comment\n\n', undefined],
    [' data: x\n\n', undefined],
    ['Data: x\n\n', undefined],
    ['data\n\n', undefined],
    ['database: x\n\n', undefined],
    ['', undefined],
  ]
  for (const [sample, payload] of cases) {
    test(JSON.stringify(sample), () => {
      const { data, start, end } = inside(sample)
      const range = eventData(data, start, end)
      assert.equal(range === undefined ? undefined : data.toString('latin1', range.start, range.end), payload)
    })
  }
})
