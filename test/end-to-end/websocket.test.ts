import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { after, beforeEach, test } from 'node:test'
import { WebSocket } from 'ws'
import { RunningGateway } from './support/gateway.ts'
import { freePorts } from './support/ports.ts'
import { RawClient } from './support/raw-client.ts'
import { answerInstead, RealtimeEngine } from './support/realtime-engine.ts'
import { waitFor } from './support/wait.ts'

const engine = await RealtimeEngine.start()
const other = await RealtimeEngine.start()
const deflating = await RealtimeEngine.start({ perMessageDeflate: true })
const gone = await RealtimeEngine.start()
const goneUrl = gone.url
await gone.close()

const gateway = await RunningGateway.start({
  models: {
    voice: { endpoints: [engine.url] },
    renamed: { endpoints: [engine.url], servedModel: 'org/served name' },
    secured: { endpoints: [engine.url], apiKey: 'engine-secret', servedModel: 'secured' },
    hosted: { provider: 'openai', baseUrl: `${engine.url}/v1`, apiKey: 'provider-secret', servedModel: 'hosted' },
    half: { endpoints: [goneUrl, other.url], servedModel: 'half' },
    pair: { endpoints: [engine.url, other.url], servedModel: 'pair' },
    deflating: { endpoints: [deflating.url] },
    hurried: { endpoints: [engine.url], servedModel: 'hurried', timeouts: { firstByte: '300ms' } },
    brief: { endpoints: [engine.url], servedModel: 'brief', timeouts: { tunnelIdle: '400ms' } },
  },
  exposeEndpoint: true,
})
const engines = [engine, other, deflating]

after(async () => {
  await gateway.close()
  await Promise.all(engines.map((each) => each.close()))
})

beforeEach(() => {
  for (const each of engines) {
    each.echoes = true
    each.refuses = () => false
  }
})

function dial(model: string, options: WebSocket.ClientOptions & { readonly protocols?: string[] } = {}): WebSocket {
  const url = `ws://127.0.0.1:${gateway.port}/v1/realtime?model=${encodeURIComponent(model)}`
  return new WebSocket(url, options.protocols ?? [], { perMessageDeflate: false, maxPayload: 1 << 26, ...options })
}

async function open(model: string, options: Parameters<typeof dial>[1] = {}): Promise<WebSocket> {
  const socket = dial(model, options)
  await once(socket, 'open')
  return socket
}

async function echoed(socket: WebSocket, message: Buffer | string): Promise<void> {
  socket.send(message)
  const [data, isBinary] = (await once(socket, 'message')) as [Buffer, boolean]
  assert.equal(isBinary, typeof message !== 'string')
  assert.ok(data.equals(Buffer.from(message)), `${data.length} bytes came back`)
}

async function shut(socket: WebSocket): Promise<number> {
  const closed = once(socket, 'close')
  socket.close(1000)
  return ((await closed) as [number])[0]
}

/** Answer of the gateway to a handshake that fails. */
async function refusal(socket: WebSocket): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  const [, response] = (await once(socket, 'unexpected-response')) as [
    unknown,
    NodeJS.ReadableStream & { statusCode: number; headers: Record<string, unknown> },
  ]
  let body = ''
  for await (const part of response) body += String(part)
  return { status: response.statusCode, headers: response.headers, body }
}

async function tunnelsOpen(): Promise<number> {
  return (await gateway.metrics()).sum('infer_gateway_tunnels_open')
}

test('messages of every size pass both ways, and the end of the tunnel is in log and metrics', async () => {
  const socket = await open('voice', { headers: { 'x-request-id': 'tunnel-1' } })
  assert.equal(await tunnelsOpen(), 1)
  assert.equal(
    (await gateway.status()).endpoints.reduce((sum, { inFlight }) => sum + inFlight, 0),
    1,
  )
  await echoed(socket, '{"type":"session.update"}')
  for (const bytes of [0, 1, 125, 126, 65_535, 65_536, 1 << 20, 5_000_000]) await echoed(socket, Buffer.alloc(bytes, 7))
  assert.equal(await shut(socket), 1000)
  const line = await gateway.accessLine('tunnel-1')
  assert.deepEqual(
    [line.status, line.method, line.api, line.model, line.path, line.endpoint, line.reason, line.client_abort],
    [101, 'GET', 'realtime', 'voice', '/v1/realtime', engine.id, undefined, undefined],
  )
  assert.ok(Number(line.bytes_in) > 6_000_000 && Number(line.bytes_out) > 6_000_000)
  assert.equal(await tunnelsOpen(), 0)
  assert.equal(await gateway.underWay(), 0)
  const page = await gateway.metrics()
  assert.equal(page.sum('infer_gateway_requests_total', { model: 'voice', status: '101' }), 1)
})

