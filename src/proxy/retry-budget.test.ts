import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRng } from '#core/clock.ts'
import { RetryBudget } from './retry-budget.ts'

function taken(budget: RetryBudget, nowMs: number, tries = 1000): number {
  let count = 0
  while (count < tries && budget.take(nowMs)) count++
  return count
}

test('a quiet gateway may retry ten times per window', () => {
  const budget = new RetryBudget()
  assert.equal(taken(budget, 1_000_000), 10)
  assert.equal(taken(budget, 1_004_999), 0)
  assert.equal(taken(budget, 1_005_000), 0)
  assert.equal(taken(budget, 1_010_000), 10)
})

test('a busy one may retry a fifth of its requests more', () => {
  const budget = new RetryBudget()
  for (let i = 0; i < 1000; i++) budget.request(1_000_000 + i)
  assert.equal(taken(budget, 1_001_000), 210)
  for (let i = 0; i < 5; i++) budget.request(1_001_000)
  assert.equal(taken(budget, 1_001_000), 1)
})

test('requests and retries of long ago count no more', () => {
  const budget = new RetryBudget()
  for (let i = 0; i < 1000; i++) budget.request(1_000_000)
  assert.equal(taken(budget, 1_000_000), 210)
  assert.equal(taken(budget, 1_060_000), 10)
})

test('over any stretch of time retries stay near a fifth of the requests', () => {
  const budget = new RetryBudget()
  const rng = seededRng(5)
  let retries = 0
  let nowMs = 5_000_000
  for (let i = 0; i < 50_000; i++) {
    nowMs += rng() * 4
    budget.request(nowMs)
    if (budget.take(nowMs)) retries++
  }
  const windows = (nowMs - 5_000_000) / 5000
  assert.ok(retries <= 50_000 * 0.2 + 10 * (windows + 1), `${retries}`)
  assert.ok(retries >= 50_000 * 0.18, `${retries}`)
})
