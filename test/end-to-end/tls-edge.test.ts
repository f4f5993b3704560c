import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import {
  certificateA,
  certificateB,
  certificateC,
  clientAuthority,
  clientCertificate,
  strangerCertificate,
} from '#datastore/certificate-case.ts'
import { startSim } from '#sim/server.ts'
import { writePair } from './support/certificates.ts'
import { quick } from './support/fleet.ts'
import { RunningGateway } from './support/gateway.ts'
import { answerOf, chatStream, http2Session } from './support/http2-client.ts'
import { freePorts } from './support/ports.ts'
import { postBytes, RawClient } from './support/raw-client.ts'
import { run } from './support/run.ts'
import { splitEvents } from './support/sse.ts'
import { waitFor } from './support/wait.ts'

const directory = mkdtempSync(join(tmpdir(), 'infer-gateway-edge-'))
const pairs = {
  a: writePair(directory, 'a', certificateA),
  b: writePair(directory, 'b', certificateB),
  c: writePair(directory, 'c', certificateC),
  client: writePair(directory, 'client', clientCertificate),
}
const authority = join(directory, 'authority.pem')
writeFileSync(authority, clientAuthority)

/** An engine that lets in who shows a certificate of the authority. */
async function mutualTlsInFrontOf(
  port: number,
): Promise<{ server: Server; resumed: () => number; handshakes: () => number }> {
  let handshakes = 0
  let resumed = 0
  const options = { ...certificateC, ca: clientAuthority, requestCert: true, rejectUnauthorized: true }
  const server = createServer(options, (outer: TLSSocket) => {
    handshakes++
    if (outer.isSessionReused()) resumed++
    const inner = connect({ host: '127.0.0.1', port })
    outer.pipe(inner).pipe(outer)
    outer.on('error', () => inner.destroy()).on('close', () => inner.destroy())
    inner.on('error', () => outer.destroy()).on('close', () => outer.destroy())
  })
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { server, resumed: () => resumed, handshakes: () => handshakes }
}

const sim = await startSim(quick)
const engine = await mutualTlsInFrontOf(sim.port)
const engineAddress = engine.server.address()
const engineUrl = `https://127.0.0.1:${typeof engineAddress === 'object' ? engineAddress?.port : 0}`
const [namesPort, mutualPort] = [await freePorts.take(), await freePorts.take()]
const engineTls = { caFile: pairs.c.certFile, serverName: 'c.test' }
const config = {
  models: {
    tiny: { engine: 'vllm', endpoints: [sim.url] },
    mutual: { endpoints: [engineUrl], servedModel: 'tiny', tls: { ...engineTls, ...pairs.client } },
    anonymous: { endpoints: [engineUrl], servedModel: 'tiny', tls: engineTls },
  },
  listeners: [
    {
      name: 'names',
      address: '127.0.0.1',
      port: namesPort,
      tls: { ...pairs.a, certificates: [pairs.b, pairs.c] },
    },
    {
      name: 'mutual',
      address: '127.0.0.1',
      port: mutualPort,
      tls: { ...pairs.a, clientCaFile: authority },
    },
  ],
}
const closeEngine = async (): Promise<void> => {
  engine.server.close()
  await sim.close()
}
const gateway = await RunningGateway.start(config, { directory, onFailure: closeEngine })
after(async () => {
  try {
    await gateway.close()
  } finally {
    await closeEngine()
    rmSync(directory, { recursive: true, force: true })
  }
})

function chat(model: string): Buffer {
  const messages = [{ role: 'user', content: 'hello' }]
  return postBytes('/v1/chat/completions', Buffer.from(JSON.stringify({ model, messages, max_tokens: 3 })))
}

test('each name gets its certificate, trusted as such', async () => {
  const trusted = { 'a.test': certificateA, 'b.test': certificateB, 'api.b.test': certificateB, 'c.test': certificateC }
  for (const [servername, { cert }] of Object.entries(trusted)) {
    const client = await RawClient.connect(namesPort, { tls: { servername, ca: cert } })
    client.write(chat('tiny'))
    assert.equal((await client.response()).status, 200)
    client.close()
  }
})

test('openssl agrees on names, versions and protocols', async () => {
  const base = ['s_client', '-connect', `127.0.0.1:${namesPort}`, '-brief']
  const version = await run('openssl', ['version']).catch(() => undefined)
  if (version === undefined) return
  const handshake = async (...args: string[]): Promise<string> => {
    const { out, err } = await run('sh', ['-c', `openssl ${[...base, ...args].join(' ')} </dev/null`])
    return out + err
  }
  assert.match(await handshake('-servername', 'b.test'), /CN = b\.test/)
  assert.match(await handshake('-tls1_2'), /TLSv1\.2/)
  assert.match(await handshake('-tls1_3'), /TLSv1\.3/)
  assert.doesNotMatch(await handshake('-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'), /CONNECTION ESTABLISHED/)
})

