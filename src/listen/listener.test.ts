import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import type { Limits } from '#config/snapshot.ts'
import type { Exchange, ExchangeHandler } from '#contracts/exchange.ts'
import { systemClock } from '#core/clock.ts'
import { manualClock } from '#core/manual-clock.ts'
import type { Refusal } from '#core/refusal.ts'
import { listenerPlan, snapshotOf } from '#datastore/snapshot-case.ts'
import { Listener } from './listener.ts'

const limits: Limits = {
  ...snapshotOf([]).limits,
  headBytes: 4096,
  headerCount: 16,
  bodyBytes: 1000,
  keepAliveMs: 75_000,
  drainDelayMs: 0,
  drainMs: 1000,
}
const mostConnections = 4

/** Answers every request with what it got, and refusals with their reason. */
function echoHandler(seen: Exchange[] = []): ExchangeHandler {
  return {
    begin: () => undefined,
    serve(exchange) {
      seen.push(exchange)
      const text = `${exchange.head.method} ${exchange.head.target} ${Buffer.concat([...exchange.body.slices]).toString()}`
      exchange.reply(200, ['x-test', 'yes'], Buffer.from(text))
    },
    refuse: (exchange, refusal: Refusal) => exchange.reply(400, [], Buffer.from(refusal.reason)),
  }
}

interface Running {
  readonly listener: Listener
  readonly port: number
}

async function running(handler: ExchangeHandler, clock = systemClock()): Promise<Running> {
  const plan = listenerPlan({ connections: mostConnections })
  const ports = { handler, clock, onConnections: () => {}, onRefusedConnection: () => {} }
  const listener = new Listener(plan, limits, ports)
  return { listener, port: await listener.listen() }
}

async function opened(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  await new Promise((resolve) => socket.once('connect', resolve))
  socket.on('error', () => {})
  return socket
}

/** Everything that arrives until the other side ends. */
function untilEnd(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
    })
    socket.on('end', () => {
      socket.destroy()
      resolve(text)
    })
    socket.on('close', () => resolve(text))
  })
}

/** Resolves as soon as `done` holds for what has arrived. */
function until(socket: Socket, done: (text: string) => boolean): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const take = (chunk: Buffer): void => {
      text += chunk.toString('latin1')
      if (!done(text)) return
      socket.off('data', take)
      resolve(text)
    }
    socket.on('data', take)
  })
}

const last = 'GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n'

test('requests sent together on one connection are answered one after the other, in order', async () => {
  const { listener, port } = await running(echoHandler())
  const socket = await opened(port)
  const answers = untilEnd(socket)
  const post = 'POST /p HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc'
  const chunked = 'POST /c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n'
  socket.write(post + chunked + last)
  const text = await answers
  assert.match(text, /POST \/p abc.*POST \/c def.*GET \/last /s)
  assert.equal(text.match(/HTTP\/1\.1 200/g)?.length, 3)
  listener.close()
})

test('a request cut at every byte is read the same', async () => {
  const { listener, port } = await running(echoHandler())
  const request =
    'POST /p HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'
  for (let cut = 1; cut < request.length; cut += 3) {
    const socket = await opened(port)
    socket.setNoDelay(true)
    const answer = untilEnd(socket)
    socket.write(request.slice(0, cut))
    await new Promise((resolve) => setImmediate(resolve))
    socket.write(request.slice(cut))
    assert.match(await answer, /POST \/p abc$/, `cut at ${cut}`)
  }
  listener.close()
})

