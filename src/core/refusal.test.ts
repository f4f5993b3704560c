import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Fault, faultFrom } from './fault.ts'
import { headerOf, headerValues } from './header-list.ts'
import { isRefusal, refusals, refuse } from './refusal.ts'

test('a refusal is told from every other value', () => {
  assert.deepEqual(refuse('no-endpoint', 'None.', { retryAfterS: 2 }), {
    kind: 'refusal',
    reason: 'no-endpoint',
    message: 'None.',
    param: undefined,
    retryAfterS: 2,
  })
  assert.equal(isRefusal(refuse('draining', 'Bye.')), true)
  for (const value of [undefined, null, 'refusal', 5, {}, [], { kind: 'syntax' }]) assert.equal(isRefusal(value), false)
})

test('every row of the table says what it means and what to do', () => {
  for (const [reason, row] of Object.entries(refusals)) {
    assert.match(reason, /^[a-z]+(-[a-z]+)*$/)
    assert.ok(row.means.length > 10 && row.advice.length > 10, reason)
    assert.ok(row.grpc >= 1 && row.grpc <= 16, reason)
    // What is the caller's mistake does not go away by itself; what is not, does.
    if (row.http >= 500 && row.http !== 501 && row.http !== 505 && row.http !== 508)
      assert.equal(row.retry, true, reason)
  }
})

test('whatever is caught becomes one fault', () => {
  const fault = new Fault('upstream', 'gone', { retryable: true })
  assert.equal(faultFrom(fault), fault)
  const error = new TypeError('x is undefined')
  const wrapped = faultFrom(error)
  assert.deepEqual(
    [wrapped.source, wrapped.retryable, wrapped.message, wrapped.cause],
    ['self', false, 'x is undefined', error],
  )
  for (const thrown of ['text', 5, undefined, null, { a: 1 }]) assert.equal(faultFrom(thrown).source, 'self')
})

test('headers are found by lower-case name, repeats in order', () => {
  const headers = ['a', '1', 'b', 'a', 'a', '2']
  assert.equal(headerOf(headers, 'a'), '1')
  assert.equal(headerOf(headers, 'b'), 'a')
  assert.equal(headerOf(headers, '1'), undefined)
  assert.deepEqual(headerValues(headers, 'a'), ['1', '2'])
  assert.deepEqual(headerValues(headers, 'c'), [])
})
