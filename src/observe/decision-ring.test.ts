import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DecisionHead } from '#contracts/decision-record.ts'
import { decisionHead, decisionRecord } from './decision-case.ts'
import { type DecisionQuery, DecisionRing, type KeptDecision } from './decision-ring.ts'

const everything: DecisionQuery = {
  requestId: undefined,
  model: undefined,
  modelServer: undefined,
  endpoint: undefined,
  profile: undefined,
  limit: 1000,
  isWhole: false,
}

function kept(given: Partial<DecisionHead> = {}, { bytes = 1, candidates = 2 } = {}): KeptDecision {
  const head = decisionHead(given)
  const { requestId, model, modelServer, profile, chosen } = head
  return {
    requestId,
    model,
    modelServer,
    profile,
    chosen,
    bytes,
    candidates,
    head: () => head,
    record: () => decisionRecord(given),
  }
}

const idsOf = (ring: DecisionRing, query: Partial<DecisionQuery> = {}): string[] =>
  ring.recent({ ...everything, ...query }).decisions.map(({ requestId }) => requestId)

test('the newest decisions stay, within the bounds of number and of memory', () => {
  const byCount = new DecisionRing({ maxCount: 3, maxBytes: 100 })
  for (const requestId of ['a', 'b', 'c', 'd', 'e']) byCount.add(kept({ requestId }))
  assert.deepEqual([idsOf(byCount), byCount.count, byCount.bytes], [['e', 'd', 'c'], 3, 3])
  const byBytes = new DecisionRing({ maxCount: 100, maxBytes: 100 })
  for (const requestId of ['a', 'b', 'c']) byBytes.add(kept({ requestId }, { bytes: 40 }))
  byBytes.add(kept({ requestId: 'too large' }, { bytes: 101 }))
  assert.deepEqual([idsOf(byBytes), byBytes.bytes], [['c', 'b'], 80])
})

test('conditions are joined, and a limit says that there are more', () => {
  const ring = new DecisionRing({ maxCount: 10, maxBytes: 100 })
  ring.add(kept({ requestId: 'a', model: 'x', chosen: 'h:1', profile: 'p' }))
  ring.add(kept({ requestId: 'b', model: 'x', chosen: 'h:2', profile: 'p' }))
  ring.add(kept({ requestId: 'c', model: 'y', chosen: 'h:2', modelServer: 'm/y' }))
  ring.add(kept({ requestId: 'a', model: 'x', attempt: 2, chosen: undefined }))
  assert.deepEqual(idsOf(ring, { model: 'x' }), ['a', 'b', 'a'])
  assert.deepEqual(idsOf(ring, { model: 'x', endpoint: 'h:2' }), ['b'])
  assert.deepEqual(idsOf(ring, { modelServer: 'm/y' }), ['c'])
  assert.deepEqual(idsOf(ring, { profile: 'p' }), ['b', 'a'])
  assert.deepEqual(idsOf(ring, { requestId: 'a' }), ['a', 'a'])
  assert.deepEqual(idsOf(ring, { requestId: 'nobody' }), [])
  const two = ring.recent({ ...everything, limit: 2 })
  assert.deepEqual([two.decisions.length, two.isTruncated], [2, true])
  assert.equal(ring.recent({ ...everything, limit: 4 }).isTruncated, false)
})

test('whole decisions are bounded by their candidates, but one is always given', () => {
  const ring = new DecisionRing({ maxCount: 10, maxBytes: 100 })
  for (const requestId of ['a', 'b', 'c']) ring.add(kept({ requestId }, { candidates: 3000 }))
  const { decisions, isTruncated } = ring.recent({ ...everything, isWhole: true })
  assert.deepEqual([decisions.length, isTruncated, 'candidates' in (decisions[0] ?? {})], [1, true, true])
  assert.equal(ring.recent(everything).decisions.length, 3)
})
