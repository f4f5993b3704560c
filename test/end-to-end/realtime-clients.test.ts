/** The realtime API with the clients that people use, unmodified. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import OpenAI from 'openai'
import { OpenAIRealtimeWebSocket } from 'openai/realtime/websocket'
import { OpenAIRealtimeWS } from 'openai/realtime/ws'
import { certificateA } from '#datastore/certificate-case.ts'
import { RunningGateway } from './support/gateway.ts'
import { freePorts } from './support/ports.ts'
import { RealtimeEngine } from './support/realtime-engine.ts'
import { run } from './support/run.ts'

const root = join(import.meta.dirname, '..', '..')
const python = join(process.env.INFER_GATEWAY_TEST_VENV ?? join(root, '.cache', 'venv'), 'bin', 'python')
const skip = existsSync(python) ? false : 'the OpenAI Python client is not installed: scripts/install-test-tools'

const engine = await RealtimeEngine.start()
const directory = mkdtempSync(join(tmpdir(), 'infer-gateway-e2e-'))
writeFileSync(join(directory, 'a.pem'), certificateA.cert)
writeFileSync(join(directory, 'a.key'), certificateA.key)
const plainPort = await freePorts.take()
const securePort = await freePorts.take()
const gateway = await RunningGateway.start(
  {
    listeners: [
      { name: 'plain', address: '127.0.0.1', port: plainPort },
      { name: 'secure', address: '127.0.0.1', port: securePort, tls: { certFile: 'a.pem', keyFile: 'a.key' } },
    ],
    models: {
      'gpt-realtime': { endpoints: [engine.url] },
      secured: { endpoints: [engine.url], apiKey: 'engine-secret', servedModel: 'secured' },
    },
  },
  { directory },
)
after(async () => {
  await gateway.close()
  await engine.close()
})

// The clients of Node speak TLS to whatever address they are given.
const client = new OpenAI({ baseURL: `https://127.0.0.1:${securePort}/v1`, apiKey: 'client-secret' })
const update = { type: 'session.update', session: { type: 'realtime', instructions: 'Be brief.' } } as const

test('the OpenAI client of Node works', async () => {
  const options = { ca: certificateA.cert, servername: 'a.test' }
  const realtime = new OpenAIRealtimeWS({ model: 'gpt-realtime', options }, client)
  await once(realtime.socket, 'open')
  assert.equal(engine.last.headers.authorization, 'Bearer client-secret')
  realtime.send(update)
  const event = await new Promise<unknown>((resolve) => realtime.on('event', resolve))
  assert.deepEqual(event, update)
  const closed = once(realtime.socket, 'close')
  realtime.close()
  assert.equal(((await closed) as [number])[0], 1000)
})

test('the OpenAI client of browsers works, and its key stays where it may', async () => {
  for (const model of ['gpt-realtime', 'secured']) {
    // The certificate of a test cannot be shown to the WebSocket of Node as one to trust.
    const onURL = (url: URL): void => {
      url.protocol = 'ws:'
      url.port = String(plainPort)
    }
    const realtime = new OpenAIRealtimeWebSocket({ model, dangerouslyAllowBrowser: true, onURL }, client)
    await once(realtime.socket, 'open')
    const seen = JSON.stringify(engine.last.headers)
    assert.equal(seen.includes('client-secret'), model === 'gpt-realtime')
    assert.equal(seen.includes('engine-secret'), model === 'secured')
    realtime.send(update)
    assert.deepEqual(await new Promise<unknown>((resolve) => realtime.on('event', resolve)), update)
    const closed = once(realtime.socket, 'close')
    realtime.close()
    await closed
  }
  assert.ok(!JSON.stringify(gateway.accessLines).includes('client-secret'))
})

test('the OpenAI client of Python works', { skip }, async () => {
  const script = join(import.meta.dirname, 'support', 'realtime_client.py')
  const { code, out, err } = await run(python, [script, `http://127.0.0.1:${plainPort}/v1`])
  assert.equal(code, 0, err)
  assert.deepEqual(JSON.parse(out), { sync: 'session.update', async: 'session.update', refused: 404 })
})
