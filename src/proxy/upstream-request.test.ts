import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EndpointPlan, ModelServerPlan } from '#config/snapshot.ts'
import type { ClientOrigin } from '#contracts/exchange.ts'
import type { InferenceRequest, Span } from '#core/request.ts'
import { modelServerPlan } from '#datastore/snapshot-case.ts'
import { apiOfPath } from '#dialect/apis.ts'
import { ObjectScanner } from '#wire/json/object-scanner.ts'
import { connectionNames, upstreamBody, upstreamHead } from './upstream-request.ts'

const endpoint: EndpointPlan = {
  id: '10.0.0.1:8000',
  slot: 0,
  generation: 1,
  engine: 'vllm',
  scrape: undefined,
  host: '10.0.0.1',
  port: 8000,
  rank: undefined,
  role: 'both',
  labels: {},
}

const modelServer: ModelServerPlan = modelServerPlan('default/m', [], { endpoints: [endpoint] })

/** Spans of a top-level key of a JSON text, wherever it is well-formed. */
function spansOf(text: Buffer, key: string, from = 0, to = text.length): Span[] {
  const scanner = new ObjectScanner(new Set([key]))
  scanner.push(text, from, to)
  return scanner.members.map(({ start, end }) => ({ start: from + start, end: from + end }))
}

function requestOf(text: string, more: Partial<InferenceRequest> = {}, sliceBytes = 1 << 20): InferenceRequest {
  const data = Buffer.from(text)
  const slices = Array.from({ length: Math.ceil(data.length / sliceBytes) }, (_, i) =>
    data.subarray(i * sliceBytes, (i + 1) * sliceBytes),
  )
  const span = spansOf(data, 'stream_options').at(-1)
  const includeUsageSpan = span === undefined ? undefined : spansOf(data, 'include_usage', span.start, span.end).at(-1)
  const includeUsage = includeUsageSpan !== undefined && data[includeUsageSpan.start] === 0x74
  return {
    id: 'id-1',
    api: apiOfPath('/v1/chat/completions') ?? assert.fail(),
    path: '/v1/chat/completions',
    target: '/v1/chat/completions',
    headers: [],
    body: { slices, bytes: data.length },
    model: 'm',
    modelSpans: spansOf(data, 'model'),
    stream: true,
    streamOptions: { span, includeUsageSpan, includeUsage },
    promptSpans: [],
    promptBytes: 0,
    maxTokens: undefined,
    session: undefined,
    cacheSalt: undefined,
    ...more,
  }
}

function bodyText(request: InferenceRequest, model: string | undefined, injectUsage: boolean): string {
  const body = upstreamBody(request, model, injectUsage)
  const joined = Buffer.concat(body.slices)
  assert.equal(body.bytes, joined.length)
  return joined.toString()
}

describe('usage is asked for, and nothing else changes', () => {
  const cases: readonly [before: string, after: string][] = [
    ['{"a":1}', '{"a":1,"stream_options":{"include_usage":true}}'],
    [' {"a":"}" } \n\t', ' {"a":"}" ,"stream_options":{"include_usage":true}} \n\t'],
    ['{"a":1,"stream_options":null}', '{"a":1,"stream_options":{"include_usage":true}}'],
    ['{"stream_options":{},"a":1}', '{"stream_options":{"include_usage":true},"a":1}'],
    ['{"stream_options":{ \n\t\r },"a":1}', '{"stream_options":{"include_usage":true \n\t\r },"a":1}'],
    [
      '{"stream_options": {"x":{"include_usage":false}}}',
      '{"stream_options": {"include_usage":true,"x":{"include_usage":false}}}',
    ],
    ['{"stream_options":{ "x":1}}', '{"stream_options":{"include_usage":true, "x":1}}'],
    ['{"stream_options":{"include_usage" : false , "x":1}}', '{"stream_options":{"include_usage" : true , "x":1}}'],
    ['{"stream_options":{"include_usage":null}}', '{"stream_options":{"include_usage":true}}'],
    [
      '{"stream_options":{"include_usage":true,"include_usage":false}}',
      '{"stream_options":{"include_usage":true,"include_usage":true}}',
    ],
    [
      '{"stream_options":{"include_usage":true},"stream_options":{}}',
      '{"stream_options":{"include_usage":true},"stream_options":{"include_usage":true}}',
    ],
    [
      '{"x":{"stream_options":{"include_usage":true}}}',
      '{"x":{"stream_options":{"include_usage":true}},"stream_options":{"include_usage":true}}',
    ],
    ['{"x":"\\"stream_options\\":{}"}', '{"x":"\\"stream_options\\":{}","stream_options":{"include_usage":true}}'],
  ]
  for (const [before, after] of cases) {
    test(before, () => {
      for (let sliceBytes = 1; sliceBytes <= before.length; sliceBytes++) {
        const request = requestOf(before, {}, sliceBytes)
        assert.equal(bodyText(request, undefined, true), after)
        assert.equal(upstreamBody(request, undefined, true).usageInjected, true)
        assert.equal(bodyText(request, undefined, false), before)
      }
    })
  }
})

