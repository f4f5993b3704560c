import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { seededRng } from '#core/clock.ts'
import type { Sim } from '#sim/server.ts'
import { quick, startFleet } from './support/fleet.ts'
import { postBytes, RawClient } from './support/raw-client.ts'
import { sleep, waitFor } from './support/wait.ts'

const fleet = await startFleet({
  sims: [
    { ...quick, ttftMs: 60, tpotMs: 4, maxNumSeqs: 20 },
    { ...quick, ttftMs: 60, tpotMs: 4, maxNumSeqs: 20 },
  ],
})
after(() => fleet.close())

const path = '/v1/chat/completions'
const leaves = ['destroy', 'resetAndDestroy', 'end'] as const
type Leave = (typeof leaves)[number]

function request(stream: boolean): Buffer {
  const messages = [{ role: 'user', content: 'hello '.repeat(200) }]
  return postBytes(path, Buffer.from(JSON.stringify({ model: 'tiny', messages, max_tokens: 5000, stream })))
}

const total = (count: (sim: Sim) => number): number => fleet.sims.reduce((sum, sim) => sum + count(sim), 0)
const busy = (): number => total((sim) => sim.stats().running + sim.stats().waiting + sim.stats().openCalls)

/** A client leaves in one of three ways: closing, resetting, or only closing its own side. */
function leave(client: RawClient, how: Leave): void {
  client.socket[how]()
}

const phases = [
  { title: 'before the first token', stream: true, isThere: () => total((sim) => sim.stats().running) > 0 },
  { title: 'in the middle of a stream', stream: true, isThere: () => total((sim) => sim.stats().outputTokens) > 3 },
  { title: 'in the middle of a unary answer', stream: false, isThere: () => total((sim) => sim.stats().running) > 0 },
]

for (const { title, stream, isThere } of phases) {
  test(`a client that leaves ${title} frees the engine at once`, async (t) => {
    const delaysMs: number[] = []
    for (const how of leaves) {
      const before = total((sim) => sim.stats().outputTokens)
      const aborted = total((sim) => sim.stats().aborted)
      const client = await RawClient.connect(fleet.gateway.port)
      client.write(request(stream))
      await waitFor('engine at work', isThere)
      if (title.includes('stream')) await waitFor('tokens', () => total((sim) => sim.stats().outputTokens) > before + 3)
      const leftAtMs = performance.now()
      leave(client, how)
      await waitFor('abort in the engine', () => total((sim) => sim.stats().aborted) > aborted, 1000)
      delaysMs.push(performance.now() - leftAtMs)
      client.close()
      await waitFor('idle engines', () => busy() === 0, 1000)
    }
    t.diagnostic(`${leaves.join(', ')}: ${delaysMs.map((ms) => ms.toFixed(1)).join(', ')} ms`)
    // The promise is 50 ms; the rest is room for a machine that does other things, too.
    assert.ok(Math.max(...delaysMs) < 250, `${delaysMs.map(Math.round).join(', ')} ms`)
  })
}

test('a client that leaves while its request waits in the engine is taken out of the queue', async () => {
  const clients = await Promise.all(Array.from({ length: 60 }, () => RawClient.connect(fleet.gateway.port)))
  for (const client of clients) client.write(request(true))
  await waitFor('full engines', () => total((sim) => sim.stats().waiting) >= 20)
  for (const [i, client] of clients.entries()) leave(client, leaves[i % 3] ?? 'destroy')
  await waitFor('idle engines', () => busy() === 0, 1000)
  for (const client of clients) client.close()
})

test('a client that leaves while it sends its body leaves nothing behind', async () => {
  const before = total((sim) => sim.stats().calls)
  for (const how of leaves) {
    const client = await RawClient.connect(fleet.gateway.port)
    const bytes = request(false)
    client.write(bytes.subarray(0, bytes.length >> 1))
    await sleep(20)
    leave(client, how)
    await waitFor('closed connection', () => client.isEnded, 1000)
    client.close()
  }
  assert.equal(await fleet.gateway.underWay(), 0)
  assert.equal(
    total((sim) => sim.stats().calls),
    before,
  )
})

test('a hundred clients that leave at random moments leave nothing behind within a second', async () => {
  const rng = seededRng(20)
  const started = total((sim) => sim.stats().calls)
  const aborted = total((sim) => sim.stats().aborted)
  const plans = Array.from({ length: 100 }, (_, i) => ({
    bytes: request(i % 4 !== 0),
    how: leaves[i % 3] ?? 'destroy',
    part: i % 10 === 0 ? rng() : 1,
    delayMs: 400 * rng() ** 2,
  }))
  await Promise.all(
    plans.map(async ({ bytes, how, part, delayMs }) => {
      const client = await RawClient.connect(fleet.gateway.port)
      client.write(bytes.subarray(0, Math.floor(bytes.length * part)))
      await sleep(delayMs)
      leave(client, how)
      setTimeout(() => client.close(), 500)
    }),
  )
  await waitFor('idle engines', () => busy() === 0, 1000)
  await waitFor('idle gateway', async () => (await fleet.gateway.underWay()) === 0, 1000)
  assert.equal(total((sim) => sim.stats().aborted) - aborted, total((sim) => sim.stats().calls) - started)
  const page = await fleet.gateway.metrics()
  for (const phase of ['before-first-byte', 'answering']) {
    assert.ok(page.sum('infer_gateway_client_aborts_total', { phase }) > 0, phase)
  }
})
