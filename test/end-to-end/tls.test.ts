import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, utimesSync } from 'node:fs'
import { connect, createServer as createTcpServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { startSim } from '#sim/server.ts'
import { quick } from './support/fleet.ts'
import { RunningGateway } from './support/gateway.ts'
import { freePorts } from './support/ports.ts'
import { postBytes, RawClient } from './support/raw-client.ts'
import { run } from './support/run.ts'
import { splitEvents } from './support/sse.ts'
import { waitFor } from './support/wait.ts'

const skip = spawnSync('openssl', ['version']).error === undefined ? false : 'openssl is not installed'
const directory = mkdtempSync(join(tmpdir(), 'infer-gateway-tls-'))

/** A self-signed certificate and its key as `NAME.pem` and `NAME.key`. */
async function makeCertificate(name: string, subjectNames: string): Promise<void> {
  const files = ['-keyout', join(directory, `${name}.key`), '-out', join(directory, `${name}.pem`)]
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${subjectNames}`]
  const { code, err } = await run('openssl', ['req', ...kind, ...files, ...subject])
  assert.equal(code, 0, err)
}

/** Speaks TLS in front of a plain server. */
async function tlsInFrontOf(port: number): Promise<Server> {
  const options = {
    cert: readFileSync(join(directory, 'engine.pem')),
    key: readFileSync(join(directory, 'engine.key')),
  }
  const server = createServer(options, (outer: TLSSocket) => {
    const inner = connect({ host: '127.0.0.1', port })
    outer.pipe(inner).pipe(outer)
    outer.on('error', () => inner.destroy()).on('close', () => inner.destroy())
    inner.on('error', () => outer.destroy()).on('close', () => outer.destroy())
  })
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

async function hasIpv6(): Promise<boolean> {
  const server = createTcpServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen({ host: '::1', port: 0 }, () => server.close(() => resolve(true)))
  })
}

async function start() {
  await makeCertificate('gateway', 'DNS:gateway.test')
  await makeCertificate('renewed', 'DNS:gateway.test')
  await makeCertificate('engine', 'DNS:engine.test')
  const sim = await startSim(quick)
  const engine = await tlsInFrontOf(sim.port)
  const address = engine.address()
  const url = `https://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  const [tlsPort, plainPort, sixPort] = [await freePorts.take(), await freePorts.take(), await freePorts.take()]
  copyFileSync(join(directory, 'gateway.pem'), join(directory, 'listener.pem'))
  copyFileSync(join(directory, 'gateway.key'), join(directory, 'listener.key'))
  const withIpv6 = await hasIpv6()
  const listeners = [
    { name: 'plain', address: '127.0.0.1', port: plainPort },
    { name: 'secure', address: '127.0.0.1', port: tlsPort, tls: { certFile: 'listener.pem', keyFile: 'listener.key' } },
    ...(withIpv6 ? [{ name: 'six', address: '::1', port: sixPort }] : []),
  ]
  const models = {
    tiny: { engine: 'vllm', endpoints: [url], tls: { caFile: 'engine.pem', serverName: 'engine.test' } },
    unchecked: { engine: 'vllm', endpoints: [url], servedModel: 'tiny', tls: { insecureSkipVerify: true } },
    // Nothing is known of these engines beforehand: the request itself finds out.
    'wrong-name': {
      endpoints: [url],
      tls: { caFile: 'engine.pem', serverName: 'other.test' },
    },
    untrusted: { endpoints: [url], tls: { serverName: 'engine.test' } },
  }
  const closeEngine = async (): Promise<void> => {
    engine.close()
    await sim.close()
  }
  const gateway = await RunningGateway.start({ listeners, models }, { directory, onFailure: closeEngine })
  const close = async (): Promise<void> => {
    try {
      await gateway.close()
    } finally {
      await closeEngine()
    }
  }
  return { gateway, sim, tlsPort, plainPort, sixPort: withIpv6 ? sixPort : undefined, close }
}

const started = skip === false ? await start() : undefined
after(() => started?.close())
const ca = skip === false ? readFileSync(join(directory, 'gateway.pem')) : Buffer.alloc(0)

function request(model: string, stream: boolean, more: object = {}): Buffer {
  const messages = [{ role: 'user', content: 'hello' }]
  return postBytes(
    '/v1/chat/completions',
    Buffer.from(JSON.stringify({ model, messages, max_tokens: 30, stream, ...more })),
  )
}

test('TLS on both sides carries answers, streams and long bodies', { skip }, async () => {
  const client = await RawClient.connect(started?.tlsPort ?? 0, { tls: { ca, servername: 'gateway.test' } })
  for (const padding of ['', 'x'.repeat(2_000_000)]) {
    client.write(request('tiny', false, { padding }))
    const whole = await client.response()
    assert.equal(whole.status, 200, whole.body.toString())
    client.write(request('tiny', true, { padding }))
    const { events } = splitEvents((await client.response()).body.toString())
    assert.equal(events.length, 32)
  }
  client.close()
})

test('the load of an engine behind TLS is read, too', { skip }, async () => {
  await waitFor('reading', async () => {
    const { endpoints } = (await started?.gateway.status()) ?? { endpoints: [] }
    return endpoints.some((one) => one.modelServer.endsWith('tiny') && one.health === 'ready' && one.running === 0)
  })
})

test('a client that leaves a TLS connection ends the work of the engine', { skip }, async () => {
  const client = await RawClient.connect(started?.tlsPort ?? 0, { tls: { ca, servername: 'gateway.test' } })
  client.write(request('tiny', true, { max_tokens: 10_000 }))
  await client.seen('data: ')
  const before = started?.sim.stats().aborted ?? 0
  client.close()
  await waitFor('abort in the engine', () => (started?.sim.stats().aborted ?? 0) > before, 1000)
})

const checks = [
  { model: 'unchecked', status: 200, title: 'a certificate that is not checked will do' },
  { model: 'wrong-name', status: 502, title: 'a certificate for another name will not do' },
  { model: 'untrusted', status: 502, title: 'a certificate of an unknown authority will not do' },
]
for (const { model, status, title } of checks) {
  test(title, { skip }, async () => {
    const client = await RawClient.connect(started?.plainPort ?? 0)
    client.write(request(model, false))
    const response = await client.response()
    assert.equal(response.status, status, response.body.toString())
    client.close()
  })
}

test('a listener for IPv6 answers', {
  skip: skip || (started?.sixPort === undefined ? 'no IPv6 here' : false),
}, async () => {
  const client = await RawClient.connect(started?.sixPort ?? 0, { host: '::1' })
  client.write(request('tiny', false))
  assert.equal((await client.response()).status, 200)
  client.close()
})

test('plain HTTP on a TLS listener ends the connection and nothing else', { skip }, async () => {
  const client = await RawClient.connect(started?.tlsPort ?? 0)
  client.write(request('tiny', false))
  await client.rest()
})

test('a renewed certificate is taken over without a restart', { skip }, async () => {
  const renewed = readFileSync(join(directory, 'renewed.pem'))
  copyFileSync(join(directory, 'renewed.key'), join(directory, 'listener.key'))
  copyFileSync(join(directory, 'renewed.pem'), join(directory, 'listener.pem'))
  utimesSync(join(directory, 'listener.pem'), new Date(), new Date())
  const client = await waitFor('connection with the new certificate', () =>
    RawClient.connect(started?.tlsPort ?? 0, { tls: { ca: renewed, servername: 'gateway.test' } }).catch(
      () => undefined,
    ),
  )
  client.write(request('tiny', false))
  assert.equal((await client.response()).status, 200)
  client.close()
})
