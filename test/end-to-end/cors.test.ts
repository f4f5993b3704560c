import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { modelOn, quick, startFleet } from './support/fleet.ts'
import { RunningGateway } from './support/gateway.ts'
import { RawClient, type RawResponse } from './support/raw-client.ts'
import { RawUpstream } from './support/raw-upstream.ts'

const page = 'https://chat.example.com'
const engine = await RawUpstream.start((socket) => {
  const own =
    'access-control-allow-origin: *\r\naccess-control-allow-credentials: true\r\nvary: accept\r\nx-engine: yes'
  socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n${own}\r\ncontent-length: 2\r\n\r\n{}`)
})
const fleet = await startFleet({
  sims: [quick],
  config: (sims) => ({
    models: { tiny: modelOn(sims), eager: { endpoints: [engine.url] } },
    cors: { origins: [page, 'http://localhost:3000'], credentials: true, exposedHeaders: ['x-request-id'] },
  }),
})
const plain = await RunningGateway.start({ models: { eager: { endpoints: [engine.url] } } })

after(async () => {
  await fleet.close()
  await plain.close()
  await engine.close()
})

async function ask(head: readonly string[], body = '', port = fleet.gateway.port): Promise<RawResponse> {
  const client = await RawClient.connect(port)
  const framing = body === '' ? [] : ['content-type: application/json', `content-length: ${Buffer.byteLength(body)}`]
  client.write(`${[...head, 'host: gateway.test', ...framing].join('\r\n')}\r\n\r\n${body}`)
  const response = await client.response()
  client.close()
  return response
}

function corsOf({ headers }: RawResponse): Record<string, string> {
  // Engines say `Vary: Origin`, too.
  const relevant = headers.filter(([name]) => name.startsWith('access-control-') || name === 'vary')
  return Object.fromEntries(relevant.map(([name, value]) => [name, name === 'vary' ? value.toLowerCase() : value]))
}

const chat = 'POST /v1/chat/completions HTTP/1.1'
const body = (model: string, stream = false): string =>
  JSON.stringify({ model, stream, messages: [{ role: 'user', content: 'x' }], max_tokens: 2 })
const permission = {
  vary: 'origin',
  'access-control-allow-origin': page,
  'access-control-allow-credentials': 'true',
  'access-control-expose-headers': 'x-request-id',
}

describe('an allowed page may read every answer', () => {
  const cases: readonly [title: string, head: readonly string[], body: string, status: number][] = [
    ['an answer', [chat], body('tiny'), 200],
    ['a stream', [chat], body('tiny', true), 200],
    ['an answer of the gateway', ['GET /v1/models HTTP/1.1'], '', 200],
    ['a refusal', [chat], body('nobody'), 404],
    ['a refusal at the head', ['POST /nowhere HTTP/1.1'], '{}', 404],
    ['a refusal of the body', [chat], '{', 400],
    ['a refusal of the door', [chat, `content-encoding: gzip`], 'x', 415],
  ]
  for (const [title, head, text, status] of cases) {
    test(title, async () => {
      const response = await ask([...head, `origin: ${page}`], text)
      assert.equal(response.status, status)
      assert.deepEqual(corsOf(response), permission)
    })
  }

  test('a refusal before the body is read', async () => {
    const response = await ask([chat, `origin: ${page}`, 'expect: something'])
    assert.equal(response.status, 417)
    assert.deepEqual(corsOf(response), permission)
  })
})

test('what the engine says to browsers does not count', async () => {
  const response = await ask([chat, `origin: ${page}`], body('eager'))
  assert.equal(response.headers.find(([name]) => name === 'x-engine')?.[1], 'yes')
  assert.deepEqual(
    response.headers.filter(([name]) => name.startsWith('access-control-') || name === 'vary'),
    [
      ['vary', 'origin'],
      ['access-control-allow-origin', page],
      ['access-control-allow-credentials', 'true'],
      ['access-control-expose-headers', 'x-request-id'],
      ['vary', 'accept'],
    ],
  )
  const other = await ask([chat, 'origin: https://evil.example'], body('eager'))
  assert.deepEqual([other.status, corsOf(other)], [200, { vary: 'accept' }])
})

describe('a preflight', () => {
  const question = ['access-control-request-method: POST', 'access-control-request-headers: authorization,content-type']
  for (const target of ['/v1/chat/completions', '/v1/models', '/nowhere', '*']) {
    test(`for ${target} is answered by the gateway`, async () => {
      const response = await ask([`OPTIONS ${target} HTTP/1.1`, `origin: ${page}`, ...question])
      assert.deepEqual([response.status, response.body.length], [204, 0])
      assert.deepEqual(corsOf(response), {
        vary: 'access-control-request-headers',
        'access-control-allow-origin': page,
        'access-control-allow-credentials': 'true',
        'access-control-allow-methods': 'GET, HEAD, POST',
        'access-control-allow-headers': 'authorization,content-type',
        'access-control-max-age': '600',
      })
    })
  }

  test('of another page gets no permission', async () => {
    const response = await ask(['OPTIONS /v1/models HTTP/1.1', 'origin: https://evil.example', ...question])
    assert.deepEqual([response.status, corsOf(response)], [204, { vary: 'origin' }])
  })

  test('is in the access log', async () => {
    const head = ['OPTIONS /v1/models HTTP/1.1', `origin: ${page}`, ...question, 'x-request-id: preflight-1']
    await ask(head)
    assert.equal((await fleet.gateway.accessLine('preflight-1')).status, 204)
  })
})

test('an OPTIONS that is no preflight is a method like any other', async () => {
  assert.equal((await ask(['OPTIONS /v1/chat/completions HTTP/1.1', `origin: ${page}`])).status, 405)
})

test('without a configuration for other origins nothing is said to browsers, and the engine may speak', async () => {
  const question = ['OPTIONS /v1/chat/completions HTTP/1.1', `origin: ${page}`, 'access-control-request-method: POST']
  const preflight = await ask(question, '', plain.port)
  assert.deepEqual([preflight.status, corsOf(preflight)], [405, {}])
  const answer = await ask([chat, `origin: ${page}`], body('eager'), plain.port)
  assert.equal(corsOf(answer)['access-control-allow-origin'], '*')
})
