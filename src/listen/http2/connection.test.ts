import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Exchange, ExchangeObserver } from '#contracts/exchange.ts'
import { headerOf } from '#core/header-list.ts'
import { until } from '#listen/listener-case.ts'
import { codeOf, withDoor } from './door-case.ts'
import { block, flag, frame, get, headOf, number, type } from './raw-client-case.ts'

test('what is flushed together leaves in one frame, and the head with it', async () => {
  let exchange: Exchange | undefined
  const serve = (one: Exchange): void => {
    exchange = one
    one.start(200, ['connection', 'close', 'transfer-encoding', 'chunked', 'keep-alive', 'timeout=5'], undefined, true)
    one.write(Buffer.from('ab'), 0, 2)
    one.write(Buffer.from('xcdx'), 1, 3)
    one.flush()
  }
  await withDoor({ serve }, async ({ client }) => {
    client.send(get(1))
    await client.frame((one) => one.type === type.data)
    exchange?.write(Buffer.from('e'), 0, 1)
    exchange?.end()
    await client.frame((one) => one.type === type.data && (one.flags & flag.endStream) !== 0)
    const texts = client.of(type.data, 1).map(({ payload }) => payload.toString())
    assert.deepEqual(
      texts.filter((text) => text !== ''),
      ['abcd', 'e'],
    )
    assert.equal(client.of(type.headers, 1).length, 1)
  })
})

const head = flag.endHeaders
const whole = flag.endHeaders | flag.endStream
const malformed: readonly (readonly [string, readonly Buffer[]])[] = [
  ['a header of the connection', [frame(type.headers, whole, 1, headOf('GET', '/', 'connection', 'close'))]],
  ['an upgrade', [frame(type.headers, whole, 1, headOf('GET', '/', 'upgrade', 'websocket'))]],
  ['a transfer coding', [frame(type.headers, head, 1, headOf('POST', '/', 'transfer-encoding', 'chunked'))]],
  ['te other than trailers', [frame(type.headers, whole, 1, headOf('GET', '/', 'te', 'gzip'))]],
  ['an upper-case name', [frame(type.headers, whole, 1, headOf('GET', '/', 'X-Y', 'z'))]],
  ['no method', [frame(type.headers, whole, 1, block(':scheme', 'http', ':path', '/', ':authority', 'a'))]],
  ['no path', [frame(type.headers, whole, 1, block(':scheme', 'http', ':method', 'GET', ':authority', 'a'))]],
  ['an empty path', [frame(type.headers, whole, 1, headOf('GET', ''))]],
  ['two paths', [frame(type.headers, whole, 1, headOf('GET', '/', ':path', '/b'))]],
  [
    'a pseudo-header behind a header',
    [
      frame(
        type.headers,
        whole,
        1,
        block('x', 'y', ':method', 'GET', ':scheme', 'http', ':path', '/', ':authority', 'a'),
      ),
    ],
  ],
  ['an unknown pseudo-header', [frame(type.headers, whole, 1, headOf('GET', '/', ':protocol', 'websocket'))]],
  ['a status', [frame(type.headers, whole, 1, headOf('GET', '/', ':status', '200'))]],
  ['a blank in the path', [frame(type.headers, whole, 1, headOf('GET', '/a b'))]],
  ['a path with a line break', [frame(type.headers, whole, 1, headOf('GET', '/a\r\nx: y'))]],
  ['a fragment', [frame(type.headers, whole, 1, headOf('GET', '/a#b'))]],
  ['a path that is a URL', [frame(type.headers, whole, 1, headOf('GET', 'http://a/'))]],
  ['CONNECT', [frame(type.headers, head, 1, block(':method', 'CONNECT', ':authority', 'a:1'))]],
  ['a method that is no token', [frame(type.headers, whole, 1, headOf('G ET', '/'))]],
  [
    'another scheme',
    [frame(type.headers, whole, 1, block(':method', 'GET', ':scheme', 'ftp', ':path', '/', ':authority', 'a'))],
  ],
  ['no host', [frame(type.headers, whole, 1, block(':method', 'GET', ':scheme', 'http', ':path', '/'))]],
  ['a host other than the authority', [frame(type.headers, whole, 1, headOf('GET', '/', 'host', 'other'))]],
  [
    'two lengths',
    [
      frame(type.headers, head, 1, headOf('POST', '/', 'content-length', '1', 'content-length', '1')),
      frame(type.data, 1, 1, Buffer.from('a')),
    ],
  ],
  [
    'a length that is none',
    [
      frame(type.headers, head, 1, headOf('POST', '/', 'content-length', '1x')),
      frame(type.data, 1, 1, Buffer.from('a')),
    ],
  ],
  [
    'a body shorter than its length',
    [
      frame(type.headers, head, 1, headOf('POST', '/', 'content-length', '3')),
      frame(type.data, 1, 1, Buffer.from('ab')),
    ],
  ],
  ['a length and no body', [frame(type.headers, whole, 1, headOf('POST', '/', 'content-length', '3'))]],
]

