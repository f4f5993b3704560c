import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import type { ListenerTls } from '#config/snapshot.ts'
import {
  certificateA,
  certificateB,
  certificateC,
  clientAuthority,
  clientCertificate,
  strangerCertificate,
} from '#datastore/certificate-case.ts'
import { type Case, TextClient, tlsTo, until, withListener } from '#listen/listener-case.ts'

const tls: ListenerTls = {
  certificates: [certificateA, certificateB, certificateC],
  clientCa: undefined,
  clientAuth: 'required',
  minVersion: 'TLSv1.2',
}

function withTls(given: Partial<ListenerTls>, run: (one: Case) => Promise<void>): Promise<void> {
  return withListener({ plan: { tls: { ...tls, ...given }, http2: true } }, run)
}

/** A connection that must succeed. */
async function secured(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = await tlsTo(port, options)
  if (socket instanceof Error) throw socket
  socket.on('error', () => {})
  return socket
}

const names = [
  ['a.test', 'a.test'],
  ['b.test', 'b.test'],
  ['B.TEST', 'b.test'],
  ['api.c.test', 'c.test'],
  ['too.deep.c.test', 'a.test'],
  ['unknown.test', 'a.test'],
  [undefined, 'a.test'],
] as const

for (const [servername, common] of names) {
  test(`who asks for ${servername ?? 'no name'} gets the certificate of ${common}`, () =>
    withTls({}, async ({ port }) => {
      const socket = await secured(port, servername === undefined ? {} : { servername })
      assert.equal(socket.getPeerCertificate().subject.CN, common)
      const answer = await new TextClient(socket).ask('secure')
      assert.match(answer, /127\.0\.0\.1 secure$/)
      socket.destroy()
    }))
}

const protocols = [
  { http2: true, asks: ['h2', 'http/1.1'], gets: 'h2' },
  { http2: true, asks: ['http/1.1', 'h2'], gets: 'h2' },
  { http2: true, asks: ['http/1.1'], gets: 'http/1.1' },
  { http2: true, asks: undefined, gets: false },
  { http2: false, asks: ['h2', 'http/1.1'], gets: 'http/1.1' },
]
for (const { http2, asks, gets } of protocols) {
  const title = `a client that offers ${asks?.join(', ') ?? 'nothing'} speaks ${gets} where HTTP/2 is ${http2 ? 'on' : 'off'}`
  test(title, () =>
    withListener({ plan: { tls, http2 } }, async ({ port }) => {
      const socket = await secured(port, asks === undefined ? {} : { ALPNProtocols: asks })
      assert.equal(socket.alpnProtocol, gets)
      socket.destroy()
    }),
  )
}

test('a client that offers only what nobody speaks is told so', () =>
  withTls({}, async ({ port, failedHandshakes, listener }) => {
    const result = await tlsTo(port, { ALPNProtocols: ['spdy/1'] })
    assert.ok(result instanceof Error)
    await until('gone', () => listener.connections === 0)
    assert.deepEqual(failedHandshakes, ['no-shared-protocol'])
  }))

test('the least version is kept', () =>
  withTls({ minVersion: 'TLSv1.3' }, async ({ port, failedHandshakes, listener }) => {
    assert.ok((await tlsTo(port, { maxVersion: 'TLSv1.2' })) instanceof Error)
    await until('gone', () => listener.connections === 0)
    assert.deepEqual(failedHandshakes, ['no-shared-version'])
    const socket = await secured(port)
    assert.equal(socket.getProtocol(), 'TLSv1.3')
    socket.destroy()
  }))

