import assert from 'node:assert/strict'
import { test } from 'node:test'
import { get, TextClient, until, withListener } from './listener-case.ts'

test('a client address has its own limit, others are not harmed', () =>
  withListener({ plan: { connectionsPerClient: 2 } }, async ({ port, listener, refused, limits }) => {
    const clients = [await TextClient.open(port), await TextClient.open(port)]
    await until('counted', () => listener.connections === 2)
    const beyond = await TextClient.open(port)
    await until('told', () => beyond.text.includes('too_many_connections') && beyond.isEnded)
    assert.match(beyond.text, /^HTTP\/1\.1 503 .*retry-after: 1\r\n/s)
    assert.deepEqual([refused.count, listener.connections], [1, 2])
    clients[0]?.socket.destroy()
    await until('gone', () => listener.connections === 1)
    const next = await TextClient.open(port)
    assert.match(await next.ask('plain'), /^HTTP\/1\.1 200/)
    listener.configure({ ...listener.plan, connectionsPerClient: 0 }, limits)
    const more = [await TextClient.open(port), await TextClient.open(port)]
    for (const client of more) assert.match(await client.ask('plain'), /^HTTP\/1\.1 200/)
    for (const { socket } of [...clients, next, ...more]) socket.destroy()
  }))

test('a client that sends before it reads still learns that there are too many', () =>
  withListener({ plan: { connections: 1 } }, async ({ port, listener }) => {
    const first = await TextClient.open(port)
    await until('counted', () => listener.connections === 1)
    const beyond = await TextClient.open(port)
    beyond.socket.write(`${get}${'x'.repeat(100_000)}`)
    await until('told', () => beyond.isEnded)
    assert.match(beyond.text, /^HTTP\/1\.1 503 .*too_many_connections"}}$/s)
    first.socket.destroy()
  }))

test('those turned away are held for a second at most, and never many', () =>
  withListener({ plan: { connections: 1 } }, async ({ port, listener, refused, clock }) => {
    const first = await TextClient.open(port)
    await until('counted', () => listener.connections === 1)
    // They do not end their side when the gateway does.
    const open = async (): Promise<TextClient> => {
      const client = await TextClient.open(port)
      client.socket.allowHalfOpen = true
      client.socket.pause()
      return client
    }
    const clients = await Promise.all(Array.from({ length: 300 }, open))
    await until('turned away', () => refused.count === 300)
    clock.advance(2000)
    for (const { socket } of clients) socket.resume()
    await until('dropped', () => clients.every(({ isEnded }) => isEnded))
    assert.ok(clients.filter(({ text }) => text.includes('503')).length >= 256)
    assert.equal(listener.connections, 1)
    for (const { socket } of [first, ...clients]) socket.destroy()
  }))

test('new limits hold for new connections, open ones keep theirs', () =>
  withListener({ limits: { headBytes: 4096 } }, async ({ port, listener, limits }) => {
    const before = await TextClient.open(port)
    await before.ask('plain')
    listener.configure(listener.plan, { ...limits, headBytes: 100 })
    const long = `GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(200)}\r\n\r\n`
    assert.match(await before.ask('plain', long), /200/)
    const after = await TextClient.open(port)
    assert.match(await after.ask('head-too-large', long), /400/)
    for (const { socket } of [before, after]) socket.destroy()
  }))

const last = /connection: close\r\n/

test('in a drain an idle connection may carry one more request, which ends it', () =>
  withListener({}, async ({ port, listener, clock }) => {
    const [used, fresh] = [await TextClient.open(port), await TextClient.open(port)]
    assert.doesNotMatch(await used.ask('plain'), last)
    await until('counted', () => listener.connections === 2)
    const drained = listener.drain()
    clock.advance(1900)
    for (const client of [used, fresh]) {
      assert.match(await client.ask('plain'), last)
      await until('ended', () => client.isEnded)
    }
    clock.advance(2000)
    await drained
    assert.equal(listener.connections, 0)
  }))

test('in a drain a connection without a request is dropped after two seconds, counted from the last answer', () =>
  withListener({}, async ({ port, listener, clock, served }) => {
    const [idle, busy] = [await TextClient.open(port), await TextClient.open(port)]
    busy.socket.write('GET /hang HTTP/1.1\r\nhost: a\r\n\r\n')
    await until('served', () => served.length === 1)
    await until('counted', () => listener.connections === 2)
    const drained = listener.drain()
    clock.advance(1500)
    assert.deepEqual([idle.isEnded, listener.connections], [false, 2])
    clock.advance(1000)
    await until('dropped', () => idle.isEnded)
    clock.advance(60_000)
    assert.equal(listener.connections, 1)
    served[0]?.reply(200, [], Buffer.from('done'))
    await until('answered', () => busy.text.endsWith('done'))
    assert.match(busy.text, last)
    await until('gone', () => {
      clock.advance(100)
      return listener.connections === 0
    })
    clock.advance(20)
    await drained
  }))

test('the descriptors are known while the listener is open', () =>
  withListener({}, async ({ listener }) => {
    const { fds } = listener
    assert.ok(fds.length > 0 && fds.every((fd) => fd > 2))
    assert.equal(new Set(fds).size, fds.length)
    listener.close()
    assert.deepEqual(listener.fds, [])
  }))

test('two listeners share a port', () =>
  withListener({}, ({ port }) => withListener({ plan: { port } }, async (other) => assert.equal(other.port, port))))