test('fragments, pings and many messages at once arrive as they were sent', async () => {
  const socket = await open('voice')
  const pong = once(engine.sockets.at(-1) as WebSocket, 'ping')
  socket.send('one ', { fin: false })
  socket.ping('between')
  socket.send('message', { fin: true })
  const [data] = (await once(socket, 'message')) as [Buffer]
  assert.equal(data.toString(), 'one message')
  assert.equal(String((await pong)[0]), 'between')
  const received: string[] = []
  socket.on('message', (message: Buffer) => received.push(message.toString()))
  const sent = Array.from({ length: 500 }, (_, i) => `${i} ${'x'.repeat(i * 7)}`)
  for (const message of sent) socket.send(message)
  await waitFor('all echoes', () => received.length === sent.length)
  assert.deepEqual(received, sent)
  await shut(socket)
})

test('extensions are agreed on end to end', async () => {
  const socket = await open('deflating', { perMessageDeflate: true })
  assert.equal(socket.extensions, 'permessage-deflate')
  await echoed(socket, 'compressed '.repeat(20_000))
  await shut(socket)
})

test('the client built into Node works', async () => {
  const socket = new globalThis.WebSocket(`ws://127.0.0.1:${gateway.port}/v1/realtime?model=voice`, ['realtime'])
  await once(socket, 'open')
  assert.equal(socket.protocol, 'realtime')
  socket.send('hello')
  const [event] = (await once(socket, 'message')) as [MessageEvent]
  assert.equal(event.data, 'hello')
  socket.close()
  await once(socket, 'close')
})

