import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Fault } from '#core/fault.ts'
import { adminPagePolicy, renderAdminPage } from './admin-page.ts'
import { type DecisionReport, decisionPage, decisionsPath } from './decision-pages.ts'
import type { DecisionQuery } from './decision-ring.ts'
import type { MetricsPage } from './metrics-registry.ts'
import type { Readiness, StatusReport } from './status-report.ts'

/** What `startAdminServer` needs: where to listen, and functions that give what the pages show. */
export interface AdminServerPlan {
  readonly address: string
  /** 0 lets the system choose: for tests. */
  readonly port: number
  /** An inherited descriptor that listens already: it is adopted instead. */
  readonly fd?: number | undefined
  readonly metrics: () => Promise<MetricsPage>
  readonly readiness: () => Readiness
  readonly status: () => StatusReport
  /** Recorded decisions of the scheduler. */
  readonly decisions: (query: DecisionQuery) => Promise<DecisionReport>
  /** Told when one of the functions above throws; the request gets a 500 that does not say why. */
  readonly onError: (error: unknown) => void
}

/** The running admin server: metrics, health and status, read-only. */
export interface AdminServer {
  readonly address: string
  readonly port: number
  /** Number of the listening descriptor in this process, for handing it over; -1 when there is none. */
  readonly fd: number
  /** Stops listening; answers under way are finished. */
  drain(): void
  /** Stops listening and cuts open connections. */
  close(): Promise<void>
}

interface Reply {
  readonly status: number
  readonly contentType: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

// An import statement would touch every export of the module, and one of them loads Node's whole fetch: 13 MB and 65 ms.
const { createServer } = process.getBuiltinModule('node:http')

const jsonType = 'application/json; charset=utf-8'
const textType = 'text/plain; charset=utf-8'

const json = (status: number, value: unknown): Reply => ({
  status,
  contentType: jsonType,
  body: `${JSON.stringify(value)}\n`,
})

const text = (status: number, body: string): Reply => ({ status, contentType: textType, body })

type Page = (request: IncomingMessage) => Reply | Promise<Reply>

/** Answers by path. */
function pagesOf(plan: AdminServerPlan): ReadonlyMap<string, Page> {
  return new Map<string, Page>([
    ['/metrics', async () => ({ status: 200, ...(await plan.metrics()) })],
    ['/healthz', () => text(200, 'ok\n')],
    ['/readyz', () => readyReply(plan.readiness())],
    ['/status', () => json(200, plan.status())],
    [decisionsPath, (request) => decisionReply(plan, request)],
    ['/', () => pageReply(plan.status())],
  ])
}

function readyReply(readiness: Readiness): Reply {
  return json(readiness.ready ? 200 : 503, readiness)
}

async function decisionReply({ decisions }: AdminServerPlan, request: IncomingMessage): Promise<Reply> {
  const { status, isText, body } = await decisionPage(request.url ?? '', request.headers.accept, decisions)
  return { status, contentType: isText ? textType : jsonType, body }
}

function pageReply(status: StatusReport): Reply {
  return {
    status: 200,
    contentType: 'text/html; charset=utf-8',
    body: renderAdminPage(status),
    headers: { 'content-security-policy': adminPagePolicy },
  }
}

function send(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  const body = Buffer.from(reply.body)
  response.writeHead(reply.status, {
    'content-type': reply.contentType,
    'content-length': body.length,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    ...reply.headers,
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

/** Never rejects: whatever goes wrong becomes an answer. */
async function answer(
  plan: AdminServerPlan,
  pages: ReturnType<typeof pagesOf>,
  request: IncomingMessage,
): Promise<Reply> {
  const { method, url = '' } = request
  const path = url.split('?', 1)[0] ?? ''
  const page = pages.get(path.startsWith(`${decisionsPath}/`) ? decisionsPath : path)
  if (page === undefined) return text(404, `no such page; there are ${[...pages.keys()].toSorted().join(' ')}\n`)
  if (method !== 'GET' && method !== 'HEAD') {
    return { ...text(405, 'only GET and HEAD\n'), headers: { allow: 'GET, HEAD' } }
  }
  try {
    return await page(request)
  } catch (error) {
    plan.onError(error)
    return text(500, 'internal error; the log has the cause\n')
  }
}

const bindProblems: Readonly<Record<string, string>> = {
  EADDRINUSE: 'the port is in use by another process',
  EACCES: 'this user may not use the port',
  EADDRNOTAVAIL: 'this machine does not have the address',
  ENOTFOUND: 'the name does not resolve',
}

function listen(server: Server, { address, port, fd }: AdminServerPlan): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const problem = bindProblems[error.code ?? ''] ?? error.message
      const message = `the admin server cannot listen on ${address}:${port}: ${problem}; set admin.address or admin.port`
      reject(new Fault('self', message, { cause: error }))
    })
    server.listen(fd === undefined ? { host: address, port } : { fd }, resolve)
  })
}

/** Starts the admin server; rejects with a Fault that says what to do when it cannot listen. */
export async function startAdminServer(plan: AdminServerPlan): Promise<AdminServer> {
  const pages = pagesOf(plan)
  const server = createServer(
    { headersTimeout: 10_000, requestTimeout: 10_000, keepAliveTimeout: 30_000, connectionsCheckingInterval: 5000 },
    (request, response) => {
      // No page reads a body; resuming lets the connection go on to its next request.
      request.resume()
      void answer(plan, pages, request).then((reply) => send(request, response, reply))
    },
  )
  server.maxConnections = 256
  await listen(server, plan)
  server.on('error', plan.onError)
  const bound = server.address() as AddressInfo
  return {
    address: bound.address,
    port: bound.port,
    fd: (server as unknown as { readonly _handle: { readonly fd: number } | null })._handle?.fd ?? -1,
    drain: () => void server.close(),
    close: () => closeServer(server),
  }
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
