import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { certificateA } from '#datastore/certificate-case.ts'
import { writePair } from './support/certificates.ts'
import { modelOn, startFleet } from './support/fleet.ts'
import { answerOf, chatStream, http2Session } from './support/http2-client.ts'
import { freePorts } from './support/ports.ts'
import { RawClient } from './support/raw-client.ts'
import { splitEvents } from './support/sse.ts'
import { waitFor } from './support/wait.ts'

const found = ['haproxy', '/usr/sbin/haproxy'].find((path) => spawnSync(path, ['-v']).error === undefined)
const skip = found === undefined ? 'haproxy is not installed' : false
const directory = mkdtempSync(join(tmpdir(), 'infer-gateway-proxy-'))
after(() => rmSync(directory, { recursive: true, force: true }))

const ports = { plain: await freePorts.take(), secure: await freePorts.take() }
const fronts = { one: await freePorts.take(), two: await freePorts.take(), tls: await freePorts.take() }
const fleet = await startFleet({
  config: (sims) => ({
    models: { tiny: modelOn(sims) },
    listeners: [
      {
        name: 'plain',
        address: '127.0.0.1',
        port: ports.plain,
        proxyProtocol: true,
        http2: true,
        connectionsPerClient: 4,
      },
      {
        name: 'secure',
        address: '127.0.0.1',
        port: ports.secure,
        proxyProtocol: true,
        tls: writePair(directory, 'a', certificateA),
      },
    ],
  }),
})
after(() => fleet.close())

/** HAProxy in front: it passes bytes on and says for whom; its health checks say that they are its own. */
function startProxy(program: string): ChildProcess {
  const pass = (name: string, port: number, to: number, options: string): string =>
    `listen ${name}\n  bind 127.0.0.1:${port}\n  server gateway 127.0.0.1:${to} check inter 200ms ${options}\n`
  const text = [
    'defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 30s\n  timeout server 30s\n',
    pass('one', fronts.one, ports.plain, 'send-proxy'),
    pass('two', fronts.two, ports.plain, 'send-proxy-v2 proxy-v2-options crc32c,unique-id'),
    pass('tls', fronts.tls, ports.secure, 'send-proxy-v2'),
  ].join('')
  const file = join(directory, 'haproxy.cfg')
  writeFileSync(file, text)
  return spawn(program, ['-db', '-f', file], { stdio: 'ignore' })
}

const proxy = found === undefined ? undefined : startProxy(found)
after(() => void proxy?.kill())

/** Asks from an address of its own; any of 127.0.0.0/8 is this machine. */
function askFrom(localAddress: string, port: number): Promise<{ readonly status: number; readonly id: string }> {
  const body = JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: 'hi' }], max_tokens: 2 })
  const headers = { 'content-type': 'application/json' }
  const options = { host: '127.0.0.1', port, method: 'POST', path: '/v1/chat/completions', headers, localAddress }
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...options, agent: false }, (response) => {
      response.resume()
      const id = String(response.headers['x-request-id'])
      response.on('end', () => resolve({ status: response.statusCode ?? 0, id }))
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

for (const [version, port] of [
  [1, fronts.one],
  [2, fronts.two],
] as const) {
  test(`the clients of HAProxy are known by its header, version ${version}`, { skip }, async () => {
    await waitFor('proxy', () => askFrom('127.0.0.1', port).catch(() => undefined))
    for (const address of ['127.0.0.5', '127.0.0.6']) {
      const { status, id } = await askFrom(address, port)
      assert.equal(status, 200)
      assert.equal((await fleet.gateway.accessLine(id)).client, address)
    }
  })
}

test('HTTP/2 comes through HAProxy, with TLS and without', { skip }, async () => {
  for (const url of [`http://127.0.0.1:${fronts.two}`, `https://127.0.0.1:${fronts.tls}`]) {
    const session = await waitFor('session', () => http2Session(url).catch(() => undefined))
    const answers = await Promise.all(Array.from({ length: 20 }, () => answerOf(chatStream(session, 10))))
    for (const { status, body } of answers) {
      assert.deepEqual([status, splitEvents(body).events.at(-1)?.data], [200, '[DONE]'])
    }
    session.destroy()
  }
})

test('a connection without the header is dropped', async () => {
  const client = await RawClient.connect(ports.plain)
  client.write('GET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n')
  assert.equal(await client.rest(), '')
})

test('each client behind the proxy has its own limit of connections', async () => {
  const open = async (address: string): Promise<RawClient> => {
    const client = await RawClient.connect(ports.plain)
    client.write(`PROXY TCP4 ${address} 192.0.2.1 1 2\r\nGET /v1/models HTTP/1.1\r\nhost: a\r\n\r\n`)
    return client
  }
  const clients: RawClient[] = []
  for (let i = 0; i < 4; i++) {
    const client = await open('198.51.100.7')
    assert.equal((await client.response()).status, 200)
    clients.push(client)
  }
  // Which thread takes a connection is chance, and each has its own count: beyond the limit is beyond it everywhere.
  const beyond = await Promise.all(Array.from({ length: 12 }, () => open('198.51.100.7')))
  const answers = await Promise.all(beyond.map((client) => client.response()))
  assert.ok(answers.some(({ status }) => status === 503))
  const other = await open('198.51.100.8')
  assert.equal((await other.response()).status, 200)
  for (const client of [...clients, ...beyond, other]) client.close()
})
