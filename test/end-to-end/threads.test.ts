import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Fleet, modelOn, quick, withFleet } from './support/fleet.ts'
import { RunningGateway } from './support/gateway.ts'
import { freePorts } from './support/ports.ts'
import { postBytes, RawClient } from './support/raw-client.ts'
import { type Sabotage, sabotage, sabotageEnv } from './support/saboteur.ts'
import { runMany, sleep, waitFor } from './support/wait.ts'

const threeThreads = (sims: Fleet['sims']) => ({ threads: 3, models: { tiny: modelOn(sims) } })
const messages = [{ role: 'user', content: 'hello' }]

function chat(more: Readonly<Record<string, unknown>> = {}): Buffer {
  const body = JSON.stringify({ model: 'tiny', messages, max_tokens: 3, ...more })
  return postBytes('/v1/chat/completions', Buffer.from(body))
}

/** One request on a connection; returns the part of its id that all requests of one thread have in common. */
async function threadOf(client: RawClient): Promise<string> {
  client.write(chat())
  const { status, headers } = await client.response()
  assert.equal(status, 200)
  const id = headers.find(([name]) => name === 'x-request-id')?.[1] ?? ''
  return id.slice(0, id.lastIndexOf('-'))
}

test('connections are spread over all threads, and metrics and log come together in one place', () =>
  withFleet({ sims: [quick, quick], config: threeThreads }, async ({ gateway }) => {
    const clients = await runMany(60, 20, () => RawClient.connect(gateway.port))
    const threads = new Set<string>()
    for (let round = 0; round < 5; round++)
      for (const each of await Promise.all(clients.map(threadOf))) threads.add(each)
    assert.equal(threads.size, 3)
    const { threads: states, listeners } = await gateway.status()
    assert.deepEqual(
      states.map(({ name, state, restarts }) => [name, state, restarts]),
      ['data-0', 'data-1', 'data-2'].map((name) => [name, 'serving', 0]),
    )
    assert.ok(states.every(({ connections }) => connections > 0))
    assert.equal(
      states.reduce((sum, { connections }) => sum + connections, 0),
      60,
    )
    assert.equal(listeners[0]?.connections, 60)
    const page = await gateway.metrics()
    assert.equal(page.sum('infer_gateway_requests_total', { status: '200' }), 300)
    assert.equal(page.sum('infer_gateway_connections_open'), 60)
    await waitFor('all lines', () => gateway.accessLines.length >= 300)
    assert.equal(new Set(gateway.accessLines.map((line) => line.request_id)).size, 300)
    for (const client of clients) client.close()
  }))

test('requests of all threads spread over slow engines as those of one do', () => {
  const sims = [1, 2, 3, 4].map((seed) => ({ ...quick, ttftMs: 3000, seed }))
  // By count alone: the default profile levels seconds, of which these requests have next to none.
  const profiles = { default: { filters: ['usable'], scorers: ['least-request'] } }
  const config = (fleet: Fleet['sims']) => ({ ...threeThreads(fleet), profiles })
  return withFleet({ sims, config }, async ({ gateway, sims: engines }) => {
    const spreads: number[] = []
    const clients = await runMany(80, 40, () => RawClient.connect(gateway.port))
    for (const client of clients) client.write(chat())
    await waitFor('all requests at the engines', async () => {
      const { endpoints } = await gateway.status()
      const counts = endpoints.map(({ inFlight }) => inFlight)
      spreads.push(Math.max(...counts) - Math.min(...counts))
      return engines.reduce((sum, sim) => sum + sim.stats().running, 0) === 80
    })
    const counts = engines.map((sim) => sim.stats().running)
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 3, counts.join(' '))
    assert.ok(Math.max(...spreads) <= 3, spreads.join(' '))
    for (const { status } of await Promise.all(clients.map((client) => client.response()))) assert.equal(status, 200)
    for (const client of clients) client.close()
  })
})

for (const what of ['throw', 'out-of-memory'] as const) {
  test(`a thread that ends by ${what} is replaced, and nobody on the other threads notices`, () => diesUnderLoad(what))
}

