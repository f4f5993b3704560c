import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ModelServerPlan } from '#config/snapshot.ts'
import type { InferenceRequest } from '#core/request.ts'
import { endpointPlan, modelServerPlan } from '#datastore/snapshot-case.ts'
import { apiOfPath } from '#dialect/apis.ts'
import type { ParsedResponseHead } from '#wire/http1/response-head.ts'
import type { Destination } from './destination.ts'
import { switchProblem, upgradeRequest } from './upgrade-request.ts'

const origin = { address: '1.2.3.4', scheme: 'https', host: 'gw.example', forwardedFor: '1.2.3.4' } as const
const endpoint = endpointPlan('10.0.0.1:8000')
const handshake = [
  ['host', 'gw.example', 'connection', 'keep-alive, Upgrade', 'upgrade', 'websocket', 'origin', 'https://page.example'],
  ['sec-websocket-version', '13', 'sec-websocket-key', 'dGhlIHNhbXBsZSBub25jZQ==', 'authorization', 'Bearer c'],
  ['sec-websocket-extensions', 'permessage-deflate; client_max_window_bits', 'sec-websocket-extensions', 'x-other'],
].flat()

function requestOf(more: Partial<InferenceRequest> = {}): InferenceRequest {
  return {
    id: 'id-1',
    api: apiOfPath('/v1/realtime') ?? assert.fail(),
    path: '/v1/realtime',
    target: '/v1/realtime?model=m',
    headers: handshake,
    body: { slices: [], bytes: 0 },
    model: 'm',
    modelSpans: [],
    stream: false,
    streamOptions: { span: undefined, includeUsageSpan: undefined, includeUsage: false },
    promptSpans: [],
    promptBytes: 0,
    maxTokens: undefined,
    session: undefined,
    cacheSalt: undefined,
    ...more,
  }
}

function destination(plan: Partial<ModelServerPlan> = {}, upstreamModel?: string): Destination {
  const modelServer = { ...modelServerPlan('a/b', []), ...plan }
  return { modelServer, endpoint, upstreamModel } as Destination
}

function linesOf(request: InferenceRequest, to: Destination): string[] {
  const { head } = upgradeRequest(request, to, origin)
  assert.ok(head.endsWith('\r\n\r\n'))
  return head.slice(0, -4).split('\r\n')
}

test('the handshake is the client’s, but for what belongs to its connection', () => {
  assert.deepEqual(linesOf(requestOf(), destination()), [
    'GET /v1/realtime?model=m HTTP/1.1',
    'host: 10.0.0.1:8000',
    'origin: https://page.example',
    'authorization: Bearer c',
    'x-forwarded-for: 1.2.3.4',
    'x-forwarded-proto: https',
    'x-forwarded-host: gw.example',
    'via: 1.1 infer-gateway',
    'x-request-id: id-1',
    'connection: Upgrade',
    'upgrade: websocket',
    'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-version: 13',
    'sec-websocket-extensions: permessage-deflate; client_max_window_bits',
    'sec-websocket-extensions: x-other',
  ])
})

test('the model in the query is the one the engine knows', () => {
  const provider = { dialect: 'openai', dropsVersion: true } as const
  const cases: readonly [request: Partial<InferenceRequest>, to: Destination, target: string][] = [
    [{}, destination(), '/v1/realtime?model=m'],
    [{}, destination({}, 'served/x'), '/v1/realtime?model=served%2Fx'],
    [{ target: '/v1/realtime' }, destination(), '/v1/realtime?model=m'],
    [{ target: '/v1/realtime?model=' }, destination(), '/v1/realtime?model=m'],
    [{ target: '/v1/realtime', model: '' }, destination(), '/v1/realtime'],
    [{ target: '/v1/realtime', model: '' }, destination({}, 's'), '/v1/realtime?model=s'],
    [{}, destination({ basePath: '/api/v2', provider }), '/api/v2/realtime?model=m'],
  ]
  for (const [more, to, target] of cases) {
    assert.equal(linesOf(requestOf(more), to)[0], `GET ${target} HTTP/1.1`)
  }
})

describe('subprotocols', () => {
  const offered = 'realtime, openai-insecure-api-key.secret,openai-beta.realtime-v1 , openai-organization.o'
  const headers = [...handshake, 'sec-websocket-protocol', offered, 'sec-websocket-protocol', 'last']
  const own = { setHeaders: [{ name: 'authorization', value: 'Bearer own' }] }
  const provider = { dialect: 'openai', dropsVersion: false } as const
  const all = ['realtime', 'openai-insecure-api-key.secret', 'openai-beta.realtime-v1', 'openai-organization.o', 'last']
  const cases: readonly [title: string, plan: Partial<ModelServerPlan>, protocols: readonly string[]][] = [
    ['all reach an engine without a credential of its own', {}, all],
    ['the key does not reach one that has its own', own, all.filter((each) => !each.includes('key'))],
    ['a provider gets those that say how to talk', { provider }, ['realtime', 'openai-beta.realtime-v1']],
  ]
  for (const [title, plan, protocols] of cases) {
    test(title, () => {
      const { head, protocols: found } = upgradeRequest(requestOf({ headers }), destination(plan), origin)
      assert.deepEqual(found, protocols)
      assert.match(head, new RegExp(`\r\nsec-websocket-protocol: ${protocols.join(', ').replaceAll('.', '\\.')}\r\n`))
    })
  }

  test('none is none', () => {
    const only = [...handshake, 'sec-websocket-protocol', 'openai-insecure-api-key.secret']
    assert.doesNotMatch(upgradeRequest(requestOf({ headers: only }), destination(own), origin).head, /protocol/)
  })
})

test('the answer to a handshake is checked', () => {
  const good = [
    'upgrade',
    'WebSocket',
    'connection',
    'keep-alive, upgrade',
    'sec-websocket-accept',
    's3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
  ]
  const problem = (headers: string[], protocols: readonly string[] = ['realtime']): string | undefined =>
    switchProblem({ status: 101, headers } as ParsedResponseHead, handshake, protocols)
  assert.equal(problem(good), undefined)
  assert.equal(problem([...good, 'sec-websocket-protocol', 'realtime']), undefined)
  const cases: readonly [headers: string[], error: RegExp][] = [
    [good.slice(2), /upgrade header/],
    [good.with(1, 'h2c'), /upgrade header/],
    [good.with(3, 'close'), /connection header/],
    [good.slice(0, 4), /accept/],
    [good.with(5, 'AAAAAAAAAAAAAAAAAAAAAAAAAAA='), /accept/],
    [[...good, 'sec-websocket-accept', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='], /accept/],
    [[...good, 'sec-websocket-protocol', 'other'], /subprotocol/],
    [[...good, 'sec-websocket-protocol', 'realtime', 'sec-websocket-protocol', 'realtime'], /subprotocol/],
  ]
  for (const [headers, error] of cases) assert.match(problem(headers) ?? '', error)
})
