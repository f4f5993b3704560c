import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createEndpointTable } from '#datastore/endpoint-table.ts'
import { thinSlowStarters } from './slow-start.ts'

test('no decision is left without candidates when another thread brings the others back in its midst', () => {
  // Once that left none, and the picker's choice of none was a fault.
  const table = createEndpointTable()
  table.returnedAtMs[0] = 1000
  const candidates = { slots: Int32Array.of(0, 1), count: 2, loads: table }
  const rng = (): number => {
    table.returnedAtMs[1] = 1000
    return 0.99
  }
  assert.equal(thinSlowStarters(candidates, { table, slowStartMs: 10_000, nowMs: 1000, rng }), false)
  assert.deepEqual([candidates.count, ...candidates.slots], [2, 0, 1])
})
