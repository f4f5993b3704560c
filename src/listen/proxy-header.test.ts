import assert from 'node:assert/strict'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { certificateA } from '#datastore/certificate-case.ts'
import { get, TextClient, until, withListener } from './listener-case.ts'

const header = 'PROXY TCP4 192.0.2.9 198.51.100.1 4321 443\r\n'
const plan = { proxyProtocol: true } as const
const tls = {
  certificates: [certificateA],
  clientCa: undefined,
  clientAuth: 'required',
  minVersion: 'TLSv1.2',
} as const

test('the peer is who the header names, for every request of the connection', () =>
  withListener({ plan }, async ({ port, served }) => {
    const client = await TextClient.open(port)
    assert.match(await client.ask('plain', header + get), /192\.0\.2\.9 plain$/)
    assert.match(await client.ask('plain'), /192\.0\.2\.9 plain$/)
    assert.deepEqual(
      served.map(({ remotePort, origin }) => [remotePort, origin.address]),
      [
        [4321, '192.0.2.9'],
        [4321, '192.0.2.9'],
      ],
    )
    client.socket.destroy()
  }))

test('a header cut at every byte is read the same', () =>
  withListener({ plan }, async ({ port }) => {
    for (let cut = 1; cut < header.length + 3; cut += 4) {
      const client = await TextClient.open(port)
      client.socket.setNoDelay(true)
      client.socket.write((header + get).slice(0, cut))
      await new Promise((resolve) => setTimeout(resolve, 1))
      assert.match(await client.ask('plain', (header + get).slice(cut)), /192\.0\.2\.9 plain$/, `cut at ${cut}`)
      client.socket.destroy()
    }
  }))

for (const text of ['PROXY UNKNOWN\r\n', Buffer.from('0d0a0d0a000d0a515549540a20000000', 'hex').toString('latin1')]) {
  test(`a proxy that speaks for itself is the peer (${JSON.stringify(text.slice(0, 7))})`, () =>
    withListener({ plan }, async ({ port }) => {
      const client = await TextClient.open(port)
      client.socket.write(Buffer.from(text, 'latin1'))
      assert.match(await client.ask('plain'), /127\.0\.0\.1 plain$/)
      client.socket.destroy()
    }))
}

test('TLS begins behind the header, in the same packet or later', () =>
  withListener({ plan: { ...plan, tls, http2: true } }, async ({ port, listener }) => {
    for (const waits of [false, true]) {
      const raw = connect({ port, host: '127.0.0.1' })
      raw.setNoDelay(true)
      raw.cork()
      raw.write(header)
      if (waits) {
        raw.uncork()
        await new Promise((resolve) => setTimeout(resolve, 20))
      } else process.nextTick(() => raw.uncork())
      const client = new TextClient(connectTls({ socket: raw, rejectUnauthorized: false }))
      assert.match(await client.ask('secure'), /192\.0\.2\.9 secure$/)
      client.socket.destroy()
    }
    await until('gone', () => listener.connections === 0)
  }))

for (const scheme of ['http', 'https'] as const) {
  test(`HTTP/2 over ${scheme} begins behind the header`, () =>
    withListener({ plan: { ...plan, http2: true, ...(scheme === 'https' ? { tls } : {}) } }, async ({ port }) => {
      const raw = connect({ port, host: '127.0.0.1' })
      raw.write(header)
      const secured = (): ReturnType<typeof connectTls> =>
        connectTls({ socket: raw, rejectUnauthorized: false, ALPNProtocols: ['h2'] })
      const session = connectHttp2(`${scheme}://127.0.0.1:${port}`, {
        createConnection: () => (scheme === 'https' ? secured() : raw),
      })
      const stream = session.request({ ':path': '/' })
      let text = ''
      for await (const part of stream) text += String(part)
      assert.match(text, /^192\.0\.2\.9/)
      session.destroy()
    }))
}

for (const [what, bytes] of [
  ['HTTP', get],
  ['TLS', '\x16\x03\x01\x02\x00\x01'],
  ['a bad header', 'PROXY TCP4 a b 1 2\r\n'],
] as const) {
  test(`a connection that begins with ${what} is dropped without a word`, () =>
    withListener({ plan }, async ({ port, listener, served }) => {
      const client = await TextClient.open(port)
      client.socket.write(Buffer.from(bytes, 'latin1'))
      await until('dropped', () => client.isEnded)
      await until('gone', () => listener.connections === 0)
      assert.deepEqual([client.text, served], ['', []])
    }))
}

test('a header that does not come in time is not waited for', () =>
  withListener({ plan, limits: { handshakeTimeoutMs: 3000 } }, async ({ port, clock, listener }) => {
    const client = await TextClient.open(port)
    client.socket.write('PROXY TCP4')
    await until('counted', () => listener.connections === 1)
    clock.advance(2500)
    assert.equal(listener.connections, 1)
    clock.advance(1000)
    await until('gone', () => client.isEnded && listener.connections === 0)
  }))

test('clients are counted by the address in their header, also those of an IPv6 network', () =>
  withListener({ plan: { ...plan, connectionsPerClient: 2 } }, async ({ port, listener, refused, told }) => {
    const from = async (address: string): Promise<TextClient> => {
      const client = await TextClient.open(port)
      client.socket.write(`PROXY TCP6 ${address} ::1 1 2\r\n${get}`)
      await until('answered', () => client.text.includes('\r\n\r\n'))
      return client
    }
    const clients = [await from('2001:db8::1'), await from('2001:db8::2'), await from('2001:db8:0:1::1')]
    for (const { text } of clients) assert.match(text, /^HTTP\/1\.1 200/)
    const beyond = await from('2001:db8::3')
    assert.match(beyond.text, /^HTTP\/1\.1 503 .*too-many-connections/s)
    await until('closed', () => beyond.isEnded)
    assert.deepEqual([refused.count, listener.connections, told.at(-1)], [1, 3, 3])
    clients[0]?.socket.destroy()
    await until('gone', () => listener.connections === 2)
    assert.match((await from('2001:db8::3')).text, /^HTTP\/1\.1 200/)
    for (const { socket } of clients) socket.destroy()
  }))
