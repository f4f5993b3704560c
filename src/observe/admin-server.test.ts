import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { Fault } from '#core/fault.ts'
import { type AdminServerPlan, startAdminServer } from './admin-server.ts'
import type { EndpointReport, StatusReport } from './status-report.ts'

const endpoint: EndpointReport = {
  modelServer: 'default/llama',
  endpoint: '10.0.0.1:8000',
  engine: 'vllm',
  health: 'unready',
  state: 'closed',
  ejectedForMs: undefined,
  ejections: { streak: 2, ratio: 1, probe: 4 },
  running: undefined,
  waiting: undefined,
  kvUse: 0.42,
  inFlight: 2,
  consecutiveErrors: 3,
  ttftMs: 4.26,
  tpotMs: undefined,
  adapters: ['sql'],
  scrapeAgeMs: 65_000,
  scrapeMs: 2,
  scrapeFailures: 7,
  scrapeError: 'connection refused',
}

const report: StatusReport = {
  version: '1.2.3',
  startedAtWallMs: 0,
  uptimeMs: 3_720_000,
  readiness: { ready: true, reason: 'ready' },
  snapshotVersion: 4,
  reload: { ok: true, atWallMs: 0, problems: [] },
  listeners: [{ name: 'default', url: 'http://127.0.0.1:8080', connections: 5 }],
  models: [{ name: 'llama', route: 'default/llama', modelServers: ['default/llama'] }],
  endpoints: [endpoint],
  threads: [{ name: '0', state: 'serving', snapshotVersion: 4, connections: 5, restarts: 0, stalledMs: 0 }],
}

async function startFor(t: TestContext, plan: Partial<AdminServerPlan> = {}) {
  const errors: unknown[] = []
  const server = await startAdminServer({
    address: '127.0.0.1',
    port: 0,
    metrics: () => Promise.resolve({ contentType: 'text/plain; version=0.0.4; charset=utf-8', body: 'a 1\n' }),
    readiness: () => ({ ready: true, reason: 'ready' }),
    status: () => report,
    decisions: () => Promise.resolve({ decisions: [], isTruncated: false, silentThreads: [], profiles: {} }),
    onError: (error) => errors.push(error),
    ...plan,
  })
  t.after(() => server.close())
  const ask = (path: string, init?: RequestInit) =>
    fetch(`http://127.0.0.1:${server.port}${path}`, { ...init, headers: { connection: 'close' } })
  return { server, errors, ask }
}

/** Sends bytes as they are and returns everything that comes back. */
function exchange(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => socket.end(bytes))
    socket.setEncoding('latin1')
    socket.on('data', (text) => {
      answer += String(text)
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(answer))
  })
}

const getPages = [
  { path: '/metrics', type: 'text/plain; version=0.0.4; charset=utf-8', body: /^a 1\n$/ },
  { path: '/metrics?name[]=a', type: 'text/plain; version=0.0.4; charset=utf-8', body: /^a 1\n$/ },
  { path: '/healthz', type: 'text/plain; charset=utf-8', body: /^ok\n$/ },
  { path: '/readyz', type: 'application/json; charset=utf-8', body: /^\{"ready":true,"reason":"ready"\}\n$/ },
  { path: '/', type: 'text/html; charset=utf-8', body: /^<!doctype html>/ },
]

for (const { path, type, body } of getPages) {
  test(`GET ${path} answers, and HEAD gives the same head without a body`, async (t) => {
    const { ask } = await startFor(t)
    const got = await ask(path)
    assert.equal(got.status, 200)
    assert.equal(got.headers.get('content-type'), type)
    assert.equal(got.headers.get('cache-control'), 'no-store')
    const text = await got.text()
    assert.match(text, body)
    const head = await ask(path, { method: 'HEAD' })
    assert.equal(head.status, 200)
    assert.equal(head.headers.get('content-length'), String(Buffer.byteLength(text)))
    assert.equal(await head.text(), '')
  })
}

test('/status is the report as JSON', async (t) => {
  const { ask } = await startFor(t)
  assert.deepEqual(await (await ask('/status')).json(), JSON.parse(JSON.stringify(report)))
})

test('/readyz answers 503 with the reason when the gateway is not ready', async (t) => {
  const { ask } = await startFor(t, { readiness: () => ({ ready: false, reason: 'draining' }) })
  const got = await ask('/readyz')
  assert.equal(got.status, 503)
  assert.deepEqual(await got.json(), { ready: false, reason: 'draining' })
})

test('other paths are 404 and say which there are; other methods are 405', async (t) => {
  const { ask } = await startFor(t)
  for (const path of ['/nothing', '/metrics/', '//', '/METRICS', '/%2e%2e/etc/passwd', '/constructor']) {
    const got = await ask(path)
    assert.equal(got.status, 404, path)
    assert.match(await got.text(), /\/healthz \/metrics \/readyz \/status/)
  }
  const posted = await ask('/metrics', { method: 'POST', body: 'x'.repeat(200_000) })
  assert.equal(posted.status, 405)
  assert.equal(posted.headers.get('allow'), 'GET, HEAD')
})

