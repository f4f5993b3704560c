/** How tunnels come about: tries at real sockets that play engines, and what is learned of their endpoints. */
import assert from 'node:assert/strict'
import { type Socket } from 'node:net'
import { test } from 'node:test'
import type { RetryPlan } from '#config/snapshot.ts'
import type { Exchange, ExchangeObserver, Tunnel, TunnelObserver } from '#contracts/exchange.ts'
import type { HeaderList } from '#core/header-list.ts'
import { draftOutcome, type OutcomeDraft } from '#core/outcome.ts'
import { isRefusal, type Refusal, refuse } from '#core/refusal.ts'
import { acquire, openLeases } from '#datastore/lease.ts'
import { ejectionPlan, endpointPlan, modelServerPlan } from '#datastore/snapshot-case.ts'
import { Gauge } from '#observe/metric-handles.ts'
import { parseHead, RequestParser } from '#parse/parse-request.ts'
import { Tunnels } from '#proxy/tunnels.ts'
import { type Engine, engine, type Setting, setting, until } from './forward-case.ts'

const key = 'dGhlIHNhbXBsZSBub25jZQ=='
const accept = 'sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo='
const switched = `HTTP/1.1 101 x\r\nupgrade: websocket\r\nconnection: upgrade\r\n${accept}\r\n\r\n`
const switches = (socket: Socket): void => void socket.write(switched)

/** The client's side, as a door would have it. */
class Client implements Exchange, Tunnel {
  readonly head = {
    method: 'GET',
    target: '/v1/realtime?model=m',
    headers: ['host', 'gw', 'upgrade', 'websocket', 'connection', 'upgrade', 'sec-websocket-key', key],
  }
  readonly body = { slices: [], bytes: 0 }
  readonly remoteAddress = ''
  readonly remotePort = 0
  readonly isSecure = false
  readonly origin = { address: '', scheme: 'http', host: '', forwardedFor: '' } as const
  readonly asksWebSocket = true
  readonly listener = 'test'
  readonly startedAtMs = 0
  addedHeaders: HeaderList = []
  aborted = false
  observer: ExchangeObserver | undefined = undefined
  status = 0
  text = ''
  events: TunnelObserver | undefined = undefined
  isEnded = false
  recycleBody(): void {}
  reply(status: number, _headers: HeaderList, body: Buffer): void {
    this.status = status
    this.text = body.toString()
  }
  start(): void {
    assert.fail('a tunnel is no stream')
  }
  flush(): boolean {
    return assert.fail('a tunnel is no stream')
  }
  cut(): void {
    assert.fail('a tunnel is no stream')
  }
  tunnel(headers: HeaderList, observer: TunnelObserver): Tunnel {
    this.status = 101
    assert.ok(headers.includes('upgrade'))
    this.events = observer
    return this
  }
  write(data: Buffer, start: number, end: number): boolean {
    this.text += data.toString('latin1', start, end)
    return true
  }
  end(): void {
    this.isEnded = true
    setImmediate(() => this.events?.closed())
  }
  destroy(): void {
    this.isEnded = true
  }
  pause(): void {}
  resume(): void {}
}

interface Ended {
  readonly client: Client
  readonly outcome: OutcomeDraft
  readonly refusal: Refusal | undefined
}

interface Dialled {
  readonly client: Client
  readonly ended: Promise<Ended>
}

interface Stand extends Setting {
  readonly tunnels: Tunnels
  readonly gauge: Float64Array
}

async function stand(...scripts: readonly ((socket: Socket, connection: number) => void)[]): Promise<Stand> {
  const each = setting(await Promise.all(scripts.map((script) => engine(script))))
  const gauge = new Float64Array(1)
  const open = new Gauge(gauge, 0)
  const tunnels = new Tunnels({ clock: each.clock, budget: each.forwarder.budget, open: () => open })
  return { ...each, tunnels, gauge }
}

function dial({ engines, table, tunnels }: Stand, from = '10.0.0.1', plan: Partial<RetryPlan> = {}): Dialled {
  const client = new Client()
  const generation = table.generation[0] ?? 0
  const endpoints = engines.map(({ id }, slot) => endpointPlan(id, { slot, generation }))
  const timeouts = { connectMs: 5000, firstByteMs: 300, idleMs: 1000, totalMs: 0, tunnelIdleMs: 60_000 }
  const retry = { attempts: 2, intervalMs: 0, afterSent: 1, ...plan }
  const modelServer = { ...modelServerPlan('a/b', [], { timeouts, retry, ejection: ejectionPlan() }), endpoints }
  const api = parseHead(client.head)
  assert.ok(!isRefusal(api))
  const request = new RequestParser().parse(client, api, 'id-1')
  assert.ok(!isRefusal(request))
  const outcome = { ...draftOutcome(0), receivedAtMs: 0, clientAddress: from }
  const ended = new Promise<Ended>((resolve) => {
    tunnels.open({
      exchange: client,
      request,
      outcome,
      exposeEndpoint: false,
      choose(tried) {
        const endpoint = endpoints.find(({ slot }) => !tried.includes(slot))
        if (endpoint === undefined) return refuse('no-endpoint', 'none left')
        const lease = acquire(table, endpoint, { promptTokens: 10, uncachedTokens: 10 }, modelServer.ejection)
        return { modelServer, endpoint, lease, upstreamModel: undefined, decision: { text: () => 'first' } }
      },
      refused: (refusal) => resolve({ client, outcome, refusal }),
      ended: () => resolve({ client, outcome, refusal: undefined }),
    })
  })
  return { client, ended }
}

