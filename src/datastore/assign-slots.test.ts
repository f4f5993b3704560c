import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EndpointPlan, Snapshot } from '#config/snapshot.ts'
import { health } from '#core/endpoint.ts'
import { createSlotAllocator } from './assign-slots.ts'
import { createEndpointTable, maxEndpoints } from './endpoint-table.ts'
import { acquire, openLeases } from './lease.ts'
import { ejectionPlan, endpointPlan, modelServerPlan, snapshotOf } from './snapshot-case.ts'

function slotsOf(snapshot: Snapshot): Record<string, number> {
  const entries = snapshot.modelServers.flatMap(({ key, endpoints }) =>
    endpoints.map(({ id, slot }) => [`${key} ${id}`, slot] as const),
  )
  return Object.fromEntries(entries)
}

function endpointOf(snapshot: Snapshot, id: string): EndpointPlan {
  const endpoint = snapshot.modelServers.flatMap(({ endpoints }) => endpoints).find((candidate) => candidate.id === id)
  assert.ok(endpoint)
  return endpoint
}

const one = (...ids: string[]): Snapshot => snapshotOf([modelServerPlan('a/a', ids)])

describe('slots', () => {
  test('are given once each, also to the same address in two model servers', () => {
    const table = createEndpointTable()
    const snapshot = snapshotOf([modelServerPlan('a/a', ['h:1', 'h:2']), modelServerPlan('a/b', ['h:1'])])
    const assigned = createSlotAllocator(table).assign(snapshot)
    assert.deepEqual(slotsOf(assigned), { 'a/a h:1': 0, 'a/a h:2': 1, 'a/b h:1': 2 })
    for (const { slot, generation } of assigned.modelServers.flatMap(({ endpoints }) => endpoints)) {
      assert.equal(generation, table.generation[slot])
    }
    assert.equal(endpointOf(snapshot, 'h:1').slot, -1)
  })

  test('stay with their endpoints over snapshots, whatever the order', () => {
    const allocator = createSlotAllocator(createEndpointTable())
    const first = allocator.assign(one('h:1', 'h:2', 'h:3'))
    const second = allocator.assign(one('h:4', 'h:3', 'h:1'))
    assert.deepEqual(slotsOf(second), { 'a/a h:4': 3, 'a/a h:3': 2, 'a/a h:1': 0 })
    assert.equal(endpointOf(second, 'h:1').generation, endpointOf(first, 'h:1').generation)
  })

  test('change when an id moves to another address', () => {
    const allocator = createSlotAllocator(createEndpointTable())
    const at = (host: string): Snapshot =>
      snapshotOf([modelServerPlan('a/a', [], { endpoints: [endpointPlan('x', { host, port: 1 })] })])
    allocator.assign(at('h1'))
    assert.equal(endpointOf(allocator.assign(at('h2')), 'x').slot, 1)
  })

  test('come back with an endpoint that returns: its requests counted, its reports forgotten', () => {
    const table = createEndpointTable()
    const forgotten: number[] = []
    const allocator = createSlotAllocator(table, (slot) => forgotten.push(slot))
    const { slot, generation } = endpointOf(allocator.assign(one('h:1')), 'h:1')
    const lease = acquire(table, { slot, generation }, { promptTokens: 5, uncachedTokens: 5 }, ejectionPlan())
    table.health[slot] = health.unready
    table.running[slot] = 9
    table.restUntilMs[slot] = 1e12
    allocator.assign(one('h:2'))
    const back = endpointOf(allocator.assign(one('h:1', 'h:2')), 'h:1')
    assert.deepEqual([back.slot, back.generation, table.inFlight[slot]], [slot, generation, 1])
    assert.deepEqual([table.health[slot], table.running[slot], table.restUntilMs[slot]], [0, Number.NaN, 0])
    assert.deepEqual(forgotten, [slot])
    lease.release()
    assert.equal(openLeases(table), 0)
  })
})

describe('in a full table', () => {
  const many = (from: number, count: number): Snapshot =>
    one(...Array.from({ length: count }, (_, i) => `h:${from + i}`))

  test('the slot free for longest is reset and used again, but not while a request is on it', () => {
    const table = createEndpointTable()
    const allocator = createSlotAllocator(table)
    const full = allocator.assign(many(1, maxEndpoints))
    const busy = endpointOf(full, 'h:1')
    const lease = acquire(table, busy, { promptTokens: 0, uncachedTokens: 0 }, ejectionPlan())
    allocator.assign(many(3, maxEndpoints - 2))
    table.ttftMs[1] = 5
    const next = endpointOf(
      allocator.assign(one(...many(3, maxEndpoints - 2).modelServers.flatMap(idsOf), 'new:1')),
      'new:1',
    )
    assert.equal(next.slot, 1)
    assert.equal(next.generation, endpointOf(full, 'h:2').generation + 1)
    assert.equal(table.ttftMs[1], Number.NaN)
    lease.release()
    assert.equal(openLeases(table), 0)
  })

  test('a slot with requests is used when there is no other, and their release hits nothing', () => {
    const table = createEndpointTable()
    const allocator = createSlotAllocator(table)
    const busy = endpointOf(allocator.assign(many(1, maxEndpoints)), 'h:1')
    const lease = acquire(table, busy, { promptTokens: 0, uncachedTokens: 0 }, ejectionPlan())
    const next = endpointOf(allocator.assign(many(2, maxEndpoints)), `h:${maxEndpoints + 1}`)
    assert.equal(next.slot, busy.slot)
    lease.release()
    assert.equal(table.inFlight[busy.slot], 0)
  })

  test('one endpoint too many is a fault, and the slots stay as they were', () => {
    const allocator = createSlotAllocator(createEndpointTable())
    const before = slotsOf(allocator.assign(one('h:1', 'h:2')))
    assert.throws(() => allocator.assign(many(1, maxEndpoints + 1)), /4097 endpoints; a gateway holds at most 4096/)
    assert.deepEqual(slotsOf(allocator.assign(one('h:1', 'h:2'))), before)
  })
})

function idsOf({ endpoints }: { readonly endpoints: readonly EndpointPlan[] }): string[] {
  return endpoints.map(({ id }) => id)
}
