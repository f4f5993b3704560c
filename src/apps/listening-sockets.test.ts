import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { readListeningSockets } from './listening-sockets.ts'

const head = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'
const tcp = `${head}
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0000000000000000 100 0 0 10 0
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 112 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 113 1 0000000000000000 20 4 30 10 -1
`
const tcp6 = `${head}
   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 114 1
   1: B80D0120000000000000000001000000:1F91 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 115 1
`

const links: Readonly<Record<number, string>> = {
  3: 'socket:[111]',
  4: 'socket:[112]',
  5: 'socket:[113]',
  6: 'socket:[114]',
  7: 'socket:[115]',
  8: '/dev/null',
}

test('the kernel says where each descriptor listens', () => {
  const files = new Map([
    ['/proc/self/net/tcp', tcp],
    ['/proc/self/net/tcp6', tcp6],
  ])
  const addressOf = readListeningSockets({ read: (path) => files.get(path) ?? '', linkOf: (fd) => links[fd] ?? '' })
  assert.deepEqual(addressOf(3), { address: '127.0.0.1', port: 8080 })
  assert.deepEqual(addressOf(4), { address: '0.0.0.0', port: 80 })
  assert.equal(addressOf(5), undefined, 'a connection does not listen')
  assert.deepEqual(addressOf(6), { address: '::', port: 8080 })
  assert.deepEqual(addressOf(7), { address: '2001:db8::1', port: 8081 })
  assert.equal(addressOf(8), undefined)
  assert.equal(addressOf(9), undefined)
})

test('without /proc nothing is known', () => {
  const addressOf = readListeningSockets({ read: () => '', linkOf: () => '' })
  assert.equal(addressOf(3), undefined)
})

test('a socket of this process is found', {
  skip: existsSync('/proc/self/net/tcp') ? false : 'needs /proc',
}, async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle
  const port = typeof address === 'object' ? address?.port : 0
  assert.deepEqual(readListeningSockets()(fd), { address: '127.0.0.1', port })
  await new Promise((resolve) => server.close(resolve))
  assert.equal(readListeningSockets()(fd), undefined)
})
