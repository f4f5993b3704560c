/** A forwarder between one client and real sockets that play engines, for tests of how calls go. */
import assert from 'node:assert/strict'
import { createServer, type Server, type Socket } from 'node:net'
import type { EjectionPlan, RetryPlan } from '#config/snapshot.ts'
import type { Exchange, ExchangeObserver } from '#contracts/exchange.ts'
import { type Clock, systemClock } from '#core/clock.ts'
import { draftOutcome, type OutcomeDraft } from '#core/outcome.ts'
import { isRefusal, type Refusal, refuse } from '#core/refusal.ts'
import { createEndpointTable, type EndpointTable } from '#datastore/endpoint-table.ts'
import { acquire, openLeases } from '#datastore/lease.ts'
import { ejectionPlan, endpointPlan, modelServerPlan } from '#datastore/snapshot-case.ts'
import { parseHead, RequestParser } from '#parse/parse-request.ts'
import { Forwarder, type ForwardJob } from '#proxy/forwarder.ts'
import { UpstreamPools } from '#proxy/upstream-pools.ts'

export const chat = '{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[]}'
export const ok = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}'
export const sseHead = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n'
export const event = 'data: {"choices":[{}]}\n\n'
export const eventChunk = `${event.length.toString(16)}\r\n${event}\r\n`

/** What an engine does with the n-th connection's request. */
export type Script = (socket: Socket, connection: number) => void

export interface Engine {
  readonly id: string
  readonly server: Server
  connections: number
  closed: number
}

export async function engine(script: Script): Promise<Engine> {
  const server = createServer((socket) => {
    const connection = state.connections++
    socket.on('error', () => {})
    socket.on('close', () => state.closed++)
    socket.on('data', () => script(socket, connection))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const state: Engine = { id: `127.0.0.1:${port}`, server, connections: 0, closed: 0 }
  return state
}

/** An exchange that keeps what is written to it. */
export class RecordedExchange implements Exchange {
  readonly head: Exchange['head']
  readonly body = { slices: [Buffer.from(chat)], bytes: chat.length }
  readonly remoteAddress = ''
  readonly remotePort = 0
  readonly isSecure = false
  readonly origin = { address: '', scheme: 'http', host: '', forwardedFor: '' } as const
  addedHeaders: readonly string[] = []
  readonly asksWebSocket = false
  readonly listener = 'test'
  readonly startedAtMs = 0
  aborted = false
  observer: ExchangeObserver | undefined = undefined
  status = 0
  headers: readonly string[] = []
  text = ''
  how = ''
  constructor(target = '/v1/chat/completions') {
    this.head = { method: 'POST', target, headers: ['content-type', 'application/json'] }
  }
  recycleBody(): void {}
  reply(): void {
    throw new Error('the forwarder does not answer by itself')
  }
  start(status: number, headers: readonly string[]): void {
    this.status = status
    this.headers = headers
  }
  write(data: Buffer, start: number, end: number): void {
    this.text += data.toString('latin1', start, end)
  }
  flush(): boolean {
    return true
  }
  end(): void {
    this.how += 'end'
  }
  tunnel(): never {
    throw new Error('nobody asked for a tunnel')
  }
  cut(): void {
    this.how += 'cut'
  }
}

export interface Ended {
  readonly exchange: RecordedExchange
  readonly outcome: OutcomeDraft
  readonly refusal: Refusal | undefined
}

export interface Setting {
  readonly engines: readonly Engine[]
  readonly table: EndpointTable
  readonly forwarder: Forwarder
  readonly clock: Clock
}

export function setting(engines: readonly Engine[], clock: Clock = systemClock()): Setting {
  return { engines, table: createEndpointTable(), forwarder: new Forwarder(new UpstreamPools(clock), clock), clock }
}

/** What may differ from one request to another. */
export interface Asked {
  readonly exchange?: RecordedExchange
  readonly retry?: Partial<RetryPlan>
  readonly ejection?: Partial<EjectionPlan>
  readonly client?: string
  readonly idleMs?: number
  /** Makes the first try the probe of its endpoint. */
  readonly isProbe?: boolean
}

/** Forwards one request to the engines, in order of preference; resolves when it has ended, once. */
export function forward({ engines, table, forwarder }: Setting, asked: Asked = {}): Promise<Ended> {
  const { exchange = new RecordedExchange(), client = '10.0.0.1' } = asked
  const generation = table.generation[0] ?? 0
  const endpoints = engines.map(({ id }, slot) => endpointPlan(id, { slot, generation }))
  const timeouts = {
    connectMs: 5000,
    firstByteMs: 2000,
    idleMs: asked.idleMs ?? 1000,
    totalMs: 0,
    tunnelIdleMs: 600_000,
  }
  const retry = { attempts: 2, intervalMs: 0, afterSent: 1, ...asked.retry }
  const ejection = ejectionPlan(asked.ejection)
  const modelServer = { ...modelServerPlan('a/b', [], { timeouts, retry, ejection }), endpoints }
  const api = parseHead(exchange.head)
  assert.ok(!isRefusal(api))
  const request = new RequestParser().parse(exchange, api, 'id-1')
  assert.ok(!isRefusal(request))
  const outcome = draftOutcome(0)
  outcome.receivedAtMs = 0
  outcome.clientAddress = client
  return new Promise((resolve) => {
    const job: ForwardJob = {
      exchange,
      request,
      outcome,
      exposeEndpoint: false,
      choose(tried) {
        const endpoint = endpoints.find(({ slot }) => !tried.includes(slot))
        if (endpoint === undefined) return refuse('no-endpoint', 'none left')
        const lease = acquire(table, endpoint, { promptTokens: 10, uncachedTokens: 10 }, modelServer.ejection)
        if (asked.isProbe === true && tried.length === 0) assert.ok(lease.claimProbe())
        return { modelServer, endpoint, lease, upstreamModel: undefined, decision: { text: () => 'first' } }
      },
      refused: (refusal) => resolve({ exchange, outcome, refusal }),
      ended: () => resolve({ exchange, outcome, refusal: undefined }),
    }
    forwarder.forward(job)
  })
}

/** Everything of a test is given back: no lease, no call, no open engine. */
export function finish({ engines, table, forwarder }: Setting): void {
  assert.equal(openLeases(table), 0, 'leases')
  assert.equal(forwarder.active, 0, 'calls')
  forwarder.pools.close()
  for (const { server } of engines) server.close()
}

/** Answers well, without a stream. */
export const answers: Script = (socket) => socket.write(ok)

/** Waits, on real time, until something has come about. */
export async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo(); tries++) {
    assert.ok(tries < 2000, 'it did not come about')
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** Events as one chunk of a chunked body. */
export function chunkOf(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`
}
