import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import net, { type AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import type { GetAnswer, GetClient, GetTarget } from './get-port.ts'
import { createHttpGet } from './http-get.ts'

interface Result {
  readonly kind: string
  readonly status: number | undefined
  readonly body: string
  readonly reason: string | undefined
  readonly message: string | undefined
}

function get(client: GetClient, path: string): Promise<Result> {
  return new Promise((resolve) => client.get(path, (answer) => resolve(resultOf(answer))))
}

function resultOf(answer: GetAnswer): Result {
  return answer.kind === 'answer'
    ? {
        kind: 'answer',
        status: answer.status,
        body: answer.body.toString('latin1'),
        reason: undefined,
        message: undefined,
      }
    : { kind: 'failure', status: undefined, body: '', reason: answer.reason, message: answer.message }
}

/** Starts a server for one test, and a client of it. */
async function setUp(t: TestContext, server: net.Server, target: Partial<GetTarget> = {}): Promise<GetClient> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => sockets.add(socket))
  const { port } = server.address() as AddressInfo
  const client = createHttpGet()({ host: '127.0.0.1', port, tls: undefined, headers: [], ...target })
  t.after(async () => {
    client.close()
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return client
}

/** A server that writes raw text, then ends the connection unless told to keep it. */
function rawServer(respond: (socket: net.Socket, request: string) => void): net.Server {
  return net.createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', (bytes) => respond(socket, bytes.toString('latin1')))
  })
}

const page = readFileSync(new URL('./fixtures/vllm-0.32.0.txt', import.meta.url), 'latin1')

test('gets pages of any framing over one connection', async (t) => {
  let connections = 0
  const server = http.createServer((request, response) => {
    if (request.url === '/chunked') {
      response.write(page.slice(0, 30_000))
      setImmediate(() => response.end(page.slice(30_000)))
    } else response.writeHead(200, { 'content-length': page.length }).end(page)
  })
  server.on('connection', () => connections++)
  const client = await setUp(t, server)
  for (const path of ['/length', '/chunked', '/length', '/chunked']) {
    const result = await get(client, path)
    assert.equal(result.status, 200)
    assert.ok(result.body === page, path)
  }
  assert.equal(connections, 1)
})

test('begins the next request within the answer to the one before', async (t) => {
  const server = http.createServer((request, response) => {
    if (request.url === '/first') response.setHeader('connection', 'close')
    response.end(request.url)
  })
  const client = await setUp(t, server)
  const bodies = await new Promise<string[]>((resolve) => {
    const seen: string[] = []
    const paths = ['/first', '/second', '/third']
    const next = (): void => {
      client.get(paths[seen.length] as string, (answer) => {
        seen.push(resultOf(answer).body)
        if (seen.length === paths.length) resolve(seen)
        else next()
      })
    }
    next()
  })
  assert.deepEqual(bodies, ['/first', '/second', '/third'])
})

test('sends the headers of the engine, and none that would end the head', async (t) => {
  let seen: http.IncomingMessage | undefined
  const server = http.createServer((request, response) => {
    seen = request
    response.end('ok')
  })
  const headers = [
    { name: 'Authorization', value: 'Bearer key' },
    { name: 'x-bad', value: 'a\r\nx-injected: 1' },
    { name: 'x bad', value: '1' },
    { name: 'content-length', value: '7' },
  ]
  const client = await setUp(t, server, { headers })
  assert.equal((await get(client, '/a b?ü=\r\n')).body, 'ok')
  assert.equal(seen?.url, '/a%20b?%C3%BC=%0D%0A')
  assert.equal(seen?.headers.authorization, 'Bearer key')
  assert.deepEqual(
    ['x-bad', 'x-injected', 'x bad', 'content-length'].map((name) => seen?.headers[name]),
    [undefined, undefined, undefined, undefined],
  )
})

test('asks again over a fresh connection when a kept one has been closed meanwhile', async (t) => {
  let requests = 0
  const server = rawServer((socket) => {
    requests++
    // The third request comes over the kept connection, which dies of it.
    if (requests === 2) socket.destroy()
    else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
  })
  const client = await setUp(t, server)
  assert.equal((await get(client, '/')).body, 'ok')
  assert.equal((await get(client, '/')).body, 'ok')
  assert.equal(requests, 3)
})