for (const [what, frames] of malformed) {
  test(`a request with ${what} reaches no handler, and harms no other`, () =>
    withDoor({}, async ({ client, served, refused }) => {
      client.send(...frames)
      // Refused with an answer by us, or as malformed by the layer below.
      const end = await client.frame(
        (one) => one.stream === 1 && (one.type === type.reset || one.type === type.headers),
      )
      if (end?.type === type.headers) assert.deepEqual(refused, ['malformed-request'])
      else assert.equal(codeOf(end?.payload), 1)
      assert.deepEqual(served, [])
      client.send(get(3))
      await client.frame((one) => one.stream === 3 && one.type === type.data)
      assert.equal(served.length, 1)
    }))
}

const dropped = [
  ['a line break in its value', 'x', 'a\r\nb: c'],
  ['a zero byte in its value', 'x', 'a\0b'],
  ['a blank in its name', 'x y', 'z'],
] as const

for (const [what, name, value] of dropped) {
  test(`a header with ${what} goes no further`, () =>
    withDoor({}, async ({ client, served }) => {
      client.send(frame(type.headers, whole, 1, headOf('GET', '/', name, value)))
      await client.frame((one) => one.type === type.headers)
      assert.deepEqual(served[0]?.head.headers, ['host', 'door.test'])
    }))
}

test('a body longer than its length reaches no handler', () =>
  withDoor({}, async ({ client, served }) => {
    client.send(
      frame(type.headers, head, 1, headOf('POST', '/', 'content-length', '1')),
      frame(type.data, flag.endStream, 1, Buffer.from('ab')),
    )
    await client.ended()
    assert.deepEqual(served, [])
  }))

test('crumbs of a cookie are put together, the authority is the host, te and trailers go no further', () =>
  withDoor({}, async ({ client, served }) => {
    const more = ['cookie', 'a=1', 'te', 'trailers', 'cookie', 'b=2', 'host', 'DOOR.test']
    client.send(
      frame(type.headers, head, 1, headOf('POST', '/p', ...more)),
      frame(type.data, 0, 1, Buffer.from('bo')),
      frame(type.data, 0, 1, Buffer.from('dy')),
      frame(type.headers, whole, 1, block('x-trailer', '1')),
    )
    await client.frame((one) => one.type === type.data)
    const exchange = served[0]
    assert.deepEqual(exchange?.head.headers, ['host', 'DOOR.test', 'cookie', 'a=1; b=2'])
    assert.equal(Buffer.concat([...(exchange?.body.slices ?? [])]).toString(), 'body')
  }))

test('a client that waits to be asked for its body is asked', () =>
  withDoor({}, async ({ client, served }) => {
    client.send(frame(type.headers, head, 1, headOf('POST', '/', 'expect', '100-continue')))
    await client.frame((one) => one.type === type.headers)
    assert.equal(served.length, 0)
    client.send(frame(type.data, 1, 1, Buffer.from('x')))
    await client.frame((one) => one.type === type.data)
    assert.deepEqual([served.length, client.of(type.headers, 1).length], [1, 2])
  }))

test("a stream that is reset in the packet that opens it is nobody's business", () =>
  withDoor({}, async ({ client, served, refused }) => {
    const expecting = frame(type.headers, head, 1, headOf('POST', '/', 'expect', '100-continue'))
    client.send(expecting, frame(type.reset, 0, 1, number(1)), get(3), frame(type.reset, 0, 3, number(2)), get(5))
    await client.frame((one) => one.type === type.data && one.stream === 5)
    assert.deepEqual([served.length, refused], [1, []])
  }))

test('a refusal before the end of the body tells the client to send no more of it', () =>
  withDoor({ limits: { bodyBytes: 10 } }, async ({ client, refused, clock }) => {
    client.send(frame(type.headers, head, 1, headOf('POST', '/')), frame(type.data, 0, 1, Buffer.alloc(11)))
    await client.frame((one) => one.type === type.data)
    client.send(frame(type.data, 0, 1, Buffer.alloc(11)))
    assert.equal(client.of(type.reset, 1).length, 0)
    clock.advance(1500)
    const reset = await client.frame((one) => one.type === type.reset)
    assert.deepEqual([codeOf(reset?.payload), refused], [0, ['body-too-large']])
    assert.equal(client.of(type.data, 1)[0]?.payload.toString(), 'body-too-large')
  }))

test('streams beyond the most are refused, and may be tried again', () =>
  withDoor({ serve: () => {} }, async ({ client, served }) => {
    client.send(...Array.from({ length: 260 }, (_, i) => get(2 * i + 1)))
    const refusedStream = await client.frame((one) => one.type === type.reset)
    assert.equal(codeOf(refusedStream?.payload), 7)
    assert.equal(served.length, 256)
  }))

