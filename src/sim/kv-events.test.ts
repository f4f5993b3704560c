import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decode } from '@msgpack/msgpack'
import { Dealer } from 'zeromq'
import { type Sim, startSim } from './server.ts'
import { get, pick, post } from './test-client.ts'

const base = { models: ['tiny'], ttftMs: 1, tpotMs: 1, blockSize: 4, maxModelLen: 512 } as const

/** The payload of the first message a rank published, decoded by a library. */
async function firstBatch(sim: Sim): Promise<unknown> {
  const dealer = new Dealer({ linger: 0, receiveTimeout: 5000 })
  try {
    dealer.connect(sim.kvEventSources()[0]?.replayEndpoint ?? '')
    await dealer.send([Buffer.alloc(0), Buffer.alloc(8)])
    const frames = await dealer.receive()
    return decode(frames.at(-1) ?? new Uint8Array(0), { useBigInt64: true })
  } finally {
    dealer.close()
  }
}

test('a server without events has no sources', async () => {
  const sim = await startSim(base)
  try {
    assert.equal(await get(sim, '/kv_event_sources'), '{}')
    assert.equal(await get(sim, '/sim/kv-events'), '[]')
    assert.deepEqual(sim.kvEventSources(), [])
  } finally {
    await sim.close()
  }
})

test('SGLang publishes in its own form, page by page', async () => {
  const sim = await startSim({ ...base, engine: 'sglang', kvEvents: { port: 0, replayPort: 0 } })
  try {
    await post(sim, '/v1/completions', { model: 'tiny', prompt: 'x'.repeat(40), max_tokens: 1 })
    const events = pick(await firstBatch(sim), 1) as readonly unknown[]
    assert.deepEqual(
      events.map((event) => [pick(event, 0), pick(event, 3), pick(event, 4), pick(event, 6)]),
      Array.from({ length: 2 }, () => ['BlockStored', Array<number>(4).fill(0x78787878), 4, 'GPU']),
    )
    assert.equal(pick(events, 0, 2), null)
    assert.equal(pick(events, 1, 2), pick(events, 0, 1, 0))
  } finally {
    await sim.close()
  }
})

test('a clear is refused while a request holds blocks', async () => {
  const sim = await startSim({ ...base, tpotMs: 20 })
  try {
    const long = post(sim, '/v1/completions', { model: 'tiny', prompt: 'x'.repeat(40), max_tokens: 20 })
    while (sim.stats().usedBlocks === 0) await get(sim, '/health')
    assert.equal((await post(sim, '/reset_prefix_cache', {})).text, '{"success":false}')
    await long
    assert.equal((await post(sim, '/reset_prefix_cache', {})).text, '{"success":true}')
  } finally {
    await sim.close()
  }
})

test('a server whose event address is taken does not start', async () => {
  const sim = await startSim({ ...base, kvEvents: { port: 0 } })
  try {
    const endpoint = sim.kvEventSources()[0]?.endpoint ?? ''
    await assert.rejects(() => startSim({ ...base, kvEvents: { endpoint } }), /in use/)
  } finally {
    await sim.close()
  }
})
