import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { lastArrival, modelOn, startFleet } from './support/fleet.ts'
import { postBytes, RawClient, type RawResponse } from './support/raw-client.ts'

const engineKey = 'engine-secret-1'
const fleet = await startFleet({
  sims: [{ apiKey: engineKey }],
  config: (sims) => ({
    models: {
      tiny: modelOn(sims, { apiKey: engineKey, headers: { 'x-team': 'gateway' } }),
      open: modelOn(sims, { servedModel: 'tiny' }),
    },
    exposeEndpoint: true,
  }),
})
after(() => fleet.close())

function bodyOf(model: string, stream = false): Buffer {
  return Buffer.from(JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }], max_tokens: 3, stream }))
}

async function send(headers: readonly string[], model = 'tiny', stream = false): Promise<RawResponse> {
  const client = await RawClient.connect(fleet.gateway.port)
  client.write(postBytes('/v1/chat/completions', bodyOf(model, stream), { headers }))
  const response = await client.response()
  client.close()
  return response
}

function valuesOf(list: readonly (readonly [string, string])[], name: string): string[] {
  return list.filter(([each]) => each === name).map(([, value]) => value)
}

test('headers of the connection and of the gateway end at the gateway, others reach the engine in order', async () => {
  const response = await send([
    'Connection: X-Drop, keep-alive',
    'X-Drop: 1',
    'Keep-Alive: timeout=9',
    'TE: trailers',
    'Proxy-Authorization: Basic eDp5',
    'Proxy-Connection: keep-alive',
    'X-Infer-Priority: 9',
    'X-Data-Parallel-Rank: 3',
    'X-Custom: one',
    'x-custom: two',
    'Accept-Language: de;q=0.9, *',
    'X-Bytes: caf\u00e9',
  ])
  assert.equal(response.status, 200)
  const { headerList, headers } = await lastArrival(fleet.sim)
  for (const name of [
    'x-drop',
    'te',
    'proxy-authorization',
    'proxy-connection',
    'x-infer-priority',
    'x-data-parallel-rank',
  ]) {
    assert.deepEqual(valuesOf(headerList, name), [], name)
  }
  assert.notEqual(headers['keep-alive'], 'timeout=9')
  assert.deepEqual(valuesOf(headerList, 'x-custom'), ['one', 'two'])
  assert.equal(headers['accept-language'], 'de;q=0.9, *')
  assert.equal(headers['x-bytes'], 'caf\u00e9')
  assert.equal(headers['content-type'], 'application/json')
  assert.equal(headers.host, fleet.sim.url.slice('http://'.length))
  assert.equal(valuesOf(headerList, 'host').length, 1)
})

test('the credential of the engine takes the place of the one of the client, and the client never sees it', async () => {
  for (const stream of [false, true]) {
    const response = await send(['Authorization: Bearer of-the-client', 'X-Team: mine'], 'tiny', stream)
    assert.equal(response.status, 200)
    const { headerList } = await lastArrival(fleet.sim)
    assert.deepEqual(valuesOf(headerList, 'authorization'), [`Bearer ${engineKey}`])
    assert.deepEqual(valuesOf(headerList, 'x-team'), ['gateway'])
    const everything = JSON.stringify([response.headers, response.body.toString()])
    assert.ok(!everything.includes(engineKey) && !everything.includes('x-team'))
  }
  assert.ok(!fleet.gateway.stderr.includes(engineKey))
  assert.ok(!JSON.stringify([fleet.gateway.accessLines, await fleet.gateway.status()]).includes(engineKey))
})

test('without a credential of its own an engine gets the one of the client, and its 401 comes back as it is', async () => {
  const wrong = await send(['Authorization: Bearer of-the-client'], 'open')
  assert.equal(wrong.status, 401)
  assert.equal(wrong.body.toString(), '{"error":"Unauthorized"}')
  const right = await send([`Authorization: Bearer ${engineKey}`], 'open')
  assert.equal(right.status, 200)
})

test('headers of the engine reach the client, those of its connection do not', async () => {
  const response = await send([])
  assert.deepEqual(valuesOf(response.headers, 'server'), ['uvicorn'])
  assert.deepEqual(valuesOf(response.headers, 'keep-alive'), [])
  assert.deepEqual(valuesOf(response.headers, 'content-length').length, 1)
  assert.deepEqual(valuesOf(response.headers, 'x-infer-endpoint'), [fleet.sim.url.slice('http://'.length)])
})

const ids = [
  { title: 'a usable request id is passed on and returned', sent: ['x-request-id: abc-123'], expected: /^abc-123$/ },
  { title: 'a missing request id is made', sent: [], expected: /^[0-9a-f]{24}-[0-9a-z]+$/ },
  { title: 'a request id with blanks is replaced', sent: ['x-request-id: a b'], expected: /^[0-9a-f]{24}-[0-9a-z]+$/ },
  {
    title: 'an endless request id is replaced',
    sent: [`x-request-id: ${'a'.repeat(500)}`],
    expected: /^[0-9a-f]{24}-[0-9a-z]+$/,
  },
] as const

for (const { title, sent, expected } of ids) {
  test(title, async () => {
    for (const model of ['tiny', 'nothing']) {
      const response = await send(sent, model)
      const [id, ...more] = valuesOf(response.headers, 'x-request-id')
      assert.match(id ?? '', expected)
      assert.deepEqual(more, [])
      if (model === 'tiny') assert.deepEqual(valuesOf((await lastArrival(fleet.sim)).headerList, 'x-request-id'), [id])
      await fleet.gateway.accessLine(id ?? '')
    }
  })
}

test('pipelined requests are answered in order on one connection', async () => {
  const client = await RawClient.connect(fleet.gateway.port)
  const request = (id: number): Buffer =>
    postBytes('/v1/chat/completions', bodyOf('tiny', id % 2 === 1), { headers: [`x-request-id: pipe-${id}`] })
  client.write(Buffer.concat([0, 1, 2, 3, 4].map(request)))
  for (let id = 0; id < 5; id++) {
    const response = await client.response()
    assert.deepEqual(valuesOf(response.headers, 'x-request-id'), [`pipe-${id}`])
    assert.equal(response.status, 200)
  }
  client.close()
})

test('an access line says who, where, why and how long', async () => {
  await send(['x-request-id: whole-line'], 'open')
  await send([`authorization: Bearer ${engineKey}`, 'x-request-id: whole-line-2'], 'open')
  const line = await fleet.gateway.accessLine('whole-line-2')
  assert.equal(line.endpoint, fleet.sim.url.slice('http://'.length))
  assert.deepEqual(
    [line.model, line.upstream_model, line.path, line.status],
    ['open', 'tiny', '/v1/chat/completions', 200],
  )
  assert.ok(String(line.why).length > 0)
  assert.ok(Number(line.total_ms) > 0 && Number(line.before_upstream_ms) >= 0)
  assert.ok(Number(line.total_ms) >= Number(line.upstream_ms))
  assert.equal(line.output_tokens, 3)
})