for (const how of ['end', 'destroy'] as const) {
  test(`a connection that the client ${how}s aborts every stream of it, once`, () => {
    const aborts: number[] = []
    const serve = (exchange: Exchange): void => {
      const observer: ExchangeObserver = { aborted: () => void aborts.push(1), drained: () => {} }
      exchange.observer = observer
    }
    return withDoor({ serve }, async ({ client, served, listener }) => {
      client.send(get(1), get(3), get(5))
      await until('served', () => served.length === 3)
      client.socket[how]()
      await until('gone', () => listener.connections === 0)
      assert.deepEqual([aborts.length, served.every(({ aborted }) => aborted)], [3, true])
    })
  })
}

const quiet = [
  { what: 'that says nothing', first: [], limits: { headTimeoutMs: 4000 } },
  {
    what: 'that never ends its header block',
    first: [frame(type.headers, 0, 1, headOf('GET', '/'))],
    limits: { headTimeoutMs: 4000 },
  },
] as const

for (const { what, first, limits } of quiet) {
  test(`a session ${what} is closed at its time`, () =>
    withDoor({ limits }, async ({ client, clock, listener }) => {
      client.send(...first)
      await client.frame((one) => one.type === type.settings && one.flags === flag.ack)
      clock.advance(3500)
      assert.equal(listener.connections, 1)
      clock.advance(3000)
      await client.ended()
      await until('gone', () => listener.connections === 0)
    }))
}

test('a preface that stops is cut, and one that is none is HTTP/1.1', () =>
  withDoor({ limits: { headTimeoutMs: 4000 } }, async ({ port, clock, listener, refused }) => {
    const { connect } = await import('node:net')
    const answers: string[] = []
    for (const text of ['PRI * HT', 'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n']) {
      const socket = connect({ port, host: '127.0.0.1' })
      socket.on('data', (bytes: Buffer) => answers.push(bytes.toString()))
      for (const char of text) {
        socket.write(char)
        await nextTurn()
      }
    }
    await until('answered', () => answers.length === 1)
    assert.match(answers[0] ?? '', /^HTTP\/1\.1 400 .*unsupported-http-version$/s)
    assert.deepEqual(refused, ['unsupported-http-version'])
    await until('two left', () => listener.connections === 2)
    clock.advance(4600)
    clock.advance(2000)
    await until('gone', () => listener.connections === 0)
  }))

test('a drain says so at once, lets streams finish, and ends', () =>
  withDoor({ serve: () => {} }, async ({ client, clock, served, listener }) => {
    client.send(get(1), get(3))
    await until('served', () => served.length === 2)
    const drained = listener.drain()
    const goaway = await client.frame((one) => one.type === type.goaway)
    assert.deepEqual([codeOf(goaway?.payload), codeOf(goaway?.payload, 4)], [3, 0])
    // Beyond the last stream named: the client knows that it may ask elsewhere.
    client.send(get(5))
    clock.advance(20_000)
    assert.equal(listener.connections, 1)
    for (const exchange of served) exchange.reply(200, [], Buffer.from('bye'))
    await client.ended()
    for (const stream of [1, 3]) assert.equal(client.of(type.data, stream)[0]?.payload.toString(), 'bye')
    assert.equal(client.of(type.headers, 5).length, 0)
    for (let i = 0; i < 200 && listener.connections > 0; i++) {
      clock.advance(20)
      await nextTurn()
    }
    clock.advance(20)
    await drained
    assert.equal(served.length, 2)
    assert.equal(
      served.every(({ aborted }) => !aborted),
      true,
    )
  }))

test('a drain lets an idle session go within two seconds', () =>
  withDoor({}, async ({ client, clock, listener }) => {
    client.send(get(1))
    await client.frame((one) => one.type === type.data)
    void listener.drain()
    clock.advance(2600)
    await client.ended()
    await until('gone', () => listener.connections === 0)
  }))

test('a session is retired after its number of requests', () =>
  withDoor({ limits: { requestsPerConnection: 2 } }, async ({ client, served }) => {
    client.send(get(1), get(3))
    const goaway = await client.frame((one) => one.type === type.goaway)
    assert.deepEqual([codeOf(goaway?.payload), codeOf(goaway?.payload, 4)], [3, 0])
    await client.ended()
    assert.equal(served.length, 2)
    for (const stream of [1, 3]) assert.equal(client.of(type.data, stream)[0]?.payload.toString(), 'ok')
  }))

test('the handler sees the peer and nothing of the frames', () =>
  withDoor({}, async ({ client, served }) => {
    client.send(get(1, '/a?b'))
    await client.frame((one) => one.type === type.data)
    const [exchange] = served
    assert.ok(exchange)
    assert.equal(exchange.remotePort, client.socket.localPort)
    assert.equal(headerOf(exchange.head.headers, 'host'), 'door.test')
    assert.throws(() => exchange.tunnel([], undefined as never), /no tunnel/)
  }))
