import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { lastArrival, modelOn, quick, startFleet } from './support/fleet.ts'
import { RunningGateway } from './support/gateway.ts'
import { freePorts } from './support/ports.ts'
import { postBytes, RawClient, type RawResponse } from './support/raw-client.ts'
import { waitFor } from './support/wait.ts'

const trustingPort = await freePorts.take()
const doubtingPort = await freePorts.take()
const fleet = await startFleet({
  config: (sims) => ({
    listeners: [
      { name: 'trusting', address: '127.0.0.1', port: trustingPort, trustedProxies: ['127.0.0.0/8', '10.0.0.0/8'] },
      { name: 'doubting', address: '127.0.0.1', port: doubtingPort },
    ],
    models: {
      tiny: modelOn(sims),
      hosted: { provider: 'openai', baseUrl: sims[0]?.url, apiKey: 'k', servedModel: 'tiny' },
    },
  }),
})
after(() => fleet.close())

let count = 0

async function send(port: number, headers: readonly string[], model = 'tiny') {
  const id = `forwarded-${++count}`
  const body = Buffer.from(JSON.stringify({ model, messages: [{ role: 'user', content: 'x' }], max_tokens: 1 }))
  const client = await RawClient.connect(port)
  client.write(postBytes('/v1/chat/completions', body, { headers: [`x-request-id: ${id}`, ...headers] }))
  const response = await client.response()
  client.close()
  assert.equal(response.status, 200, response.body.toString())
  const { headerList } = await lastArrival(fleet.sim)
  const line = await fleet.gateway.accessLine(id)
  const forwarding = headerList.filter(([name]) => /^(?:forwarded|via|x-real-ip|x-forwarded-.*)$/.test(name))
  return { forwarding: forwarding.map(([name, value]) => `${name}: ${value}`), client: line.client }
}

const lies = [
  'X-Forwarded-For: 1.1.1.1, 127.0.0.1',
  'X-Forwarded-Proto: https',
  'X-Forwarded-Host: bank.example',
  'X-Forwarded-Port: 443',
  'X-Forwarded-Prefix: /x',
  'X-Real-IP: 1.1.1.1',
  'Forwarded: for=1.1.1.1;proto=https',
]

test('a client that is no trusted proxy is the client, whatever it says, and none of it reaches the engine', async () => {
  const { forwarding, client } = await send(doubtingPort, lies)
  assert.equal(client, '127.0.0.1')
  assert.deepEqual(forwarding, [
    'x-forwarded-for: 127.0.0.1',
    'x-forwarded-proto: http',
    'x-forwarded-host: gateway.test',
    'via: 1.1 infer-gateway',
  ])
})

describe('behind a trusted proxy the client is whom the proxy names', () => {
  const cases: readonly [title: string, headers: readonly string[], client: string, forwardedFor: string][] = [
    ['nginx', ['X-Forwarded-For: 203.0.113.7', 'X-Real-IP: 203.0.113.7'], '203.0.113.7', '203.0.113.7, 127.0.0.1'],
    [
      'a chain that begins with a lie',
      ['X-Forwarded-For: 10.9.9.9, 6.6.6.6, 203.0.113.7, 10.0.0.2'],
      '203.0.113.7',
      '203.0.113.7, 10.0.0.2, 127.0.0.1',
    ],
    ['RFC 7239', ['Forwarded: for="[2001:db8::7]:4711"'], '2001:db8::7', '2001:db8::7, 127.0.0.1'],
    [
      'a lie beside what the proxy wrote',
      ['Forwarded: for=10.0.0.9', 'X-Forwarded-For: 203.0.113.7'],
      '127.0.0.1',
      '127.0.0.1',
    ],
  ]
  for (const [title, headers, client, forwardedFor] of cases) {
    test(title, async () => {
      const seen = await send(trustingPort, ['X-Forwarded-Proto: https', 'X-Forwarded-Host: chat.example', ...headers])
      assert.equal(seen.client, client)
      assert.equal(seen.forwarding[0], `x-forwarded-for: ${forwardedFor}`)
      assert.equal(seen.forwarding.filter((line) => /^(?:forwarded|x-real-ip)/.test(line)).length, 0)
    })
  }

  test('scheme and host are those of the first request', async () => {
    const { forwarding } = await send(trustingPort, [
      'X-Forwarded-For: 203.0.113.7',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Host: chat.example',
      'Via: 1.0 edge',
    ])
    assert.deepEqual(forwarding.toSorted(), [
      'via: 1.0 edge',
      'via: 1.1 infer-gateway',
      'x-forwarded-for: 203.0.113.7, 127.0.0.1',
      'x-forwarded-host: chat.example',
      'x-forwarded-proto: https',
    ])
  })
})

test('a provider learns nothing of who asks', async () => {
  const { forwarding } = await send(trustingPort, [...lies, 'Via: 1.0 edge'], 'hosted')
  assert.deepEqual(forwarding, ['via: 1.1 infer-gateway'])
})

async function chat(gateway: RunningGateway, model: string): Promise<RawResponse> {
  const client = await RawClient.connect(gateway.port)
  client.write(
    postBytes(
      '/v1/chat/completions',
      Buffer.from(JSON.stringify({ model, messages: [{ role: 'user', content: 'x' }] })),
    ),
  )
  const response = await client.response()
  client.close()
  return response
}

test('a gateway that is an endpoint of itself refuses before the loop gets long', async () => {
  const gateway = await RunningGateway.start({ models: { loop: { endpoints: ['http://127.0.0.1:1'] } } })
  gateway.rewrite({
    models: {
      loop: { endpoints: [gateway.url] },
      around: { provider: 'openai', baseUrl: `${gateway.url}/v1`, apiKey: 'k', servedModel: 'around' },
    },
  })
  await waitFor('new configuration', async () => (await gateway.status()).endpoints.length === 2)
  for (const [round, model] of ['loop', 'around'].entries()) {
    const { status, body } = await chat(gateway, model)
    assert.equal(status, 508)
    assert.equal((JSON.parse(body.toString()) as { error: { code: string } }).error.code, 'loop_detected')
    const lines = await waitFor(
      'six lines',
      () => gateway.accessLines.length === 6 * (round + 1) && gateway.accessLines,
    )
    assert.deepEqual(
      lines.slice(-6).map(({ status: each, reason }) => [each, reason]),
      [[508, 'loop-detected'], ...Array.from({ length: 5 }, () => [508, undefined])],
    )
  }
  await gateway.close()
})

test('a chain of gateways is no loop', async () => {
  const ends = await startFleet({ sims: [quick] })
  const middle = await RunningGateway.start({ models: { tiny: { endpoints: [ends.gateway.url] } } })
  const edge = await RunningGateway.start({ models: { tiny: { endpoints: [middle.url] } } })
  assert.equal((await chat(edge, 'tiny')).status, 200)
  const { headerList } = await lastArrival(ends.sim)
  assert.equal(headerList.filter(([name]) => name === 'via').length, 3)
  await edge.close()
  await middle.close()
  await ends.close()
})
