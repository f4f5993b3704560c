import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { startFleet } from './support/fleet.ts'
import { RawClient } from './support/raw-client.ts'

const fleet = await startFleet({
  config: ([sim]) => ({
    models: {
      tiny: { engine: 'vllm', endpoints: [sim?.url] },
      other: { engine: 'vllm', endpoints: [sim?.url], servedModel: 'tiny' },
    },
    limits: { bodyBytes: '16KiB', headTimeout: '400ms', bodyTimeout: '400ms' },
  }),
})
after(() => fleet.close())

const chat = '/v1/chat/completions'

interface Case {
  readonly title: string
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly status: number
  readonly reason: string
  readonly says: RegExp
}

const cases: readonly Case[] = [
  {
    title: 'broken JSON',
    body: '{"model": "tiny",\n  "messages": [}',
    status: 400,
    reason: 'malformed-json',
    says: /line 2, column 16/,
  },
  {
    title: 'JSON that stops',
    body: '{"model":"tiny","messages":[',
    status: 400,
    reason: 'malformed-json',
    says: /at byte 28/,
  },
  {
    title: 'text behind the JSON',
    body: '{"model":"tiny"} x',
    status: 400,
    reason: 'malformed-json',
    says: /at byte 17/,
  },
  { title: 'a list', body: '[1]', status: 400, reason: 'malformed-json', says: /at byte 0/ },
  { title: 'an empty body', body: '', status: 400, reason: 'malformed-json', says: /empty/ },
  { title: 'a body without a model', body: '{"messages":[]}', status: 400, reason: 'missing-model', says: /model/ },
  { title: 'a model that is a number', body: '{"model":7}', status: 400, reason: 'missing-model', says: /string/ },
  { title: 'an unknown path', path: '/v1/chat', body: '{}', status: 404, reason: 'unknown-path', says: /\/v1\/chat/ },
  { title: 'GET where POST belongs', method: 'GET', status: 405, reason: 'method-not-allowed', says: /POST/ },
  {
    title: 'POST where GET belongs',
    path: '/v1/models',
    body: '{}',
    status: 405,
    reason: 'method-not-allowed',
    says: /GET/,
  },
  {
    title: 'a compressed body',
    headers: { 'content-encoding': 'gzip' },
    body: 'x',
    status: 415,
    reason: 'unsupported-content-encoding',
    says: /gzip/,
  },
  {
    title: 'a form without boundary',
    path: '/v1/audio/transcriptions',
    headers: { 'content-type': 'multipart/form-data' },
    body: 'x',
    status: 400,
    reason: 'malformed-multipart',
    says: /boundary/,
  },
  {
    title: 'a body that is too large',
    body: `{"model":"tiny","x":"${'x'.repeat(20_000)}"}`,
    status: 413,
    reason: 'body-too-large',
    says: /16384/,
  },
]

for (const { title, method = 'POST', path = chat, headers = {}, body, status, reason, says } of cases) {
  test(`${title} is refused with ${status} ${reason}`, async () => {
    const init = {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body }),
    }
    const response = await fetch(`${fleet.gateway.url}${path}`, init)
    assert.equal(response.status, status)
    assert.equal(response.headers.get('x-infer-reason'), reason)
    assert.match(response.headers.get('content-type') ?? '', /^application\/json/)
    const { error } = (await response.json()) as { error: Record<string, unknown> }
    assert.deepEqual(Object.keys(error).toSorted(), ['code', 'message', 'param', 'type'])
    assert.match(String(error.message), says)
    const line = await fleet.gateway.accessLine(response.headers.get('x-request-id') ?? '')
    assert.deepEqual([line.status, line.reason], [status, reason])
  })
}

test('Anthropic clients get the same refusals in the shape they read', async () => {
  const response = await fetch(`${fleet.gateway.url}/v1/messages`, { method: 'POST', body: '{"model":"tinny"}' })
  assert.equal(response.status, 404)
  const body = (await response.json()) as { type: string; error: { type: string; message: string } }
  assert.equal(body.type, 'error')
  assert.equal(body.error.type, 'not_found_error')
  assert.match(body.error.message, /Did you mean 'tiny'/)
})

const rawCases = [
  { title: 'no HTTP at all', bytes: '\x16\x03\x01\x02\x00\r\n\r\n', status: 400 },
  {
    title: 'both a length and chunks',
    bytes: `POST ${chat} HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    status: 400,
  },
  {
    title: 'two different lengths',
    bytes: `POST ${chat} HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}`,
    status: 400,
  },
  {
    title: 'a blank before the colon',
    bytes: `POST ${chat} HTTP/1.1\r\nhost : a\r\ncontent-length: 2\r\n\r\n{}`,
    status: 400,
  },
  {
    title: 'a folded header',
    bytes: `POST ${chat} HTTP/1.1\r\nhost: a\r\nx: 1\r\n 2\r\ncontent-length: 2\r\n\r\n{}`,
    status: 400,
  },
  { title: 'a bare line feed', bytes: `POST ${chat} HTTP/1.1\nhost: a\n\n`, status: 400 },
  {
    title: 'a chunk size that is none',
    bytes: `POST ${chat} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n`,
    status: 400,
  },
  {
    title: 'a chunked body that becomes too large',
    bytes: `POST ${chat} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n${`1000\r\n${' '.repeat(4096)}\r\n`.repeat(5)}`,
    status: 413,
  },
  {
    title: 'a transfer coding that is unknown',
    bytes: `POST ${chat} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n`,
    status: 501,
  },
  { title: 'HTTP/2 without its preface', bytes: `POST ${chat} HTTP/2.0\r\nhost: a\r\n\r\n`, status: 505 },
  {
    title: 'too many headers',
    bytes: `POST ${chat} HTTP/1.1\r\nhost: a\r\n${'x: 1\r\n'.repeat(200)}\r\n`,
    status: 431,
  },
  {
    title: 'a header that is too long',
    bytes: `POST ${chat} HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(70_000)}\r\n\r\n`,
    status: 431,
  },
  { title: 'a head that never ends', bytes: `POST ${chat} HTTP/1.1\r\nhost: a\r\n`, status: 408 },
  {
    title: 'a body that stalls',
    bytes: `POST ${chat} HTTP/1.1\r\nhost: a\r\ncontent-length: 20\r\n\r\n{"mod`,
    status: 408,
  },
]

for (const { title, bytes, status } of rawCases) {
  test(`${title} is answered with ${status}, and the connection is closed`, async () => {
    const client = await RawClient.connect(fleet.gateway.port)
    client.write(Buffer.from(bytes, 'latin1'))
    const response = await client.response(5000)
    assert.equal(response.status, status, response.body.toString())
    assert.equal(response.headers.find(([name]) => name === 'connection')?.[1], 'close')
    assert.equal(await client.rest(3000), '')
  })
}

test('after all that the gateway still answers', async () => {
  const body = JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: 'hello' }] })
  const response = await fetch(`${fleet.gateway.url}${chat}`, {
    method: 'POST',
    body,
    headers: { 'content-type': 'application/json' },
  })
  assert.equal(response.status, 200)
})