test('connects again after an idle connection has ended', async (t) => {
  let open: net.Socket | undefined
  const server = rawServer((socket) => {
    open = socket
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
  })
  const client = await setUp(t, server)
  assert.equal((await get(client, '/')).body, 'ok')
  open?.end()
  await new Promise((resolve) => open?.once('close', resolve))
  assert.equal((await get(client, '/')).body, 'ok')
})

const failures = [
  { name: 'garbage', text: 'SSH-2.0-x\r\n\r\n', reason: 'protocol' },
  { name: 'a response that is cut off', text: 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhal', reason: 'protocol' },
  { name: 'a response and more', text: 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nhalf', reason: 'protocol' },
  { name: 'a connection that ends at once', text: '', reason: 'reset' },
  { name: 'more than 4 MiB', text: 'HTTP/1.1 200 OK\r\ncontent-length: 4194305\r\n\r\n', reason: 'too-large' },
] as const

for (const { name, text, reason } of failures) {
  test(`reports ${name}`, async (t) => {
    const client = await setUp(
      t,
      rawServer((socket) => void socket.end(text)),
    )
    assert.equal((await get(client, '/')).reason, reason)
    assert.equal((await get(client, '/')).reason, reason, 'and can be used again')
  })
}

test('stops reading a chunked body at 4 MiB', async (t) => {
  const server = http.createServer((_, response) => {
    const piece = Buffer.alloc(256 * 1024, 0x61)
    const more = (): void => {
      if (!response.destroyed && response.write(piece)) setImmediate(more)
    }
    response.on('drain', more)
    response.on('error', () => undefined)
    more()
  })
  const client = await setUp(t, server)
  assert.equal((await get(client, '/')).reason, 'too-large')
})

test('reports a server that does not listen, and a name that does not exist', async (t) => {
  const server = net.createServer()
  const client = await setUp(t, server)
  await new Promise((resolve) => server.close(resolve))
  assert.equal((await get(client, '/')).reason, 'refused')
})

test('ends a request that takes too long, and its connection', async (t) => {
  let closed: Promise<unknown> | undefined
  const server = rawServer((socket) => {
    closed = new Promise((resolve) => socket.once('close', resolve))
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nslow')
    setImmediate(() => client.abort('timeout'))
  })
  const client = await setUp(t, server)
  const result = await get(client, '/')
  assert.equal(result.reason, 'timeout')
  await closed
})

test('does not answer after it has been closed', async (t) => {
  const answers: GetAnswer[] = []
  const ended = new Promise((resolve) => {
    const server = rawServer((socket) => {
      socket.once('close', resolve)
      client.close()
    })
    const ready = setUp(t, server)
    let client: GetClient
    void ready.then((made) => {
      client = made
      client.get('/', (answer) => answers.push(answer))
    })
  })
  await ended
  assert.deepEqual(answers, [])
})

test('speaks TLS, and checks the certificate unless told not to', async (t) => {
  const cert = readFileSync(new URL('./fixtures/tls-cert.pem', import.meta.url), 'utf8')
  const key = readFileSync(new URL('./fixtures/tls-key.pem', import.meta.url), 'utf8')
  const server = https.createServer({ cert, key }, (_, response) => response.end(page))
  const checked = { ca: cert, serverName: 'engine.test', certificate: undefined, insecureSkipVerify: false }
  const client = await setUp(t, server, { tls: checked })
  assert.ok((await get(client, '/')).body === page)
  assert.ok((await get(client, '/')).body === page)
  const { port } = server.address() as AddressInfo
  const cases = [
    { tls: { ...checked, serverName: 'other.test' }, kind: 'failure' },
    { tls: { ...checked, ca: undefined }, kind: 'failure' },
    { tls: { ...checked, ca: undefined, certificate: undefined, insecureSkipVerify: true }, kind: 'answer' },
  ]
  for (const { tls, kind } of cases) {
    const other = createHttpGet()({ host: '127.0.0.1', port, tls, headers: [] })
    const result = await get(other, '/')
    assert.equal(result.kind, kind)
    if (kind === 'failure') assert.equal(result.reason, 'tls')
    other.close()
  }
})
