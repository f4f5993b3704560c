import assert from 'node:assert/strict'
import { test } from 'node:test'
import { metrics } from '#observe/catalog.ts'
import { OpenConnections } from './open-connections.ts'

/** Memory of a thread with its connections on each listener; the series begin at cell 10. */
function threadWith(connections: OpenConnections, thread: string, counts: Readonly<Record<string, number>>) {
  const buffer = new SharedArrayBuffer(256)
  const cells = new Float64Array(buffer)
  connections.addThread(thread, buffer)
  for (const [index, [listener, count]] of Object.entries(counts).entries()) {
    cells[10 + index] = count
    connections.note(thread, { metric: metrics.connectionsOpen.name, labels: [listener], offset: 10 + index })
  }
  return cells
}

test('connections add up over threads and over listeners', () => {
  const connections = new OpenConnections()
  const cells = threadWith(connections, 'data-0', { web: 3, tls: 4 })
  threadWith(connections, 'data-1', { tls: 10 })
  connections.note('data-0', { metric: metrics.requests.name, labels: ['web'], offset: 1 })
  assert.deepEqual([connections.ofListener('web'), connections.ofListener('tls')], [3, 14])
  assert.deepEqual([connections.ofThread('data-0'), connections.ofThread('data-1')], [7, 10])
  cells[10] = 5
  assert.equal(connections.ofListener('web'), 5)
  assert.deepEqual([connections.ofListener('?'), connections.ofThread('?')], [0, 0])
})

test('the connections of a thread that is gone are gone, and one that comes back has its own', () => {
  const connections = new OpenConnections()
  threadWith(connections, 'data-0', { web: 3 })
  threadWith(connections, 'data-1', { web: 4 })
  connections.removeThread('data-1')
  assert.equal(connections.ofListener('web'), 3)
  threadWith(connections, 'data-1', { web: 1 })
  assert.equal(connections.ofListener('web'), 4)
})
