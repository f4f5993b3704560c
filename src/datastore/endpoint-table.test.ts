import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  addAdapter,
  attachEndpointTable,
  createEndpointTable,
  type EndpointTable,
  maxAdapters,
  maxEndpoints,
  resetSlot,
  setAdapters,
} from './endpoint-table.ts'

type Column = Float64Array | Int32Array

function columnsOf(table: EndpointTable): Record<string, Column> {
  const isColumn = (value: unknown): value is Column => value instanceof Float64Array || value instanceof Int32Array
  return Object.fromEntries(Object.entries(table).filter((entry): entry is [string, Column] => isColumn(entry[1])))
}

test('another thread sees every column of the same memory, and no two columns overlap', () => {
  const table = createEndpointTable()
  const other = attachEndpointTable(table.buffer)
  const names = Object.keys(columnsOf(table))
  for (const [i, name] of names.entries()) columnsOf(table)[name]?.fill(i + 1)
  for (const [i, name] of names.entries()) {
    const column = columnsOf(other)[name]
    assert.equal(column?.[0], i + 1, name)
    assert.equal(column?.at(-1), i + 1, name)
  }
})

test('a fresh row knows nothing: unknown is NaN, not zero', () => {
  const table = createEndpointTable()
  const last = maxEndpoints - 1
  for (const column of [
    table.running,
    table.waiting,
    table.kvUse,
    table.ttftMs,
    table.tpotMs,
    table.inFlightAtReport,
  ]) {
    assert.equal(column[last], Number.NaN)
  }
  assert.deepEqual(
    [table.inFlight[last], table.health[last], table.restUntilMs[last], table.generation[last]],
    [0, 0, 0, 1],
  )
})

test('adapters are told apart by slot and id', () => {
  const table = createEndpointTable()
  setAdapters(table, 5, [0, 31, 32, maxAdapters - 1, -1, maxAdapters])
  addAdapter(table, 5, 33)
  addAdapter(table, 5, maxAdapters)
  const found = Array.from({ length: maxAdapters + 40 }, (_, id) => id - 20).filter((id) => table.hasAdapter(5, id))
  assert.deepEqual(found, [0, 31, 32, 33, maxAdapters - 1])
  assert.equal(table.hasAdapter(4, 0) || table.hasAdapter(6, 0), false)
  setAdapters(table, 5, [7])
  assert.deepEqual([table.hasAdapter(5, 7), table.hasAdapter(5, 0)], [true, false])
})

test('a reset forgets one row only and starts its next generation', () => {
  const table = createEndpointTable()
  for (const slot of [1, 2]) {
    table.kvUse[slot] = 0.5
    table.inFlight[slot] = 3
    addAdapter(table, slot, 1)
  }
  resetSlot(table, 1)
  assert.deepEqual(
    [table.kvUse[1], table.inFlight[1], table.hasAdapter(1, 1), table.generation[1]],
    [Number.NaN, 0, false, 2],
  )
  assert.deepEqual([table.kvUse[2], table.inFlight[2], table.hasAdapter(2, 1), table.generation[2]], [0.5, 3, true, 1])
})
