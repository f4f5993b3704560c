import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AdapterLoading } from './adapter-loading.ts'

test('an adapter counts as being loaded where it is not yet, until an answer comes or the request ends', () => {
  const loading = new AdapterLoading()
  const loaded = new Set([9])
  assert.equal(loading.placed(1, 0), undefined, 'nothing is known of the endpoints')
  loading.seen({ hasAdapter: (slot) => loaded.has(slot) })
  assert.equal(loading.placed(-1, 0), undefined, 'the base model')
  assert.equal(loading.placed(1, 9), undefined, 'loaded there')
  const first = loading.placed(1, 0)
  const second = loading.placed(1, 2)
  const other = loading.placed(2, 0)
  assert.deepEqual([loading.count(1), loading.count(2), loading.count(3)], [2, 1, 0])
  first?.()
  first?.()
  assert.equal(loading.count(1), 1, 'each counts once')
  second?.()
  other?.()
  assert.deepEqual([loading.count(1), loading.count(2)], [0, 0])
})
