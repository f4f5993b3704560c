import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { StringMatchPlan } from '#config/snapshot.ts'
import { compileStringMatch, maxRegexInput } from './string-match.ts'

const exact = (value: string): StringMatchPlan => ({ kind: 'exact', value })
const prefix = (value: string): StringMatchPlan => ({ kind: 'prefix', value })
const regex = (value: string): StringMatchPlan => ({ kind: 'regex', value })

describe('a condition on a string', () => {
  const cases: { plan: StringMatchPlan; holds: string[]; fails: string[] }[] = [
    { plan: exact('premium'), holds: ['premium'], fails: ['Premium', 'premium ', ''] },
    { plan: exact(''), holds: [''], fails: ['x'] },
    { plan: prefix('/v1/'), holds: ['/v1/', '/v1/chat'], fails: ['/v1', '/V1/chat', '/x/v1/'] },
    { plan: prefix(''), holds: ['', 'x'], fails: [] },
    { plan: regex('b+'), holds: ['b', 'abba'], fails: ['', 'B'] },
    { plan: regex('^(?i)gold|silver$'), holds: ['GOLD', 'my silver'], fails: ['a gold'] },
    { plan: regex(String.raw`^\d{3}$`), holds: ['123'], fails: ['1234', '12'] },
    { plan: regex('^$'), holds: [''], fails: ['x'] },
    { plan: regex('ü.*😀'), holds: ['ü-😀'], fails: ['u-😀'] },
  ]
  for (const { plan, holds, fails } of cases) {
    test(`${plan.kind} '${plan.value}'`, () => {
      const match = compileStringMatch(plan)
      for (const value of holds) assert.equal(match(value), true, value)
      for (const value of fails) assert.equal(match(value), false, value)
    })
  }

  test('that is an invalid regex is not compiled', () => {
    assert.throws(() => compileStringMatch(regex('(')))
    assert.throws(() => compileStringMatch(regex('(?=look)')))
  })
})

test('a regex takes linear time on a value that makes a backtracking one explode', () => {
  // Backtracking needs 2^4095 steps for the first; anything that ends at all is linear enough.
  for (const pattern of ['(a+)+$', '^(a|aa)+$', '^(a|a?)+$', '(a*)*b', '([a-z]+)*[0-9]']) {
    const match = compileStringMatch(regex(pattern))
    assert.equal(match(`${'a'.repeat(maxRegexInput - 1)}!`), false, pattern)
  }
})

test('a regex is not tried on a value beyond the bound', () => {
  const match = compileStringMatch(regex('^a+$'))
  assert.equal(match('a'.repeat(maxRegexInput)), true)
  assert.equal(match('a'.repeat(maxRegexInput + 1)), false)
  assert.equal(match('a'.repeat(10_000)), false)
})