test('a message sent right behind the handshake is not lost', async () => {
  const client = await RawClient.connect(gateway.port)
  const frame = Buffer.from([0x81, 0x83, 0, 0, 0, 0, 0x61, 0x62, 0x63])
  const head = `GET /v1/realtime?model=voice HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n`
  const key = 'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
  client.write(Buffer.concat([Buffer.from(head + key), frame]))
  await client.seen('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
  await client.seen('\x03abc')
  client.close()
})

test('the engine gets the model as it knows it, and is told who asked', async () => {
  const socket = await open('renamed', {
    headers: { 'x-forwarded-for': '6.6.6.6', authorization: 'Bearer of-the-client' },
  })
  const { target, headers } = engine.last
  assert.equal(target, '/v1/realtime?model=org%2Fserved%20name')
  assert.deepEqual(
    [headers['x-forwarded-for'], headers['x-forwarded-proto'], headers.via, headers.authorization, headers.host],
    ['127.0.0.1', 'http', '1.1 infer-gateway', 'Bearer of-the-client', engine.id],
  )
  await shut(socket)
  const named = new WebSocket(`ws://127.0.0.1:${gateway.port}/v1/realtime?intent=x`, {
    headers: { 'x-infer-model': 'voice' },
  })
  await once(named, 'open')
  assert.equal(engine.last.target, '/v1/realtime?intent=x&model=voice')
  assert.equal(engine.last.headers['x-infer-model'], undefined)
  await shut(named)
})

test('a key among the subprotocols goes no further than an authorization header would', async () => {
  const protocols = [
    'realtime',
    'openai-insecure-api-key.client-secret',
    'openai-beta.realtime-v1',
    'openai-project.mine',
  ]
  const reached: Record<string, string | undefined> = {}
  for (const model of ['voice', 'secured', 'hosted']) {
    const socket = await open(model, { protocols })
    assert.equal(socket.protocol, 'realtime')
    reached[model] = engine.last.headers['sec-websocket-protocol']
    if (model !== 'voice') assert.match(engine.last.headers.authorization ?? '', /^Bearer (engine|provider)-secret$/)
    await shut(socket)
  }
  assert.deepEqual(reached, {
    voice: 'realtime, openai-insecure-api-key.client-secret, openai-beta.realtime-v1, openai-project.mine',
    secured: 'realtime, openai-beta.realtime-v1, openai-project.mine',
    hosted: 'realtime, openai-beta.realtime-v1',
  })
  assert.equal(engine.last.headers['x-forwarded-for'], undefined)
})

test('an answer of the engine that is no switch reaches the client as it is', async () => {
  engine.refuses = answerInstead(403, '{"error":"not you"}', ['x-engine: yes'])
  const { status, headers, body } = await refusal(dial('voice', { headers: { 'x-request-id': 'refused-1' } }))
  assert.deepEqual([status, headers['x-engine'], body], [403, 'yes', '{"error":"not you"}'])
  assert.equal(headers['x-request-id'], 'refused-1')
  assert.equal((await gateway.accessLine('refused-1')).status, 403)
})

test('what is neither a switch nor an error is no answer to a handshake', async () => {
  const answers = [
    answerInstead(200, '{}'),
    (_: unknown, socket: { end(text: string): void }) => {
      socket.end('HTTP/1.1 101 x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: wrong\r\n\r\n')
      return true
    },
    (_: unknown, socket: { end(text: string): void }) => {
      socket.end('HTTP/1.1 101 x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n')
      return true
    },
  ]
  for (const answer of answers) {
    engine.refuses = answer
    const { status, headers } = await refusal(dial('voice'))
    assert.deepEqual([status, headers['x-infer-reason']], [502, 'upstream-not-websocket'])
  }
  engine.refuses = (_request, socket) => socket.end('nonsense\r\n\r\n') !== undefined
  const { headers } = await refusal(dial('voice'))
  assert.equal(headers['x-infer-reason'], 'upstream-malformed')
})

test('an engine that does not answer the handshake in time is given up', async () => {
  engine.refuses = () => true
  const { status, headers } = await refusal(dial('hurried'))
  assert.deepEqual([status, headers['x-infer-reason']], [504, 'upstream-first-byte-timeout'])
})

test('a dead endpoint and one that is busy are passed over', async () => {
  for (let i = 0; i < 4; i++) {
    const socket = await open('half', { headers: { 'x-request-id': `half-${i}` } })
    await echoed(socket, 'x')
    await shut(socket)
    assert.equal((await gateway.accessLine(`half-${i}`)).endpoint, other.id)
  }
  engine.refuses = answerInstead(503, '{}')
  for (let i = 0; i < 4; i++) {
    const socket = await open('pair')
    await echoed(socket, 'x')
    await shut(socket)
  }
  other.refuses = answerInstead(503, '{}')
  const { status, body } = await refusal(dial('pair'))
  assert.deepEqual([status, body], [503, '{}'])
})

test('the engine learns at once that its client has gone', async () => {
  for (const goes of [
    (socket: WebSocket) => socket.terminate(),
    (socket: WebSocket) => (socket as unknown as { _socket: { resetAndDestroy(): void } })._socket.resetAndDestroy(),
  ]) {
    const id = `gone-${engine.handshakes.length}`
    const socket = await open('voice', { headers: { 'x-request-id': id } })
    await echoed(socket, 'x')
    const closed = once(engine.sockets.at(-1) as WebSocket, 'close')
    socket.on('error', () => {})
    const startedMs = performance.now()
    goes(socket)
    await closed
    assert.ok(performance.now() - startedMs < 100, `${performance.now() - startedMs} ms`)
    assert.equal((await gateway.accessLine(id)).client_abort, 'answering')
  }
  assert.equal(await tunnelsOpen(), 0)
})

test('the client learns at once that its engine has gone', async () => {
  const socket = await open('voice', { headers: { 'x-request-id': 'engine-gone' } })
  await echoed(socket, 'x')
  const closed = once(socket, 'close')
  const startedMs = performance.now()
  engine.sockets.at(-1)?.terminate()
  const [code] = (await closed) as [number]
  assert.ok(performance.now() - startedMs < 200)
  assert.equal(code, 1006)
  const line = await gateway.accessLine('engine-gone')
  assert.deepEqual([line.reason, line.error_source, line.cut], ['upstream-reset', 'upstream', true])
})

test('a close frame of the engine reaches the client with its code', async () => {
  const socket = await open('voice', { headers: { 'x-request-id': 'engine-closes' } })
  const closed = once(socket, 'close')
  engine.sockets.at(-1)?.close(4001, 'session over')
  const [code, reason] = (await closed) as [number, Buffer]
  assert.deepEqual([code, reason.toString()], [4001, 'session over'])
  const line = await gateway.accessLine('engine-closes')
  assert.deepEqual([line.reason, line.client_abort, line.cut], [undefined, undefined, undefined])
})

test('whoever does not read holds back the other side, and not the gateway', async () => {
  engine.echoes = false
  const socket = await open('voice')
  const server = engine.sockets.at(-1) as WebSocket
  const chunk = Buffer.alloc(1 << 20, 1)
  const rss = async (): Promise<number> => (await gateway.metrics()).sum('process_resident_memory_bytes')
  for (const [reader, writer] of [
    [socket, server],
    [server, socket],
  ] as const) {
    // What went through the other way is garbage that need not be collected yet.
    const before = await rss()
    reader.pause()
    for (let i = 0; i < 64; i++) writer.send(chunk)
    await waitFor('blocked writer', () => writer.bufferedAmount > 32 << 20)
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.ok(writer.bufferedAmount > 32 << 20, 'most of it is still with whoever sent it')
    assert.ok((await rss()) - before < 48 << 20)
    let received = 0
    reader.on('message', (data: Buffer) => {
      received += data.length
    })
    reader.resume()
    await waitFor('everything', () => received === 64 << 20, 20_000)
  }
  await shut(socket)
})

test('a tunnel in which nothing passes is closed', async () => {
  const socket = await open('brief', { headers: { 'x-request-id': 'idle-1' } })
  const closed = once(socket, 'close')
  await echoed(socket, 'x')
  const startedMs = performance.now()
  const [code] = (await closed) as [number]
  const ms = performance.now() - startedMs
  assert.ok(ms > 350 && ms < 1000, `${ms} ms`)
  assert.equal(code, 1001)
  assert.equal((await gateway.accessLine('idle-1')).reason, 'upstream-idle-timeout')
  assert.equal(engine.closeCodes.at(-1), 1001)
})

test('without an upgrade, a model, or the method the refusal says so', async () => {
  const url = `${gateway.url}/v1/realtime?model=voice`
  const plain = await fetch(url)
  assert.deepEqual(
    [plain.status, plain.headers.get('upgrade'), plain.headers.get('x-infer-reason')],
    [426, 'websocket', 'websocket-required'],
  )
  const post = await fetch(url, { method: 'POST' })
  assert.deepEqual([post.status, post.headers.get('allow')], [405, 'GET'])
  const cases = [
    ['/v1/realtime', 400, 'missing-model'],
    ['/v1/realtime?model=a&model=b', 400, 'missing-model'],
    ['/v1/realtime?model=nobody', 404, 'unknown-model'],
    ['/v1/elsewhere?model=voice', 404, 'unknown-path'],
  ] as const
  for (const [target, status, reason] of cases) {
    const answer = await refusal(new WebSocket(`ws://127.0.0.1:${gateway.port}${target}`))
    assert.deepEqual([answer.status, answer.headers['x-infer-reason']], [status, reason], target)
  }
})

test('over HTTP/2 the refusal says so too', async () => {
  const port = await freePorts.take()
  const listeners = [{ name: 'both', address: '127.0.0.1', port, http2: true }]
  const modern = await RunningGateway.start({ listeners, models: { voice: { endpoints: [engine.url] } } })
  const session = connectHttp2(`http://127.0.0.1:${port}`)
  const stream = session.request({ ':path': '/v1/realtime?model=voice' })
  const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
  assert.deepEqual([headers[':status'], headers['x-infer-reason']], [426, 'websocket-required'])
  session.destroy()
  await modern.close()
})

test('a handshake that ends before its answer leaves nothing behind', async () => {
  engine.refuses = () => true
  const before = engine.handshakes.length
  const socket = connect(gateway.port, '127.0.0.1')
  const key = 'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
  socket.write(
    `GET /v1/realtime?model=voice HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nx-request-id: early\r\n${key}\r\n`,
  )
  await waitFor('handshake', () => engine.handshakes.length > before)
  socket.destroy()
  assert.equal((await gateway.accessLine('early')).client_abort, 'before-first-byte')
  await waitFor('quiet gateway', async () => (await gateway.underWay()) === 0)
})

test('at the end of a drain both sides are told to come back later', async () => {
  const draining = await RunningGateway.start({
    models: { voice: { endpoints: [engine.url] } },
    limits: { drain: '300ms' },
  })
  const url = `ws://127.0.0.1:${draining.port}/v1/realtime?model=voice`
  const socket = new WebSocket(url, { headers: { 'x-request-id': 'drained-1' } })
  await once(socket, 'open')
  await echoed(socket, 'x')
  const closed = once(socket, 'close')
  const startedMs = performance.now()
  const exit = draining.stop('SIGTERM')
  await echoed(socket, 'still there')
  assert.equal(((await closed) as [number])[0], 1012)
  assert.ok(performance.now() - startedMs >= 250)
  await waitFor('close code at the engine', () => engine.closeCodes.at(-1) === 1012)
  assert.equal(await exit, 0)
  const line = draining.accessLines.find(({ request_id }) => request_id === 'drained-1')
  assert.deepEqual([line?.status, line?.reason, line?.cut], [101, 'draining', true])
})
