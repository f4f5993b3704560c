import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConnectionTable, clientOf } from './connection-table.ts'
import type { OpenConnection } from './open-connection.ts'

function connection(): OpenConnection {
  return { isBusy: false, idleSinceMs: 0, sweep: () => {}, destroy: () => {} }
}

const clients = [
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8:1:2::6', '2001:db8:1:2'],
  ['2001:db8:1::6', '2001:db8:1:0'],
  ['2001:db8::', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  ['::', '0:0:0:0'],
  ['1:2:3:4:5:6:7::', '1:2:3:4'],
  ['::2:3:4:5:6:7:8', '0:2:3:4'],
  ['', ''],
] as const

for (const [address, client] of clients) {
  test(`connections from '${address}' count for '${client}'`, () => assert.equal(clientOf(address), client))
}

test('a client is counted as long as it has connections, and forgotten with the last', () => {
  const table = new ConnectionTable()
  const [first, second, third, unknown] = [connection(), connection(), connection(), connection()]
  table.add(first, 'a')
  table.add(second, 'a')
  table.add(third, 'b')
  table.add(unknown, undefined)
  assert.deepEqual([table.size, table.countOf('a'), table.countOf('b'), table.clients], [4, 2, 1, 2])
  const next = connection()
  table.replace(first, next)
  assert.equal(table.delete(first), false)
  assert.deepEqual([table.size, table.countOf('a')], [4, 2])
  for (const one of [next, second, third, unknown]) assert.equal(table.delete(one), true)
  assert.equal(table.delete(unknown), false)
  table.replace(unknown, connection())
  assert.deepEqual([table.size, table.clients, [...table.connections()]], [0, 0, []])
})
