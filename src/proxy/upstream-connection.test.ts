import assert from 'node:assert/strict'
import dns from 'node:dns'
import { createServer, type Server } from 'node:net'
import { test } from 'node:test'
import { systemClock } from '#core/clock.ts'
import { endpointPlan, modelServerPlan } from '#datastore/snapshot-case.ts'
import type { UpstreamFailure } from './upstream-connection.ts'
import { UpstreamPool } from './upstream-pools.ts'

const anyTls = { ca: undefined, serverName: undefined, insecureSkipVerify: true, certificate: undefined }
const empty = { slices: [], bytes: 0, usageInjected: false }

async function portOf(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** Sends a request that must fail, and says how. */
function failureOf(id: string, tls?: typeof anyTls): Promise<UpstreamFailure> {
  const modelServer = { ...modelServerPlan('a/b', []), tls }
  const pool = new UpstreamPool(modelServer, endpointPlan(id), systemClock(), Buffer.alloc(1024))
  return new Promise((resolve, reject) => {
    const completed = (): void => reject(new Error('it was answered'))
    const handler = { head: completed, data: completed, readEnd: () => true, completed, failed: resolve }
    pool.connect().send('POST / HTTP/1.1\r\n\r\n', empty, handler)
  })
}

test('an endpoint that ends the handshake of TLS never had the request', async () => {
  // Once its end was taken for a reset in the middle of an answer, which may be the request's doing.
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', () => socket.end())
  })
  const failure = await failureOf(`127.0.0.1:${await portOf(server)}`, anyTls)
  assert.deepEqual([failure.reason, failure.isStale], ['upstream-unreachable', false])
  server.close()
})

test('what failed is told for a name with several addresses, too', async (t) => {
  // Node's error for several addresses has no message: a want of our own ports was taken for the endpoint's fault.
  const server = createServer()
  const port = await portOf(server)
  server.close()
  const addresses = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }))
  const lookup = (_host: string, _options: object, done: (error: null, found: typeof addresses) => void): void =>
    done(null, addresses)
  t.mock.method(dns, 'lookup', lookup)
  const failure = await failureOf(`several.test:${port}`)
  assert.equal(failure.reason, 'upstream-unreachable')
  assert.match(failure.detail, /ECONNREFUSED/)
})
