import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { test } from 'node:test'
import { modelOn, quick, withFleet } from './support/fleet.ts'
import { postBytes, RawClient } from './support/raw-client.ts'
import { splitEvents } from './support/sse.ts'
import { waitFor } from './support/wait.ts'

const slow = { ...quick, tpotMs: 20 }

function stream(tokens: number): Buffer {
  const messages = [{ role: 'user', content: 'hello' }]
  return postBytes(
    '/v1/chat/completions',
    Buffer.from(JSON.stringify({ model: 'tiny', messages, max_tokens: tokens, stream: true })),
  )
}

async function isRefused(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port })
  const outcome = await new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(false))
    socket.once('error', () => resolve(true))
  })
  socket.destroy()
  return outcome
}

test('SIGTERM lets streams finish, refuses new connections, drops idle ones and ends with 0', () =>
  withFleet({ sims: [slow] }, async ({ gateway, sim }) => {
    const idle = await RawClient.connect(gateway.port)
    const clients = await Promise.all(Array.from({ length: 5 }, () => RawClient.connect(gateway.port)))
    for (const client of clients) client.write(stream(40))
    await waitFor('running streams', () => sim.stats().running === 5)
    const answers = Promise.all(clients.map((client) => client.response()))
    const exit = gateway.stop('SIGTERM')
    await waitFor('closed listener', () => isRefused(gateway.port), 1000)
    assert.equal(idle.isEnded, false, 'its client may be sending a request at this moment')
    const ready = await fetch(`${gateway.adminUrl}/readyz`)
    assert.equal(ready.status, 503)
    assert.deepEqual(await ready.json(), { ready: false, reason: 'draining' })
    await waitFor('dropped idle connection', () => idle.isEnded, 4000)
    for (const { status, body } of await answers) {
      assert.equal(status, 200)
      assert.deepEqual(
        [splitEvents(body.toString()).events.length, body.toString().endsWith('data: [DONE]\n\n')],
        [42, true],
      )
    }
    await waitFor('closed connections', () => clients.every((client) => client.isEnded), 4000)
    assert.equal(await exit, 0)
    assert.equal(gateway.accessLines.length, 5)
  }))

test('streams that outlast the grace end with an error event, and the exit code is still 0', () => {
  const config = (sims: Parameters<typeof modelOn>[0]) => ({
    models: { tiny: modelOn(sims) },
    limits: { drain: '300ms' },
  })
  return withFleet({ sims: [slow], config }, async ({ gateway, sim }) => {
    const client = await RawClient.connect(gateway.port)
    client.write(stream(10_000))
    await waitFor('tokens', () => sim.stats().outputTokens > 2)
    const [{ body }, code] = await Promise.all([client.response(), gateway.stop('SIGTERM')])
    const last = splitEvents(body.toString()).events.at(-1)?.data ?? ''
    assert.equal((JSON.parse(last) as { error: { code: string } }).error.code, 'draining')
    assert.equal(code, 0)
    await waitFor('idle engine', () => sim.stats().running === 0, 1000)
  })
})

test('a second signal ends at once', async () => {
  await assert.rejects(
    withFleet({ sims: [slow] }, async ({ gateway, sim }) => {
      const client = await RawClient.connect(gateway.port)
      client.write(stream(10_000))
      await waitFor('tokens', () => sim.stats().outputTokens > 2)
      process.kill(gateway.pid, 'SIGTERM')
      await waitFor('drain', () => isRefused(gateway.port))
      const startedMs = performance.now()
      assert.equal(await gateway.stop('SIGINT'), 130)
      assert.ok(performance.now() - startedMs < 2000)
      await waitFor('idle engine', () => sim.stats().running === 0, 1000)
      throw new Error('as expected')
    }),
    /as expected/,
  )
})

test('with limits.drainDelay new requests are taken while load balancers learn that this gateway is not ready', () => {
  const config = (sims: Parameters<typeof modelOn>[0]) => ({
    threads: 2,
    models: { tiny: modelOn(sims) },
    limits: { drainDelay: '1500ms' },
  })
  return withFleet({ sims: [slow], config }, async ({ gateway }) => {
    const exit = gateway.stop('SIGTERM')
    const readiness = async () => (await fetch(`${gateway.adminUrl}/readyz`)).status
    await waitFor('readiness off', async () => (await readiness()) === 503, 1000)
    const client = await RawClient.connect(gateway.port)
    client.write(stream(4))
    assert.equal((await client.response()).status, 200)
    await waitFor('closed listener', () => isRefused(gateway.port), 3000)
    assert.equal(await exit, 0)
    client.close()
  })
})

test('every thread drains: streams of all of them end whole', () => {
  const config = (sims: Parameters<typeof modelOn>[0]) => ({ threads: 3, models: { tiny: modelOn(sims) } })
  return withFleet({ sims: [slow], config }, async ({ gateway, sim }) => {
    const clients = await Promise.all(Array.from({ length: 20 }, () => RawClient.connect(gateway.port)))
    for (const client of clients) client.write(stream(30))
    await waitFor('running streams', () => sim.stats().running === 20)
    const answers = Promise.all(clients.map((client) => client.response()))
    const exit = gateway.stop('SIGTERM')
    for (const { body } of await answers) assert.ok(body.toString().endsWith('data: [DONE]\n\n'))
    assert.equal(await exit, 0)
  })
})