test('usage is not asked for where the client did, or where no usage chunk would come', () => {
  const asked = requestOf('{"stream_options":{"include_usage":true}}')
  const plain = requestOf('{"a":1}', { stream: false })
  const embeddings = requestOf('{"a":1}', { api: apiOfPath('/v1/embeddings') ?? assert.fail() })
  const messages = requestOf('{"a":1}', { api: apiOfPath('/v1/messages') ?? assert.fail() })
  for (const request of [asked, plain, embeddings, messages]) {
    assert.deepEqual(upstreamBody(request, undefined, true), { ...request.body, usageInjected: false })
  }
  const completions = requestOf('{"a":1}', { api: apiOfPath('/v1/completions') ?? assert.fail() })
  assert.equal(upstreamBody(completions, undefined, true).usageInjected, true)
})

test('a body that needs no change is the same slices', () => {
  const request = requestOf('{"model":"m","messages":[]}', {}, 5)
  assert.equal(upstreamBody(request, undefined, false).slices, request.body.slices)
})

test('the model is renamed wherever the body names it, and nowhere else', () => {
  const text = '{"x":{"model":"a"},"model" : "a","y":"\\"model\\":\\"a\\"","mod\\u0065l":"\\u0061" }'
  for (let sliceBytes = 1; sliceBytes <= text.length; sliceBytes++) {
    const renamed = bodyText(requestOf(text, {}, sliceBytes), 'ä"\\😀\n', false)
    const name = '"ä\\"\\\\😀\\n"'
    assert.equal(renamed, `{"x":{"model":"a"},"model" : ${name},"y":"\\"model\\":\\"a\\"","mod\\u0065l":${name} }`)
  }
})

test('model and usage are spliced together', () => {
  const text = '{"stream_options":{},"model":"a","stream":true}'
  for (let sliceBytes = 1; sliceBytes <= text.length; sliceBytes++) {
    const changed = bodyText(requestOf(text, {}, sliceBytes), 'served', true)
    assert.equal(changed, '{"stream_options":{"include_usage":true},"model":"served","stream":true}')
  }
  assert.equal(bodyText(requestOf('{"model":"a"}'), 'b', true), '{"model":"b","stream_options":{"include_usage":true}}')
})

test('a form field gets the bare name', () => {
  const text = '--b\r\n\r\nwhisper\r\n--b--'
  const form = { api: apiOfPath('/v1/audio/transcriptions') ?? assert.fail(), modelSpans: [{ start: 7, end: 14 }] }
  assert.equal(bodyText(requestOf(text, form), 'ä "x"', false), '--b\r\n\r\nä "x"\r\n--b--')
})

const origin: ClientOrigin = {
  address: '203.0.113.5',
  scheme: 'https',
  host: 'gw.example',
  forwardedFor: '203.0.113.5, 10.1.1.1',
}

/** What every request carries to an engine at the end of its head. */
const written = [
  'x-forwarded-for: 203.0.113.5, 10.1.1.1',
  'x-forwarded-proto: https',
  'x-forwarded-host: gw.example',
  'via: 1.1 infer-gateway',
  'x-request-id: id-1',
  'content-length: 42',
]

function headOf(
  headers: readonly string[],
  server: Partial<ModelServerPlan> = {},
  at: Partial<EndpointPlan> = {},
): string[] {
  const request = requestOf('{}', { headers, target: '/v1/chat/completions?x=y' })
  const to = { modelServer: { ...modelServer, ...server }, endpoint: { ...endpoint, ...at } }
  const text = upstreamHead(request, to, origin, 42)
  assert.ok(text.endsWith('\r\n\r\n'))
  return text.slice(0, -4).split('\r\n')
}