/** A client that keeps its connection and asks again and again. */
class SteadyClient {
  thread = ''
  answers = 0
  error: string | undefined
  readonly client: RawClient
  #stopping = false
  readonly #running: Promise<void>

  constructor(client: RawClient) {
    this.client = client
    this.#running = this.#run()
  }

  stop(): Promise<void> {
    this.#stopping = true
    return this.#running
  }

  async #run(): Promise<void> {
    try {
      while (!this.#stopping) {
        this.thread = await threadOf(this.client)
        this.answers++
        await sleep(5)
      }
    } catch (error) {
      this.error = String(error)
    }
    this.client.close()
  }
}

function diesUnderLoad(what: Sabotage): Promise<void> {
  const file = join(tmpdir(), `infer-gateway-sabotage-${process.pid}-${what}`)
  const env = sabotageEnv(file)
  const start = { env: { ...env, NODE_OPTIONS: `${env.NODE_OPTIONS} --max-old-space-size=160` }, mayFault: true }
  return withFleet({ sims: [quick, quick], config: threeThreads, start }, async ({ gateway }) => {
    const clients = (await runMany(30, 15, () => RawClient.connect(gateway.port))).map((each) => new SteadyClient(each))
    await waitFor('answers', () => clients.every(({ answers }) => answers > 2))
    const before = await gateway.metrics()
    sabotage(file, 'data-1', what)
    await waitFor('replacement', async () => (await gateway.status()).threads[1]?.restarts === 1, 15_000)
    await waitFor('three threads', async () =>
      (await gateway.status()).threads.every(({ state }) => state === 'serving'),
    )
    await sleep(300)
    await Promise.all(clients.map((client) => client.stop()))
    const lost = clients.filter(({ error }) => error !== undefined)
    assert.ok(lost.length > 0 && lost.length < clients.length, `${lost.length} clients lost their connection`)
    assert.equal(new Set(lost.map(({ thread }) => thread)).size, 1, 'all of them were on one thread')

    const threads = new Set(
      await runMany(60, 20, async () => {
        const client = await RawClient.connect(gateway.port)
        const thread = await threadOf(client)
        client.close()
        return thread
      }),
    )
    assert.equal(threads.size, 3, 'the thread that took its place takes connections')
    assert.ok(!threads.has(lost[0]?.thread ?? ''))

    await waitFor('released leases', async () => (await gateway.underWay()) === 0)
    await waitFor(
      'closed connections',
      async () => (await gateway.metrics()).sum('infer_gateway_connections_open') === 0,
    )
    const after = await gateway.metrics()
    const answered = clients.reduce((sum, { answers }) => sum + answers, 60)
    const counted = after.sum('infer_gateway_requests_total', { status: '200' })
    assert.ok(counted >= answered, `${answered} answered, ${counted} counted`)
    for (const { name, labels, value } of before.samples) {
      if (!/^(infer_gateway|gen_ai)\w+_(total|count|sum|bucket)$/.test(name)) continue
      assert.ok(after.sum(name, labels) >= value, `${name} ${JSON.stringify(labels)} has gone down`)
    }
    assert.equal(after.sum('infer_gateway_thread_restarts_total', { thread: 'data-1' }), 1)
    const line = gateway.logLines.find(({ msg }) => String(msg).startsWith('a data thread ended and is replaced'))
    assert.equal(line?.thread, 'data-1')
  })
}

