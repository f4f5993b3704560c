/** Clients that take their answers slowly or not at all: each is bounded, and so are all of them together. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { RunningGateway } from './support/gateway.ts'
import { freePorts } from './support/ports.ts'
import { postBytes, RawClient } from './support/raw-client.ts'
import { RawUpstream } from './support/raw-upstream.ts'
import { run } from './support/run.ts'
import { sleep, waitFor } from './support/wait.ts'

const skip = spawnSync('openssl', ['version']).error === undefined ? false : 'openssl is not installed'
const directory = mkdtempSync(join(tmpdir(), 'infer-gateway-slow-'))
const event = Buffer.from(`data: {"choices":[{"delta":{"content":"${'x'.repeat(16_000)}"}}]}\n\n`)

/** Answers that engines still write. */
let open = 0

/** Streams without end, as fast as it is taken. */
async function pour(socket: Socket): Promise<void> {
  open++
  socket.on('close', () => open--)
  socket.write('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n')
  const size = `${event.length.toString(16)}\r\n`
  const chunk = Buffer.concat([Buffer.from(size), event, Buffer.from('\r\n')])
  let wake = (): void => {}
  socket.on('drain', () => wake()).on('close', () => wake())
  while (!socket.destroyed) {
    if (!socket.write(chunk) && !socket.destroyed) await new Promise<void>((resolve) => void (wake = resolve))
  }
}

const upstream = await RawUpstream.start(pour)
const keyKind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
const files = ['-keyout', join(directory, 'key.pem'), '-out', join(directory, 'cert.pem')]
if (skip === false) await run('openssl', ['req', '-x509', ...keyKind, ...files, '-subj', '/CN=gateway.test'])
const [plainPort, securePort] = [await freePorts.take(), await freePorts.take()]
const gateway = await RunningGateway.start(
  {
    listeners: [
      { name: 'plain', address: '127.0.0.1', port: plainPort },
      ...(skip === false
        ? [
            {
              name: 'secure',
              address: '127.0.0.1',
              port: securePort,
              tls: { certFile: 'cert.pem', keyFile: 'key.pem' },
            },
          ]
        : []),
    ],
    models: { tiny: { endpoints: [upstream.url], injectUsage: false } },
    limits: { stalledReader: '2s', unsentBytes: '1MiB' },
    threads: 1,
  },
  { directory, onFailure: () => upstream.close() },
)
after(async () => {
  try {
    await gateway.close()
  } finally {
    await upstream.close()
  }
})

/** A client that asks for a stream and then does not read. */
async function stalled(port: number): Promise<RawClient> {
  const tls =
    port === securePort ? { ca: readFileSync(join(directory, 'cert.pem')), servername: 'gateway.test' } : undefined
  const client = await RawClient.connect(port, tls === undefined ? {} : { tls })
  client.socket.pause()
  client.write(postBytes('/v1/chat/completions', Buffer.from('{"model":"tiny","messages":[],"stream":true}')))
  return client
}

const cutSoFar = async (): Promise<number> =>
  (await gateway.metrics()).sum('infer_gateway_refusals_total', { reason: 'client-too-slow' })

for (const [name, port] of [
  ['plain', plainPort],
  ['secure', securePort],
] as const) {
  test(`a client of the ${name} listener that takes nothing is cut, and so is its engine`, {
    skip: name === 'secure' && skip,
  }, async () => {
    const before = await cutSoFar()
    const client = await stalled(port)
    await waitFor('stream', () => open === 1)
    await waitFor('end of the stream at the engine', () => open === 0, 10_000)
    await waitFor('count', async () => (await cutSoFar()) === before + 1)
    const line = await waitFor('line in the access log', () =>
      gateway.accessLines.find(({ listener }) => listener === name),
    )
    assert.equal(line.reason, 'client-too-slow')
    client.close()
  })

  test(`a client of the ${name} listener that takes a little now and then is not cut`, {
    skip: name === 'secure' && skip,
  }, async () => {
    const before = await cutSoFar()
    const client = await stalled(port)
    await waitFor('stream', () => open === 1)
    for (let i = 0; i < 6; i++) {
      await sleep(500)
      // Enough for the system's buffers to move: they wait until a good part of them is free.
      client.socket.resume()
      await new Promise((resolve) => setImmediate(resolve))
      await sleep(5)
      client.socket.pause()
    }
    assert.deepEqual([open, await cutSoFar()], [1, before])
    client.close()
    await waitFor('end of the stream at the engine', () => open === 0)
  })
}

test('clients that together leave too much are cut until the rest fits', async () => {
  const config = { models: { tiny: { endpoints: [upstream.url], injectUsage: false } }, threads: 1 }
  const patient = await RunningGateway.start({ ...config, limits: { unsentBytes: '1MiB' } })
  try {
    const cut = async (): Promise<number> =>
      (await patient.metrics()).sum('infer_gateway_refusals_total', { reason: 'client-too-slow' })
    const clients = await Promise.all(Array.from({ length: 30 }, () => stalled(patient.port)))
    await waitFor('some of them to be cut', async () => (await cut()) > 0, 20_000)
    await waitFor('the engine to be cut off too', async () => open === 30 - (await cut()))
    assert.ok(open > 0, 'all of them were cut')
    for (const client of clients) client.close()
    await waitFor('end of the streams at the engine', () => open === 0)
  } finally {
    await patient.close()
  }
})