test('the head keeps what is the engine’s, in order and spelling, and adds host, id and length', () => {
  const headers = [
    'content-type',
    'application/json',
    'x-custom',
    'A b',
    'authorization',
    'Bearer k',
    'x-custom',
    'caf\xe9',
    'empty',
    '',
  ]
  assert.deepEqual(headOf(headers), [
    'POST /v1/chat/completions?x=y HTTP/1.1',
    'host: 10.0.0.1:8000',
    'content-type: application/json',
    'x-custom: A b',
    'authorization: Bearer k',
    'x-custom: caf\xe9',
    'empty: ',
    ...written,
  ])
})

test('headers of the client’s connection and of the gateway end here', () => {
  const headers = [
    ['host', 'gateway', 'connection', 'keep-alive, X-Secret ,close', 'keep-alive', 'timeout=5'],
    ['transfer-encoding', 'chunked', 'content-length', '7', 'te', 'trailers', 'trailer', 'x', 'upgrade', 'h2c'],
    ['proxy-authorization', 'Basic x', 'proxy-authenticate', 'x', 'proxy-connection', 'keep-alive'],
    ['expect', '100-continue', 'x-request-id', 'forged', 'x-data-parallel-rank', '3', 'x-infer-model', 'm'],
    ['forwarded', 'for=1.1.1.1', 'x-forwarded-for', '1.1.1.1', 'x-forwarded-proto', 'gopher', 'x-real-ip', '1.1.1.1'],
    ['x-forwarded-prefix', '/x', 'sec-websocket-key', 'k', 'sec-websocket-protocol', 'openai-insecure-api-key.k'],
    ['x-infer-anything', 'x', 'x-secret', 's', 'accept-encoding', 'gzip', 'x-kept', 'y'],
  ].flat()
  assert.deepEqual(headOf(headers).slice(2), ['x-kept: y', ...written])
})

test('set headers replace the client’s, and the rank is pinned', () => {
  const setHeaders = [
    { name: 'authorization', value: 'Bearer engine' },
    { name: 'x-extra', value: '1' },
  ]
  const lines = headOf(
    ['authorization', 'Bearer client', 'x-kept', 'y', 'authorization', 'again'],
    { setHeaders },
    { rank: 0 },
  )
  assert.deepEqual(lines.slice(2), [
    'x-kept: y',
    'authorization: Bearer engine',
    'x-extra: 1',
    'x-data-parallel-rank: 0',
    ...written,
  ])
})

test('base path, IPv6 hosts and default ports make request line and host', () => {
  assert.deepEqual(headOf([], { basePath: '/api/openai' }, { host: '::1', port: 80 }).slice(0, 2), [
    'POST /api/openai/v1/chat/completions?x=y HTTP/1.1',
    'host: [::1]',
  ])
  assert.equal(headOf([], {}, { host: 'engine.local', port: 443 })[1], 'host: engine.local:443')
})

test('connection names are what it lists beside close and keep-alive', () => {
  assert.equal(connectionNames([]), undefined)
  assert.equal(connectionNames(['connection', 'Keep-Alive, close,, ']), undefined)
  assert.deepEqual(
    connectionNames(['connection', 'X-A, close', 'x', 'y', 'connection', 'x-b']),
    new Set(['x-a', 'x-b']),
  )
})

test('a host that nobody named is not made up', () => {
  const request = requestOf('{}')
  const text = upstreamHead(request, { modelServer, endpoint }, { ...origin, host: '' }, 2)
  assert.doesNotMatch(text, /x-forwarded-host/)
})

test('via grows by a line towards an engine', () => {
  const lines = headOf(['via', '1.0 edge, 1.1 infer-gateway', 'x-kept', 'y', 'via', '1.1 other'])
  assert.deepEqual(lines.slice(2, 5), ['via: 1.0 edge, 1.1 infer-gateway', 'x-kept: y', 'via: 1.1 other'])
  assert.equal(lines.filter((line) => line === 'via: 1.1 infer-gateway').length, 1)
})

test('a provider learns nothing of the client and its way, but a loop through it can be told', () => {
  const provider = { dialect: 'openai', dropsVersion: false } as const
  const headers = [
    'via',
    '1.0 edge, 1.1 infer-gateway',
    'x-forwarded-for',
    '1.1.1.1',
    'cookie',
    'c',
    'via',
    '2 infer-gateway',
  ]
  assert.deepEqual(headOf([...headers, 'content-type', 'application/json'], { provider }).slice(2), [
    'content-type: application/json',
    'via: 1.1 infer-gateway, 1.1 infer-gateway, 1.1 infer-gateway',
    'x-request-id: id-1',
    'content-length: 42',
  ])
  assert.equal(headOf([], { provider })[2], 'via: 1.1 infer-gateway')
})