const refused = [
  { name: 'bare line feeds', send: 'GET / HTTP/1.1\nhost: a\n\n', reason: 'malformed-request' },
  {
    name: 'both lengths',
    send: 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n',
    reason: 'malformed-request',
  },
  { name: 'a head beyond the limit', send: `GET / HTTP/1.1\r\nx: ${'y'.repeat(5000)}`, reason: 'head-too-large' },
  {
    name: 'too many fields',
    send: `GET / HTTP/1.1\r\nhost: a\r\n${'x: y\r\n'.repeat(17)}\r\n`,
    reason: 'head-too-large',
  },
  {
    name: 'an announced body beyond the limit',
    send: 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\r\n',
    reason: 'body-too-large',
  },
  {
    name: 'a chunked body beyond the limit',
    send: `POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n${'z'.repeat(1001)}\r\n0\r\n\r\n`,
    reason: 'body-too-large',
  },
  {
    name: 'a bad chunk size',
    send: 'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n',
    reason: 'malformed-request',
  },
  {
    name: 'an unknown coding',
    send: 'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n',
    reason: 'unsupported-transfer-coding',
  },
  { name: 'another version', send: 'GET / HTTP/2.0\r\nhost: a\r\n\r\n', reason: 'unsupported-http-version' },
] as const

for (const { name, send, reason } of refused) {
  test(`${name} is refused as ${reason}, and the connection ends`, async () => {
    const { listener, port } = await running(echoHandler())
    const socket = await opened(port)
    const answer = untilEnd(socket)
    socket.write(send)
    const text = await answer
    assert.ok(text.endsWith(reason), text)
    assert.match(text, /connection: close/)
    listener.close()
  })
}

test('a client that asks for leave to send its body gets it', async () => {
  const { listener, port } = await running(echoHandler())
  const socket = await opened(port)
  socket.write('POST /e HTTP/1.1\r\nhost: a\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n')
  await until(socket, (text) => text === 'HTTP/1.1 100 Continue\r\n\r\n')
  const answer = untilEnd(socket)
  socket.write('ok')
  assert.match(await answer, /POST \/e ok$/)
  listener.close()
})

test('HTTP/1.0 gets an answer without chunks that ends with the connection', async () => {
  const handler = echoHandler()
  const { listener, port } = await running({
    ...handler,
    serve(exchange) {
      exchange.start(200, [], undefined, true)
      exchange.write(Buffer.from('abc'), 0, 3)
      exchange.flush()
      exchange.write(Buffer.from('def'), 0, 3)
      exchange.end()
    },
  })
  const socket = await opened(port)
  const answer = untilEnd(socket)
  socket.write('GET / HTTP/1.0\r\n\r\n')
  const text = await answer
  assert.doesNotMatch(text, /transfer-encoding/)
  assert.ok(text.endsWith('\r\n\r\nabcdef'))
  listener.close()
})

test('a streamed answer is framed in one chunk per flush', async () => {
  const { listener, port } = await running({
    ...echoHandler(),
    serve(exchange) {
      exchange.start(200, [], undefined, true)
      exchange.write(Buffer.from('xabcx'), 1, 4)
      exchange.write(Buffer.from('de'), 0, 2)
      exchange.flush()
      exchange.write(Buffer.from('f'), 0, 1)
      exchange.end()
    },
  })
  const socket = await opened(port)
  const answer = untilEnd(socket)
  socket.write(last)
  assert.ok((await answer).endsWith('\r\n\r\n5\r\nabcde\r\n1\r\nf\r\n0\r\n\r\n'))
  listener.close()
})

for (const how of ['destroys', 'half-closes'] as const) {
  test(`a client that ${how} its connection aborts the exchange, once`, async () => {
    let aborts = 0
    const served = Promise.withResolvers<Exchange>()
    const aborted = Promise.withResolvers<void>()
    const { listener, port } = await running({
      ...echoHandler(),
      serve(exchange) {
        exchange.observer = {
          aborted() {
            aborts++
            aborted.resolve()
          },
          drained: () => {},
        }
        served.resolve(exchange)
      },
    })
    const socket = await opened(port)
    socket.write(last)
    const exchange = await served.promise
    if (how === 'destroys') socket.destroy()
    else socket.end()
    await aborted.promise
    assert.equal(exchange.aborted, true)
    exchange.reply(200, [], Buffer.from('late'))
    assert.equal(aborts, 1)
    socket.destroy()
    listener.close()
  })
}

