import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ResponseReader } from '#proxy/response-reader.ts'
import type { ParsedResponseHead } from '#wire/http1/response-head.ts'
import { driveConnection } from './fuzz/driven-connection.ts'
import { slicesOf } from './fuzz/random.ts'
import { chatPath, probe, type RequestCase, requestCases } from './smuggling.ts'
import { type ResponseCase, responseCases } from './smuggling-responses.ts'

const validBody = '{"model":"tiny"}'
const limits = { headBytes: 64 * 1024, headerCount: 128, bodyBytes: 1024 * 1024 }

/** Whole, in two pieces cut at `cut`, and byte by byte when that is not too long. */
function waysToSend(bytes: Buffer, caseBytes: number): (readonly number[])[] {
  const everywhere = bytes.length < 2000 ? [Array.from(bytes, (_, i) => i).slice(1)] : []
  return [[], [caseBytes], [caseBytes >> 1], ...everywhere]
}

function checkRequest({ bytes, answer, body = validBody }: RequestCase): void {
  const input = Buffer.from(bytes + probe, 'latin1')
  for (const cuts of waysToSend(input, bytes.length)) {
    const { served, refused, open } = driveConnection(slicesOf(input, cuts), limits)
    const targets = served.map(({ target }) => target)
    assert.ok(!targets.some((target) => target.includes('smuggled')), `smuggled: ${JSON.stringify(served)}`)
    if (answer === 'served') {
      assert.deepEqual([refused, served.length, open], [undefined, 2, true])
      assert.deepEqual([served[0]?.body, served[1]?.body], [body, validBody])
      assert.equal(targets[1], `${chatPath}?probe`)
    } else if (answer === 'ends') {
      assert.deepEqual([refused, served.length, open, served[0]?.body], [undefined, 1, false, body])
    } else {
      const complete = served.filter((one) => one.body !== undefined)
      assert.deepEqual([refused, complete.length, open], [answer, 0, false])
    }
  }
}

describe('no request is read as two', () => {
  for (const one of requestCases) test(`${one.group}: ${one.name} -> ${one.answer}`, () => checkRequest(one))
})

function checkResponse({ bytes, answer, body }: ResponseCase): void {
  const reader = new ResponseReader()
  const parts: string[] = []
  let head: ParsedResponseHead | undefined
  const sink = {
    head: (read: ParsedResponseHead) => {
      head = read
    },
    data: (data: Buffer, start: number, end: number) => void parts.push(data.toString('latin1', start, end)),
  }
  reader.begin(false)
  const input = Buffer.from(bytes, 'latin1')
  reader.read(input, input.length, sink)
  const isComplete = reader.complete || (reader.error === undefined && reader.endOfInput())
  const isReused = reader.complete && reader.keepAlive
  assert.equal(isComplete, answer === 'reused' || answer === 'dropped', reader.error)
  assert.equal(isReused, answer === 'reused')
  assert.equal(head === undefined, answer === 'refused')
  assert.equal(parts.join(''), body ?? '')
}

describe('no answer is read as two', () => {
  for (const one of responseCases) test(`${one.name} -> ${one.answer}`, () => checkResponse(one))
})