const mutualClients = [
  { title: 'with a certificate of the authority is let in', pair: clientCertificate, isServed: true },
  { title: 'without a certificate is not', pair: {}, isServed: false },
  { title: 'with the certificate of a stranger is not', pair: strangerCertificate, isServed: false },
]
for (const { title, pair, isServed } of mutualClients) {
  test(`a client ${title}`, async () => {
    const connecting = RawClient.connect(mutualPort, { tls: { servername: 'a.test', ca: certificateA.cert, ...pair } })
    const answer = await connecting
      .then(async (client) => {
        client.write(chat('tiny'))
        return client.response()
      })
      .catch(() => undefined)
    assert.equal(answer?.status, isServed ? 200 : undefined)
  })
}

test('failed handshakes are counted by their reason', async () => {
  const count = async (reason: string): Promise<number> =>
    (await gateway.metrics()).sum('infer_gateway_tls_handshake_failures_total', { listener: 'mutual', reason })
  await waitFor('count', async () => (await count('no-client-certificate')) >= 1)
  assert.ok((await count('bad-client-certificate')) >= 1)
})

test('the gateway shows its certificate to engines that ask for one, and resumes sessions', async () => {
  for (const [model, status] of [
    ['mutual', 200],
    ['anonymous', 502],
  ] as const) {
    const client = await RawClient.connect(namesPort, { tls: { servername: 'a.test', ca: certificateA.cert } })
    client.write(chat(model))
    assert.equal((await client.response()).status, status, model)
    client.close()
  }
  const clients = await Promise.all(
    Array.from({ length: 6 }, () =>
      RawClient.connect(namesPort, { tls: { servername: 'a.test', ca: certificateA.cert } }),
    ),
  )
  for (const client of clients) client.write(chat('mutual'))
  for (const client of clients) assert.equal((await client.response()).status, 200)
  for (const client of clients) client.close()
  assert.ok(engine.resumed() > 0, `${engine.resumed()} of ${engine.handshakes()} were resumed`)
})

test('a certificate is renewed under load: no request fails, streams go on, new connections see it', async () => {
  const session = await http2Session(`https://127.0.0.1:${namesPort}`, { servername: 'a.test' })
  const long = answerOf(chatStream(session, 1500))
  const load = { isOn: true }
  const failures: string[] = []
  let requests = 0
  const worker = async (): Promise<void> => {
    while (load.isOn) {
      const client = await RawClient.connect(namesPort, { tls: { servername: 'a.test', rejectUnauthorized: false } })
      for (let i = 0; i < 5; i++) {
        client.write(chat('tiny'))
        const { status } = await client.response()
        requests++
        if (status !== 200) failures.push(String(status))
      }
      client.close()
    }
  }
  const workers = Array.from({ length: 6 }, () => worker().catch((error: unknown) => void failures.push(String(error))))
  await waitFor('requests', () => requests > 50)
  // Into the files of the first certificate comes another.
  writePair(directory, 'a', certificateB)
  const seen = await waitFor(
    'new certificate',
    async () => {
      const client = await RawClient.connect(namesPort, { tls: { servername: 'a.test', rejectUnauthorized: false } })
      const { subject } = (client.socket as TLSSocket).getPeerCertificate()
      client.close()
      return subject.CN === 'b.test' ? subject.CN : undefined
    },
    10_000,
  )
  assert.equal(seen, 'b.test')
  const before = requests
  await waitFor('more requests', () => requests > before + 50)
  load.isOn = false
  await Promise.all(workers)
  assert.deepEqual(failures, [])
  const { body, code } = await long
  assert.deepEqual([splitEvents(body).events.length, code], [1502, 0])
  session.destroy()
})

test('a key that belongs to another certificate is refused with file and key, and what was in force stays', async () => {
  writeFileSync(pairs.a.keyFile, certificateC.key)
  await waitFor('refused reload', () => gateway.stderr.includes('does not belong to the certificate'))
  const line = gateway.stderr.split('\n').find((one) => one.includes('does not belong')) ?? ''
  assert.match(line, /a\.key/)
  assert.match(line, /listeners\[0\]\.tls\.keyFile|keyFile/)
  const client = await RawClient.connect(namesPort, { tls: { servername: 'b.test', ca: certificateB.cert } })
  client.write(chat('tiny'))
  assert.equal((await client.response()).status, 200)
  client.close()
  const { code, out, err } = await run(process.execPath, ['src/cli/main.ts', 'check', gateway.configFile])
  assert.notEqual(code, 0)
  assert.match(
    out + err,
    /the key in '.*a\.key' does not belong to the certificate in '.*a\.pem'\n.*listeners\[0\]\.tls\.keyFile/,
  )
  assert.match(readFileSync(gateway.configFile, 'utf8'), /"keyFile"/)
})
