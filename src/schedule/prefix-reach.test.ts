import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFacts } from '#contracts/facts.ts'
import { health } from '#core/endpoint.ts'
import { createEndpointTable } from '#datastore/endpoint-table.ts'
import { noReach, reachOf } from './prefix-reach.ts'

interface Case {
  /** By slot. */
  readonly cached: readonly number[]
  readonly ejected?: number
  readonly unready?: number
}

function reach({ cached, ejected, unready }: Case, knowsCache = true) {
  const loads = createEndpointTable()
  const facts = createFacts(cached.length)
  facts.cachedTokens.set(cached)
  if (ejected !== undefined) loads.ejected[ejected] = 1
  if (unready !== undefined) loads.health[unready] = health.unready
  return reachOf({ facts, knowsCache }, { slots: Int32Array.from(cached, (_, i) => i), count: cached.length, loads })
}

const cases: readonly [what: string, given: Case, reachable: number, copies: number][] = [
  ['nobody has anything', { cached: [0, 0, 0] }, 0, 0],
  ['no endpoint', { cached: [] }, 0, 0],
  ['too little to count', { cached: [1000, 1023, 900] }, 1023, 0],
  ['one', { cached: [0, 1024, 0] }, 1024, 1],
  ['those with half of it', { cached: [4096, 2048, 2047, 64] }, 4096, 2],
  ['all', { cached: [8192, 8192, 8192] }, 8192, 3],
  ['not one that gets no requests', { cached: [8192, 4096, 4096, 100_000], ejected: 0, unready: 3 }, 4096, 2],
]

for (const [what, given, reachableTokens, prefixCopies] of cases) {
  test(`the copies of a prefix are counted: ${what}`, () => {
    assert.deepEqual(reach(given), { reachableTokens, prefixCopies })
  })
}

test('a profile that does not know caches counts nothing', () => {
  assert.equal(reach({ cached: [4096, 4096] }, false), noReach)
})
