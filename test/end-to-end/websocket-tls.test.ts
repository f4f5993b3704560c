import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { certificateA, certificateB } from '#datastore/certificate-case.ts'
import { RunningGateway } from './support/gateway.ts'
import { freePorts } from './support/ports.ts'
import { RealtimeEngine } from './support/realtime-engine.ts'

test('a tunnel with TLS on both sides', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'infer-gateway-e2e-'))
  writeFileSync(join(directory, 'a.pem'), certificateA.cert)
  writeFileSync(join(directory, 'a.key'), certificateA.key)
  writeFileSync(join(directory, 'b.pem'), certificateB.cert)
  const engine = await RealtimeEngine.start({ tls: certificateB })
  const port = await freePorts.take()
  const tls = { caFile: 'b.pem', serverName: 'b.test' }
  const gateway = await RunningGateway.start(
    {
      listeners: [{ name: 'secure', address: '127.0.0.1', port, tls: { certFile: 'a.pem', keyFile: 'a.key' } }],
      models: {
        voice: { endpoints: [engine.url], tls },
        stranger: { endpoints: [engine.url], tls: { ...tls, serverName: 'other.test' }, servedModel: 'stranger' },
      },
    },
    { directory },
  )
  const options = { ca: certificateA.cert, servername: 'a.test', perMessageDeflate: false }
  const dial = (model: string): WebSocket =>
    new WebSocket(`wss://127.0.0.1:${port}/v1/realtime?model=${model}`, options)
  const socket = dial('voice')
  await once(socket, 'open')
  assert.equal(engine.last.headers['x-forwarded-proto'], 'https')
  for (const bytes of [1, 65_536, 3_000_000]) {
    socket.send(Buffer.alloc(bytes, 7))
    const [data] = (await once(socket, 'message')) as [Buffer]
    assert.equal(data.length, bytes)
  }
  const gone = once(engine.sockets.at(-1) as WebSocket, 'close')
  socket.terminate()
  await gone
  const [, response] = (await once(dial('stranger'), 'unexpected-response')) as [unknown, { statusCode: number }]
  assert.equal(response.statusCode, 502)
  await gateway.close()
  await engine.close()
})
