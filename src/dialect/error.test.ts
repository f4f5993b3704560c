import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type RefusalReason, refusals, refuse } from '#core/refusal.ts'
import { dialectOf } from './dialects.ts'

const message = 'Say "no"\n– ä.'
const openai = dialectOf('openai')
const anthropic = dialectOf('anthropic')

/** Types that the clients of the two APIs know. */
const openaiTypes =
  /^(?:invalid_request_error|server_error|upstream_error|rate_limit_error|authentication_error|permission_error)$/
const anthropicTypes =
  /^(?:invalid_request|authentication|permission|not_found|rate_limit|api|overloaded|timeout)_error$|^request_too_large$/

describe('every refusal has a body in both shapes', () => {
  for (const reason of Object.keys(refusals) as RefusalReason[]) {
    test(reason, () => {
      const row = refusals[reason]
      assert.ok(row.http >= 400 && row.http <= 599)
      assert.match(row.type, openaiTypes)
      assert.match(row.anthropicType, anthropicTypes)
      assert.match(row.code, /^[a-z]+(_[a-z]+)*$/)
      assert.deepEqual(JSON.parse(openai.errorBody(refuse(reason, message, { param: 'model' }))), {
        error: { message, type: row.type, param: 'model', code: row.code },
      })
      assert.equal(JSON.parse(openai.errorBody(refuse(reason, message))).error.param, null)
      assert.deepEqual(JSON.parse(anthropic.errorBody(refuse(reason, message))), {
        type: 'error',
        error: { type: row.anthropicType, message },
      })
    })
  }
})

/** Fields of one server-sent event, and that it is exactly one. */
function eventOf(text: string): { event: string | undefined; data: unknown } {
  assert.ok(text.endsWith('\n\n'))
  const lines = text.slice(0, -2).split('\n')
  const event = lines.find((line) => line.startsWith('event: '))?.slice(7)
  const data = lines.find((line) => line.startsWith('data: '))?.slice(6) ?? ''
  assert.equal(lines.length, event === undefined ? 1 : 2)
  return { event, data: JSON.parse(data) }
}

test('a stream ends with one event in the shape its client raises on', () => {
  const refusal = refuse('upstream-reset', message, { param: 'x' })
  const { type, code, anthropicType } = refusals['upstream-reset']
  for (const api of ['chat', 'completions'] as const) {
    assert.deepEqual(eventOf(openai.errorEvent(refusal, api)), {
      event: undefined,
      data: { error: { message, type, param: 'x', code } },
    })
  }
  assert.deepEqual(eventOf(openai.errorEvent(refusal, 'responses')), {
    event: 'error',
    data: { type: 'error', code, message, param: 'x' },
  })
  assert.deepEqual(eventOf(anthropic.errorEvent(refusal, 'messages')), {
    event: 'error',
    data: { type: 'error', error: { type: anthropicType, message } },
  })
})
