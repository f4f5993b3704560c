import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls'
import type { UpstreamTls } from '#config/snapshot.ts'
import { manualClock } from '#core/manual-clock.ts'
import { certificateA, certificateB, clientAuthority, clientCertificate } from '#datastore/certificate-case.ts'
import { endpointPlan, modelServerPlan, snapshotOf } from '#datastore/snapshot-case.ts'
import { UpstreamPools } from './upstream-pools.ts'
import { UpstreamTlsClient } from './upstream-tls.ts'

const trusting: UpstreamTls = {
  ca: certificateA.cert,
  serverName: 'a.test',
  certificate: undefined,
  insecureSkipVerify: false,
}

interface Engine {
  readonly port: number
  readonly resumed: boolean[]
  readonly names: unknown[]
}

async function withEngine(options: TlsOptions, run: (engine: Engine) => Promise<void>): Promise<void> {
  const resumed: boolean[] = []
  const names: unknown[] = []
  const server = createServer({ ...certificateA, ...options }, (socket) => {
    resumed.push(socket.isSessionReused())
    names.push(socket.servername)
    socket.on('error', () => {})
    socket.on('data', () => socket.end('bye'))
  })
  server.on('tlsClientError', () => {})
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    await run({ port: (server.address() as AddressInfo).port, resumed, names })
  } finally {
    server.close()
  }
}

/** Says a word and waits for the answer; the error when there is none. */
function talk(socket: TLSSocket): Promise<string> {
  return new Promise((resolve) => {
    socket.on('secureConnect', () => socket.write('hello'))
    socket.on('data', (bytes: Buffer) => {
      socket.destroy()
      resolve(bytes.toString())
    })
    socket.on('error', ({ message }) => resolve(message))
    socket.on('close', () => resolve('closed'))
  })
}

function clientOf(port: number, tls: UpstreamTls): UpstreamTlsClient {
  return new UpstreamTlsClient(endpointPlan(`127.0.0.1:${port}`), tls)
}

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`the last session of ${maxVersion} is resumed`, () =>
    withEngine({ maxVersion }, async ({ port, resumed, names }) => {
      const client = clientOf(port, trusting)
      for (let i = 0; i < 3; i++) assert.equal(await talk(client.connect()), 'bye')
      assert.deepEqual(resumed, [false, true, true])
      assert.equal(names[0], 'a.test')
    }))
}

const checks: readonly (readonly [string, Partial<UpstreamTls>, RegExp])[] = [
  ['of an unknown authority', { ca: certificateB.cert }, /self-signed|unable to verify/],
  ['made out to another name', { serverName: 'b.test' }, /does not match/],
  ['that is not looked at', { ca: undefined, serverName: 'b.test', insecureSkipVerify: true }, /^bye$/],
]
for (const [what, given, says] of checks) {
  test(`a certificate ${what} is judged so, again and again`, () =>
    withEngine({}, async ({ port }) => {
      const client = clientOf(port, { ...trusting, ...given })
      for (let i = 0; i < 3; i++) assert.match(await talk(client.connect()), says)
    }))
}

test('an engine that asks for a certificate is shown one', () =>
  withEngine({ ca: clientAuthority, requestCert: true, rejectUnauthorized: true }, async ({ port }) => {
    assert.equal(await talk(clientOf(port, { ...trusting, certificate: clientCertificate }).connect()), 'bye')
    assert.notEqual(await talk(clientOf(port, trusting).connect()), 'bye')
  }))

test('endpoints share connections only under the same TLS settings', () => {
  const pools = new UpstreamPools(manualClock())
  const poolOf = (tls: UpstreamTls | undefined) => {
    const modelServer = modelServerPlan('m', ['10.0.0.1:443'], { tls })
    pools.applySnapshot(snapshotOf([modelServer]))
    const [endpoint] = modelServer.endpoints
    assert.ok(endpoint)
    return pools.of(modelServer, endpoint)
  }
  const variants: (UpstreamTls | undefined)[] = [
    undefined,
    trusting,
    { ...trusting, certificate: clientCertificate },
    { ...trusting, certificate: certificateB },
    { ...trusting, ca: certificateB.cert },
    { ...trusting, ca: undefined },
    { ...trusting, serverName: 'b.test' },
    { ...trusting, insecureSkipVerify: true },
  ]
  const seen = new Set(variants.map(poolOf))
  assert.equal(seen.size, variants.length)
  const last = poolOf(variants.at(-1))
  assert.equal(poolOf(structuredClone(variants.at(-1))), last)
  pools.close()
})