test('a source that throws gives a 500 without the cause, which goes to the log', async (t) => {
  const { ask, errors } = await startFor(t, {
    metrics: () => Promise.reject(new Error('rejected secret')),
    status: () => {
      throw new Error('thrown secret')
    },
  })
  for (const path of ['/metrics', '/status', '/']) {
    const got = await ask(path)
    assert.equal(got.status, 500)
    assert.doesNotMatch(await got.text(), /secret/)
  }
  assert.equal(errors.length, 3)
})

const bad = [
  { name: 'no HTTP', bytes: 'hello\r\n\r\n', answer: /^HTTP\/1\.1 400 / },
  {
    name: 'a head that is too large',
    bytes: `GET / HTTP/1.1\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`,
    answer: /^HTTP\/1\.1 431 /,
  },
  {
    name: 'length and chunked',
    bytes: 'GET /healthz HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    answer: /^HTTP\/1\.1 400 /,
  },
  {
    name: 'an absolute target',
    bytes: 'GET http://a/healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n',
    answer: /^HTTP\/1\.1 404 /,
  },
  {
    name: 'an asterisk',
    bytes: 'OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n',
    answer: /^HTTP\/1\.1 404 /,
  },
]

for (const { name, bytes, answer } of bad) {
  test(`${name} is answered with an error and does no harm`, async (t) => {
    const { server, ask } = await startFor(t)
    assert.match(await exchange(server.port, bytes), answer)
    assert.equal((await ask('/healthz')).status, 200)
  })
}

test('a port in use is a fault that says so and what to set', async (t) => {
  const { server } = await startFor(t)
  await assert.rejects(startFor(t, { port: server.port }), (error) => {
    assert.ok(error instanceof Fault)
    assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${server.port}: the port is in use .* set admin`))
    return true
  })
})

test("an address that is not this machine's is a fault that says so", async (t) => {
  await assert.rejects(startFor(t, { address: '192.0.2.1' }), /this machine does not have the address/)
})

test('the page shows what the report says', async (t) => {
  const { ask } = await startFor(t)
  const page = await (await ask('/')).text()
  for (const text of [
    '1.2.3',
    '1 h 2 min',
    'version 4',
    '0 of 1 ready',
    '10.0.0.1:8000',
    '42 %',
    '4.3 ms',
    '1 min 5 s ago',
    'sql',
  ]) {
    assert.ok(page.includes(text), text)
  }
  assert.ok(!page.includes('undefined') && !page.includes('NaN') && !page.includes('[object'))
})

test('the page shows how long an endpoint stays ejected, and why it was', async (t) => {
  const status = () => ({ ...report, endpoints: [{ ...endpoint, state: 'ejected' as const, ejectedForMs: 12_300 }] })
  const page = await (await (await startFor(t, { status })).ask('/')).text()
  assert.ok(page.includes('ejected for 12 s'))
  assert.ok(page.includes('ejected 7 times: 2 for failures in a row, 1 for too few successes, 4 by a failed probe'))
})

test('the page shows where a refused configuration is wrong', async (t) => {
  const problems = [{ file: 'models.yaml', line: 12, message: 'unknown key "endpoint": did you mean "endpoints"?' }]
  const status = () => ({ ...report, reload: { ok: false, atWallMs: 0, problems } })
  const page = await (await (await startFor(t, { status })).ask('/')).text()
  assert.ok(page.includes('<code>models.yaml:12</code> unknown key &quot;endpoint&quot;'))
})

test('the policy of the page allows exactly its own style and script', async (t) => {
  const got = await (await startFor(t)).ask('/')
  const page = await got.text()
  const policy = got.headers.get('content-security-policy') ?? ''
  for (const element of ['style', 'script']) {
    const source = new RegExp(`<${element}>([^]*?)</${element}>`).exec(page)?.[1] ?? ''
    assert.ok(source.length > 100)
    assert.ok(
      policy.includes(`${element}-src 'sha256-${createHash('sha256').update(source).digest('base64')}'`),
      element,
    )
  }
})

test('nothing in the report can become markup', async (t) => {
  const evil = `"><script>alert(1)</script><img src=x onerror='a'>&`
  const spoil = (value: unknown): unknown => {
    if (typeof value === 'string') return value === 'unready' ? value : evil
    if (Array.isArray(value)) return value.map(spoil)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, spoil(inner)]))
  }
  const problems = [{ file: evil, line: undefined, message: evil }]
  const status = () => ({ ...(spoil(report) as StatusReport), reload: { ok: false, atWallMs: 0, problems } })
  const got = await (await startFor(t, { status })).ask('/')
  const page = await got.text()
  assert.ok(!page.includes('<script>alert') && !page.includes('<img'))
  assert.ok(page.includes('&lt;script&gt;alert(1)'))
  assert.match(
    got.headers.get('content-security-policy') ?? '',
    /^default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-/,
  )
})
