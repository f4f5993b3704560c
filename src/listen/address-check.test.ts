import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:net'
import { test } from 'node:test'
import { checkAddress } from './address-check.ts'

const host = '127.0.0.1'

function listening(reusePort: boolean): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer()
  return new Promise((resolve) => {
    server.listen({ host, port: 0, reusePort, exclusive: true }, () => {
      const address = server.address()
      resolve({ server, port: typeof address === 'object' ? (address?.port ?? 0) : 0 })
    })
  })
}

test('an address is taken when somebody listens there, also on a socket that would share its port', async () => {
  for (const reusePort of [false, true]) {
    const { server, port } = await listening(reusePort)
    await assert.rejects(checkAddress(host, port), { code: 'EADDRINUSE' })
    await new Promise((resolve) => server.close(resolve))
    await checkAddress(host, port)
    // Nothing stays open behind the question.
    await checkAddress(host, port)
  }
})

test('an address that this machine does not have is said to be so', async () => {
  await assert.rejects(checkAddress('203.0.113.1', 8080), { code: 'EADDRNOTAVAIL' })
})