test('a slow reader stops the flow until it reads again', async () => {
  const blocked = Promise.withResolvers<Exchange>()
  const drained = Promise.withResolvers<void>()
  const block = Buffer.alloc(64 * 1024, 0x61)
  const { listener, port } = await running({
    ...echoHandler(),
    serve(exchange) {
      exchange.start(200, [], undefined, true)
      exchange.observer = { aborted: () => {}, drained: () => drained.resolve() }
      for (let sent = 0; sent < 1000; sent++) {
        exchange.write(block, 0, block.length)
        if (!exchange.flush()) break
      }
      blocked.resolve(exchange)
    },
  })
  const socket = await opened(port)
  socket.pause()
  socket.write(last)
  const exchange = await blocked.promise
  const answer = untilEnd(socket)
  socket.resume()
  await drained.promise
  exchange.end()
  assert.ok((await answer).endsWith('0\r\n\r\n'))
  listener.close()
})

const timeouts = [
  { name: 'a head that never ends', send: 'GET / HT', afterMs: 10_100, expect: /head-timeout$/ },
  {
    name: 'a body that stalls',
    send: 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab',
    afterMs: 30_100,
    expect: /body-timeout$/,
  },
  { name: 'a connection that says nothing', send: '', afterMs: 10_100, expect: /^$/ },
] as const

for (const { name, send, afterMs, expect } of timeouts) {
  test(`${name} ends at its deadline`, async () => {
    const clock = manualClock(1000)
    const { listener, port } = await running(echoHandler(), clock)
    const socket = await opened(port)
    const answer = untilEnd(socket)
    if (send !== '') socket.write(send)
    while (listener.connections === 0) await new Promise((resolve) => setImmediate(resolve))
    await new Promise((resolve) => setTimeout(resolve, 20))
    clock.advance(afterMs - 1000)
    assert.equal(socket.destroyed, false)
    clock.advance(1000)
    assert.match(await answer, expect)
    listener.close()
  })
}

test('a connection beyond the limit is told so', async () => {
  const { listener, port } = await running(echoHandler())
  const sockets = await Promise.all(Array.from({ length: mostConnections }, () => opened(port)))
  while (listener.connections < mostConnections) await new Promise((resolve) => setImmediate(resolve))
  const text = await untilEnd(await opened(port))
  assert.match(text, /^HTTP\/1\.1 503 .*x-infer-reason: too-many-connections.*too_many_connections/s)
  const length = Number(/content-length: (\d+)/.exec(text)?.[1])
  assert.equal(text.slice(text.indexOf('\r\n\r\n') + 4).length, length)
  for (const socket of sockets) socket.destroy()
  listener.close()
})

test('a drain drops idle connections, lets answers finish, and closes what it answered', async () => {
  const served = Promise.withResolvers<Exchange>()
  const { listener, port } = await running({ ...echoHandler(), serve: (exchange) => served.resolve(exchange) })
  const idle = await opened(port)
  const idleEnd = untilEnd(idle)
  const busy = await opened(port)
  const busyEnd = untilEnd(busy)
  busy.write('GET /busy HTTP/1.1\r\nhost: a\r\n\r\n')
  const exchange = await served.promise
  const drained = listener.drain()
  await idleEnd
  exchange.reply(200, [], Buffer.from('done'))
  assert.match(await busyEnd, /connection: close\r\n.*done$/s)
  await drained
  assert.equal(listener.connections, 0)
})

test('an answer longer than its length cuts the connection instead of confusing the next answer', async () => {
  const { listener, port } = await running({
    ...echoHandler(),
    serve(exchange) {
      exchange.start(200, [], 2, true)
      exchange.write(Buffer.from('abc'), 0, 3)
      exchange.end()
    },
  })
  const socket = await opened(port)
  const answer = untilEnd(socket)
  socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
  assert.doesNotMatch(await answer, /abc/)
  listener.close()
})