test('a thread that hangs is reported while the others serve, and reported again when it is back', () => {
  const file = join(tmpdir(), `infer-gateway-sabotage-${process.pid}-hang`)
  return withFleet({ config: threeThreads, start: { env: sabotageEnv(file) } }, async ({ gateway }) => {
    const clients = await runMany(40, 20, () => RawClient.connect(gateway.port))
    const threads = await Promise.all(clients.map(threadOf))
    sabotage(file, 'data-2', 'hang', 6000)
    const stalled = async () => (await gateway.status()).threads.find(({ state }) => state === 'stalled')
    const found = await waitFor('report', stalled, 6000)
    assert.equal(found.name, 'data-2')
    assert.ok((await gateway.metrics()).sum('infer_gateway_thread_stalled_seconds', { thread: 'data-2' }) >= 3)
    const recorded = fetch(`${gateway.adminUrl}/debug/decisions`).then((response) => response.json())
    const answering = new Set<string>()
    await Promise.all(
      clients.map((client) => Promise.race([threadOf(client).then((thread) => answering.add(thread)), sleep(1000)])),
    )
    assert.equal(answering.size, new Set(threads).size - 1, 'all threads answer but one')
    const { decisions, silentThreads } = (await recorded) as Record<'decisions' | 'silentThreads', readonly unknown[]>
    assert.deepEqual([decisions.length > 0, silentThreads], [true, ['data-2']], 'recorded decisions of the others')
    await waitFor('recovery', async () => (await stalled()) === undefined, 10_000)
    const said = gateway.logLines.map(({ msg }) => msg)
    assert.ok(said.includes('a data thread does not run its timers'))
    assert.ok(said.includes('the data thread runs again'))
    for (const client of clients) client.close()
  })
})

/** Whether all threads work with a version of the configuration. */
async function isEverywhere(gateway: RunningGateway, version: number): Promise<boolean> {
  return (await gateway.status()).threads.every(({ snapshotVersion }) => snapshotVersion === version)
}

test('a listener that is added, and one that is taken away, is so in every thread', () =>
  withFleet({ config: threeThreads }, async ({ gateway, sims }) => {
    const port = await freePorts.take()
    const main = { name: 'main', address: '127.0.0.1', port: gateway.port }
    gateway.rewrite({ ...threeThreads(sims), listeners: [main, { name: 'two', address: '127.0.0.1', port }] })
    await waitFor('second listener', () => isEverywhere(gateway, 2))
    const threads = new Set(
      await runMany(40, 10, async () => {
        const client = await RawClient.connect(port)
        const thread = await threadOf(client)
        client.close()
        return thread
      }),
    )
    assert.equal(threads.size, 3)
    gateway.rewrite({ ...threeThreads(sims), listeners: [main] })
    await waitFor('one listener', () => isEverywhere(gateway, 3))
    for (let i = 0; i < 20; i++) await assert.rejects(RawClient.connect(port), /ECONNREFUSED/)
  }))

test('threads share a port that the system chooses', () =>
  withFleet({ config: threeThreads }, async ({ gateway, sims }) => {
    const main = { name: 'main', address: '127.0.0.1', port: gateway.port }
    gateway.rewrite({ ...threeThreads(sims), listeners: [main, { name: 'any', address: '127.0.0.1', port: 0 }] })
    await waitFor('second listener', () => isEverywhere(gateway, 2))
    const any = (await gateway.status()).listeners.find(({ name }) => name === 'any')
    const port = Number(new URL(any?.url ?? '').port)
    const clients = await runMany(30, 10, () => RawClient.connect(port))
    assert.equal(new Set(await Promise.all(clients.map(threadOf))).size, 3)
    for (const client of clients) client.close()
  }))

test('a port on which another program listens is refused, even one that would share it', async () => {
  const port = await freePorts.take()
  const other = createServer()
  await new Promise<void>((resolve) => other.listen({ host: '127.0.0.1', port, reusePort: true }, resolve))
  try {
    const listeners = [{ name: 'main', address: '127.0.0.1', port }]
    await assert.rejects(
      RunningGateway.start({
        listeners,
        threads: 2,
        models: { tiny: { engine: 'vllm', endpoints: ['http://127.0.0.1:9'] } },
      }),
      /EADDRINUSE.*Another program listens there/s,
    )
  } finally {
    await new Promise((resolve) => other.close(resolve))
  }
})

test('--threads decides before the configuration, and a change there waits for the next start', () =>
  withFleet({ config: threeThreads, start: { args: ['--threads', '2'] } }, async ({ gateway, sims }) => {
    assert.equal((await gateway.status()).threads.length, 2)
    gateway.rewrite({ ...threeThreads(sims), threads: 4 })
    await waitFor('warning', () => gateway.logLines.some(({ msg }) => /change of 'threads'/.test(String(msg))))
    assert.equal((await gateway.status()).threads.length, 2)
  }))
