import { Agent, type IncomingMessage, request as request1 } from 'node:http'
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connect2 } from 'node:http2'
import type { Readable, Writable } from 'node:stream'
import type { Limits, ListenerPlan } from '#config/snapshot.ts'
import type { ExchangeHandler } from '#contracts/exchange.ts'
import { manualClock } from '#core/manual-clock.ts'
import { listenerPlan, snapshotOf } from '#datastore/snapshot-case.ts'
import { Listener } from '#listen/listener.ts'
import type { DoorAnswer, DoorCall, DoorClient, DoorKind, DoorRequest } from './exchange.ts'

// The doors of the gateway with Node's own clients in front of them.

type Head = Pick<DoorAnswer, 'status' | 'headers'>

function listenerDoor(name: string, plan: Partial<ListenerPlan>, client: (port: number) => DoorClient): DoorKind {
  return {
    name,
    async start(handler: ExchangeHandler, limits: Partial<Limits>) {
      const clock = manualClock(1000)
      const ports = { handler, clock, onConnections: () => {}, onRefusedConnection: () => {} }
      const listener = new Listener(listenerPlan(plan), { ...snapshotOf([]).limits, ...limits }, ports)
      const port = await listener.listen()
      return { client: client(port), clock, connections: () => listener.connections, close: () => listener.close() }
    },
  }
}

/** HTTP/1.1, asked by node:http. */
export const http1Door: DoorKind = listenerDoor('HTTP/1.1', {}, (port) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  return {
    send: (request, reads) => sendHttp1(port, agent, request, reads),
    close: () => agent.destroy(),
  }
})

/** HTTP/1.1 where HTTP/2 is spoken as well. */
export const sniffedHttp1Door: DoorKind = {
  ...http1Door,
  ...listenerDoor('HTTP/1.1 beside HTTP/2', { http2: true }, clientOf1),
}

function clientOf1(port: number): DoorClient {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  return { send: (request, reads) => sendHttp1(port, agent, request, reads), close: () => agent.destroy() }
}

/** HTTP/2 with prior knowledge, asked by node:http2. */
export const http2Door: DoorKind = listenerDoor('HTTP/2', { http2: true }, (port) => {
  let session: ClientHttp2Session | undefined
  return {
    send(request, reads) {
      if (session === undefined || session.closed || session.destroyed) {
        session = connect2(`http://127.0.0.1:${port}`)
        session.on('error', () => {})
      }
      return sendHttp2(session, request, reads)
    },
    close: () => session?.destroy(),
  }
})

function sendHttp1(port: number, agent: Agent, request: DoorRequest, reads = true): DoorCall {
  const { method = 'GET', path = '/', headers = {} } = request
  const escaped = path.replace('#', '%23')
  const outgoing = request1({ host: '127.0.0.1', port, agent, method, path: escaped, headers: headers as never })
  // Node's client escapes nothing by itself, but refuses what no client sends.
  if (escaped !== path) outgoing.path = path
  const answer = new Promise<DoorAnswer>((resolve, reject) => {
    outgoing.on('error', reject)
    outgoing.on('response', (response: IncomingMessage) => {
      const head = { status: response.statusCode ?? 0, headers: response.headers }
      if (reads) collect(response, () => response.complete, head, resolve)
    })
  })
  answer.catch(() => {})
  void writeBody(outgoing, request)
  return { answer, abort: () => outgoing.destroy() }
}

function sendHttp2(session: ClientHttp2Session, request: DoorRequest, reads = true): DoorCall {
  const { method = 'GET', path = '/', headers = {}, body = [], isOpen = false } = request
  const { host: authority = '127.0.0.1', ...others } = headers
  const fields = { ':method': method, ':path': path, ':authority': authority, ...others }
  const stream: ClientHttp2Stream = session.request(fields as never, { endStream: body.length === 0 && !isOpen })
  const answer = new Promise<DoorAnswer>((resolve, reject) => {
    stream.on('error', reject)
    // After whoever collects the answer.
    stream.on('close', () => setImmediate(() => reject(new Error(`the stream was closed with ${stream.rstCode}`))))
    stream.on('response', ({ ':status': status = 0, ...rest }) => {
      const head = { status, headers: rest as Head['headers'] }
      if (reads) collect(stream, () => stream.rstCode === 0, head, resolve)
      else stream.pause()
    })
  })
  answer.catch(() => {})
  if (body.length > 0 || isOpen) void writeBody(stream, request)
  return { answer, abort: () => stream.close(8) }
}

/** An answer may be complete before its request is: its end counts, not that of the stream. */
function collect(from: Readable, isComplete: () => boolean, head: Head, resolve: (answer: DoorAnswer) => void): void {
  const parts: Buffer[] = []
  from.on('data', (part: Buffer) => parts.push(part))
  from.on('error', () => {})
  const done = (hasEnded: boolean): void =>
    resolve({ ...head, body: Buffer.concat(parts), isComplete: hasEnded && isComplete() })
  from.on('end', () => done(true))
  from.on('close', () => done(false))
}

async function writeBody(to: Writable, { body = [], isOpen = false }: DoorRequest): Promise<void> {
  for (const part of body) {
    if (to.destroyed) return
    await new Promise((resolve) => to.write(part, resolve))
  }
  if (!isOpen) to.end()
  else if (body.length === 0 && 'flushHeaders' in to) (to as { flushHeaders(): void }).flushHeaders()
}