const mutual = [
  { auth: 'required', shows: 'a certificate of the authority', pair: clientCertificate, reason: undefined },
  { auth: 'required', shows: 'none', pair: undefined, reason: 'no-client-certificate' },
  { auth: 'required', shows: "a stranger's", pair: strangerCertificate, reason: 'bad-client-certificate' },
  { auth: 'optional', shows: 'a certificate of the authority', pair: clientCertificate, reason: undefined },
  { auth: 'optional', shows: 'none', pair: undefined, reason: undefined },
  { auth: 'optional', shows: "a stranger's", pair: strangerCertificate, reason: 'bad-client-certificate' },
] as const
for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  for (const { auth, shows, pair, reason } of mutual) {
    const title = `with ${maxVersion}, where a client certificate is ${auth} and the client shows ${shows}, it is ${reason === undefined ? 'served' : 'sent away'}`
    test(title, () =>
      withTls({ clientCa: clientAuthority, clientAuth: auth }, async ({ port, listener, served, failedHandshakes }) => {
        // Also by a name: the certificate that is chosen by it asks for the same authority.
        for (const servername of ['a.test', 'b.test']) {
          const socket = connectTls({
            port,
            host: '127.0.0.1',
            rejectUnauthorized: false,
            servername,
            maxVersion,
            ...pair,
          })
          const client = new TextClient(socket)
          const answer = await client.ask('secure')
          assert.equal(answer.endsWith('secure'), reason === undefined)
          socket.destroy()
        }
        await until('gone', () => listener.connections === 0)
        assert.deepEqual(failedHandshakes, reason === undefined ? [] : [reason, reason])
        assert.equal(served.length, reason === undefined ? 2 : 0)
      }),
    )
  }
}

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a session of ${maxVersion} is resumed, but not past new authorities`, () =>
    withTls({ clientCa: clientAuthority }, async ({ port, listener, limits, failedHandshakes }) => {
      const first = await secured(port, { maxVersion, ...clientCertificate })
      const ticket = new Promise<Buffer>((resolve) => first.once('session', resolve))
      await new TextClient(first).ask('secure')
      const session = maxVersion === 'TLSv1.2' ? first.getSession() : await ticket
      first.destroy()
      const second = await secured(port, { maxVersion, session, ...clientCertificate })
      assert.equal(second.isSessionReused(), true)
      assert.match(await new TextClient(second).ask('secure'), /secure$/)
      second.destroy()
      listener.configure({ ...listener.plan, tls: { ...tls, clientCa: strangerCertificate.cert } }, limits)
      const third = connectTls({
        port,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        maxVersion,
        session,
        ...clientCertificate,
      })
      const client = new TextClient(third)
      assert.doesNotMatch(await client.ask('secure'), /secure$/)
      await until('gone', () => listener.connections === 0)
      assert.deepEqual(failedHandshakes, ['bad-client-certificate'])
    }))
}

test('new certificates serve new connections, and open ones go on', () =>
  withTls({ certificates: [certificateA] }, async ({ port, listener, limits }) => {
    const before = await secured(port)
    const client = new TextClient(before)
    await client.ask('secure')
    listener.configure({ ...listener.plan, tls: { ...tls, certificates: [certificateB, certificateC] } }, limits)
    const after = await secured(port, { servername: 'c.test' })
    assert.equal(after.getPeerCertificate().subject.CN, 'c.test')
    assert.match(await new TextClient(after).ask('secure'), /secure$/)
    assert.match(await client.ask('secure'), /secure$/)
    assert.equal(before.getPeerCertificate().subject.CN, 'a.test')
    before.destroy()
    after.destroy()
  }))

test('a certificate that cannot be used leaves the one in force, and says so', () =>
  withTls({ certificates: [certificateA] }, async ({ port, listener, limits }) => {
    const broken = { ...tls, certificates: [{ cert: certificateB.cert, key: certificateC.key }] }
    assert.throws(
      () => listener.configure({ ...listener.plan, tls: broken, connections: 7 }, limits),
      /key values mismatch/,
    )
    const socket = await secured(port)
    assert.equal(socket.getPeerCertificate().subject.CN, 'a.test')
    assert.equal(listener.plan.connections, 7)
    socket.destroy()
    listener.configure({ ...listener.plan, tls: { ...tls, certificates: [certificateC] } }, limits)
    const next = await secured(port)
    assert.equal(next.getPeerCertificate().subject.CN, 'c.test')
    next.destroy()
  }))

const brokenHandshakes = [
  { what: 'speaks HTTP', send: 'GET / HTTP/1.1\r\nhost: a\r\n\r\n', reason: 'not-tls' },
  { what: 'sends rubbish', send: 'x'.repeat(100), reason: 'not-tls' },
  { what: 'leaves', send: '', leaves: true, reason: 'closed' },
]
for (const { what, send, leaves, reason } of brokenHandshakes) {
  test(`a client that ${what} instead of TLS costs nothing`, () =>
    withTls({}, async ({ port, listener, failedHandshakes, told }) => {
      const { socket } = await TextClient.open(port)
      await until('counted', () => listener.connections === 1)
      if (leaves === true) socket.destroy()
      else socket.write(send)
      await until('gone', () => listener.connections === 0)
      assert.deepEqual([failedHandshakes, told], [[reason], [1, 0]])
    }))
}

test('a handshake that drips is cut at its time, and counts as a connection until then', () =>
  withListener({ plan: { tls, connections: 2 }, limits: { handshakeTimeoutMs: 5000 } }, async (one) => {
    const { port, listener, clock, failedHandshakes, refused } = one
    const [drips, silent] = [await TextClient.open(port), await TextClient.open(port)]
    await until('counted', () => listener.connections === 2)
    const beyond = await TextClient.open(port)
    await until('turned away', () => beyond.isEnded)
    assert.deepEqual([beyond.text, refused.count], ['', 1])
    // The beginning of a hello, byte by byte: none of them wins time.
    for (const byte of [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc]) {
      drips.socket.write(Buffer.from([byte]))
      await new Promise((resolve) => setTimeout(resolve, 2))
      clock.advance(500)
    }
    assert.equal(listener.connections, 2)
    clock.advance(1000)
    await until('gone', () => drips.isEnded && silent.isEnded)
    assert.deepEqual([listener.connections, failedHandshakes], [0, ['timeout', 'timeout']])
  }))

test('a drain drops handshakes that do not come to an end', () =>
  withTls({}, async ({ port, listener, clock }) => {
    const client = await TextClient.open(port)
    await until('counted', () => listener.connections === 1)
    void listener.drain()
    clock.advance(2600)
    await until('gone', () => listener.connections === 0 && client.isEnded)
  }))