function finish({ engines, table, tunnels, forwarder, gauge }: Stand): void {
  assert.equal(openLeases(table), 0, 'leases')
  assert.deepEqual([tunnels.active, gauge[0]], [0, 0])
  forwarder.pools.close()
  for (const { server } of engines) server.close()
}

const isClosed = ({ connections, closed }: Engine): boolean => connections > 0 && closed === connections

test('a tunnel holds its lease until it ends', async () => {
  const each = await stand((socket, connection) => {
    if (connection === 0) socket.write(switched)
  })
  const { client, ended } = dial(each)
  await until(() => client.status === 101)
  assert.deepEqual([openLeases(each.table), each.tunnels.active, each.gauge[0]], [1, 1, 1])
  client.events?.closed()
  const { outcome } = await ended
  assert.deepEqual([outcome.status, outcome.abort, outcome.attempts], [101, 'answering', 1])
  await until(() => each.engines.every(isClosed))
  finish(each)
})

test('an endpoint that breaks off or declines is followed by another, and the reasons are kept', async () => {
  const each = await stand(
    (socket) => socket.destroy(),
    (socket) => socket.write('HTTP/1.1 429 x\r\nretry-after: 9\r\ncontent-length: 0\r\n\r\n'),
    switches,
  )
  const { client, ended } = dial(each)
  await until(() => client.status === 101)
  client.events?.closed()
  const { outcome } = await ended
  assert.deepEqual(
    outcome.failedAttempts.map(({ reason }) => reason),
    ['upstream-reset', 'status-429'],
  )
  // Another endpoint has answered: the first one was to blame, the second one rests as it asked.
  assert.deepEqual([...each.table.consecutiveErrors.subarray(0, 3)], [1, 0, 0])
  assert.ok((each.table.restUntilMs[1] ?? 0) > each.clock.nowMs() + 5000)
  await until(() => each.engines.every(isClosed))
  finish(each)
})

test('when every endpoint fails the last failure is the answer, and no endpoint is blamed for the request', async () => {
  const each = await stand(
    (socket) => socket.destroy(),
    (socket) => socket.destroy(),
    switches,
  )
  const { refusal, outcome } = await dial(each).ended
  assert.deepEqual([refusal?.reason, outcome.attempts, outcome.failedAttempts.length], ['upstream-reset', 2, 2])
  assert.equal(each.engines[2]?.connections, 0)
  assert.deepEqual([...each.table.consecutiveErrors.subarray(0, 3)], [0, 0, 0])
  finish(each)
})

test('one client whose tunnels break does not take the endpoint from the others', async () => {
  const each = await stand((socket) => socket.write(switched, () => socket.destroy()))
  for (let i = 0; i < 10; i++) {
    const { outcome } = await dial(each, '10.0.0.1').ended
    assert.equal(outcome.refusal, 'upstream-reset')
  }
  assert.equal(each.table.ejected[0], 0)
  const { outcome } = await dial(each, '10.0.0.2').ended
  assert.equal(outcome.errorSource, 'upstream')
  assert.equal(each.table.ejected[0], 1)
  finish(each)
})

test('an endpoint that serves something else there is not broken', async () => {
  const each = await stand((socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}'))
  for (const from of ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4']) {
    const { refusal } = await dial(each, from).ended
    assert.equal(refusal?.reason, 'upstream-not-websocket')
  }
  assert.deepEqual([each.table.consecutiveErrors[0], each.table.ejected[0]], [0, 0])
  await until(() => each.engines.every(isClosed))
  finish(each)
})

test('an engine’s own no is passed on, and a silent one is not waited for', async () => {
  const each = await stand((socket, connection) => {
    if (connection === 0) socket.write('HTTP/1.1 401 x\r\ncontent-length: 4\r\n\r\nwho?')
  })
  const { client, refusal } = await dial(each).ended
  assert.deepEqual([client.status, client.text, refusal], [401, 'who?', undefined])
  const silent = await dial(each).ended
  assert.equal(silent.refusal?.reason, 'upstream-first-byte-timeout')
  await until(() => each.engines.every(isClosed))
  finish(each)
})

test('a client that goes before its tunnel is open takes the handshake with it', async () => {
  const each = await stand(() => {})
  const { client, ended } = dial(each)
  await until(() => each.engines[0]?.connections === 1)
  client.observer?.aborted()
  const { outcome } = await ended
  assert.deepEqual([outcome.abort, outcome.status], ['before-first-byte', 0])
  await until(() => each.engines.every(isClosed))
  finish(each)
})

test('a drain refuses what is not open yet and ends what is', async () => {
  const each = await stand((socket, connection) => {
    if (connection === 0) socket.write(switched)
  })
  const first = dial(each)
  await until(() => first.client.status === 101)
  const second = dial(each, '10.0.0.2')
  await until(() => each.engines[0]?.connections === 2)
  each.tunnels.endAll(refuse('draining', 'Bye.'))
  assert.equal((await second.ended).refusal?.reason, 'draining')
  const { outcome, client } = await first.ended
  assert.deepEqual([outcome.refusal, outcome.cut, client.text], ['draining', true, '\x88\x02\x03\xf4'])
  await until(() => each.engines.every(isClosed))
  finish(each)
})
