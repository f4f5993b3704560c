import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRng } from '#core/clock.ts'
import type { SimOptions } from './options.ts'
import { type Sim, startSim } from './server.ts'
import { eventsOf, openRaw, post, readRaw, until } from './test-client.ts'

async function withSim(options: SimOptions, run: (sim: Sim) => Promise<void>) {
  const sim = await startSim({ models: ['tiny'], ttftMs: 20, tpotMs: 5, ...options })
  try {
    await run(sim)
  } finally {
    await sim.close()
  }
}

const LONG = { model: 'tiny', prompt: 'x', max_tokens: 10_000 }

test('a client that leaves frees the engine at once, in every phase', async () => {
  const phases = [
    { name: 'unary, running', body: LONG, holds: (sim: Sim) => sim.stats().outputTokens > 0 },
    { name: 'before the first token', body: { ...LONG, stream: true }, holds: (sim: Sim) => sim.stats().running === 1 },
    { name: 'mid-stream', body: { ...LONG, stream: true }, holds: (sim: Sim) => sim.stats().outputTokens > 2 },
  ]
  for (const { name, body, holds } of phases) {
    for (const leave of ['destroy', 'resetAndDestroy', 'end'] as const) {
      await withSim({}, async (sim) => {
        const socket = await openRaw(sim, '/v1/completions', body)
        socket.resume()
        await until(() => holds(sim), name)
        socket[leave]()
        await until(() => sim.stats().running === 0, `${name}: free`)
        assert.deepEqual([sim.stats().aborted, sim.stats().usedBlocks], [1, 0])
        socket.destroy()
      })
    }
  }
})

test('a client that leaves while it waits is taken out of the queue', () =>
  withSim({ maxNumSeqs: 1 }, async (sim) => {
    const running = await openRaw(sim, '/v1/completions', LONG)
    await until(() => sim.stats().running === 1, 'one runs')
    const waiting = await openRaw(sim, '/v1/completions', LONG)
    await until(() => sim.stats().waiting === 1, 'one waits')
    waiting.destroy()
    await until(() => sim.stats().waiting === 0, 'nobody waits')
    assert.deepEqual([sim.stats().running, sim.stats().aborted], [1, 1])
    running.destroy()
    await until(() => sim.stats().running === 0, 'nobody runs')
  }))

test('a hundred clients that leave at random moments leave nothing behind', () =>
  withSim({ maxNumSeqs: 40 }, async (sim) => {
    const rng = seededRng(7)
    await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const socket = await openRaw(sim, '/v1/completions', { ...LONG, stream: i % 2 === 0 })
        socket.resume()
        await new Promise((resolve) => setTimeout(resolve, rng() * 150))
        socket.destroy()
      }),
    )
    await until(() => sim.stats().openCalls === 0, 'all are gone')
    const { running, waiting, usedBlocks, aborted, calls } = sim.stats()
    assert.deepEqual({ running, waiting, usedBlocks }, { running: 0, waiting: 0, usedBlocks: 0 })
    assert.equal(aborted, calls)
  }))

test('a late abort keeps the engine busy as long as it says', () =>
  withSim({ abortDelayMs: 300 }, async (sim) => {
    const socket = await openRaw(sim, '/v1/completions', LONG)
    await until(() => sim.stats().running === 1, 'it runs')
    socket.destroy()
    await until(() => sim.stats().openCalls === 0, 'the client is gone')
    assert.equal(sim.stats().running, 1)
    await until(() => sim.stats().running === 0, 'it is aborted')
  }))

test('closing the server ends streams and frees the port', async () => {
  const sim = await startSim({ models: ['tiny'] })
  const socket = await openRaw(sim, '/v1/completions', { ...LONG, stream: true })
  await until(() => sim.stats().running === 1, 'it runs')
  const reading = readRaw(socket, 1_000)
  await sim.close()
  assert.notEqual((await reading).end, 'open')
  assert.equal(sim.stats().running, 0)
  const again = await startSim({ models: ['tiny'], port: sim.port })
  await again.close()
})

test('streams are paced by token, and many at once lose no event', () =>
  withSim({ ttftMs: 30, tpotMs: 5 }, async (sim) => {
    const startMs = performance.now()
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        post(sim, '/v1/completions', { model: 'tiny', prompt: `number ${i}`, max_tokens: 40, stream: true }),
      ),
    )
    assert.ok(performance.now() - startMs >= 30 + 39 * 5 - 2)
    for (const { text } of answers) assert.equal(eventsOf(text).length, 41)
  }))
