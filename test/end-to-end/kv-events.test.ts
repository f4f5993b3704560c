import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { SimOptions } from '#sim/options.ts'
import { type Sim, startSim } from '#sim/server.ts'
import { freePorts } from './support/ports.ts'
import { run } from './support/run.ts'

const root = join(import.meta.dirname, '..', '..')
const python = join(process.env.INFER_GATEWAY_TEST_VENV ?? join(root, '.cache', 'venv'), 'bin', 'python')
const skip = existsSync(python) ? false : 'pyzmq is not installed: scripts/install-test-tools'
const script = join(import.meta.dirname, 'support', 'kv_events_client.py')

const blockSize = 16

/** A completion as the Python subscriber saw it. */
interface Seen {
  readonly foreseen: number
  readonly others: readonly number[]
  readonly cached: number
  readonly prompt: number
  readonly gaps: readonly (readonly number[])[]
  readonly batches: readonly (readonly [
    rank: number,
    sequence: number,
    saidRank: number | null,
    kinds: readonly string[],
  ])[]
  readonly stored: readonly {
    readonly names: readonly string[]
    readonly has_parent: boolean
    readonly lora_id: number | null
    readonly lora_name: string | null
    readonly extra_keys: readonly (readonly string[] | null)[] | null
  }[]
}

interface Replay {
  readonly frames: readonly number[]
  readonly delimiters: readonly string[]
  readonly topics: readonly string[]
  readonly sequences: readonly number[]
  readonly end: readonly string[]
}

type Step = readonly [method: string, args?: Readonly<Record<string, unknown>>]

/** Starts a server with events and has the subscriber go through some steps. */
async function follow(options: SimOptions, steps: readonly Step[]): Promise<{ sim: Sim; results: unknown[] }> {
  const [port, replayPort] = await portPairs(options.ranks ?? 1)
  const kvEvents = { port, replayPort, ...options.kvEvents }
  const sim = await startSim({ models: ['tiny'], ttftMs: 2, tpotMs: 1, blockSize, ...options, kvEvents })
  try {
    const client = { encoding: kvEvents.encoding ?? 'vllm', size: options.blockSize ?? blockSize }
    const { code, out, err } = await run(python, [script, sim.url, JSON.stringify({ client, steps })])
    assert.equal(code, 0, err)
    return { sim, results: JSON.parse(out) as unknown[] }
  } finally {
    await sim.close()
  }
}

/** Two runs of ports, one for each rank. */
async function portPairs(ranks: number): Promise<readonly [number, number]> {
  const first = await freePorts.take()
  for (let rank = 1; rank < ranks; rank++) await freePorts.take()
  const second = await freePorts.take()
  for (let rank = 1; rank < ranks; rank++) await freePorts.take()
  return [first, second]
}

async function complete(options: SimOptions, calls: readonly Readonly<Record<string, unknown>>[]): Promise<Seen[]> {
  const { results } = await follow(
    options,
    calls.map((call) => ['complete', call]),
  )
  return results as Seen[]
}

function assertForeseen(seen: readonly Seen[]): void {
  seen.forEach(({ foreseen, cached }, i) => assert.equal(foreseen, cached, `request ${i}`))
}

const system = 'You answer in one short sentence and never apologise. '.repeat(6)

test('what the engine finds of a prompt can be told from its events', { skip }, async () => {
  const seen = await complete({}, [
    { prompt: `${system}What is a gateway?` },
    { prompt: `${system}What is a block?` },
    { prompt: `${system}What is a gateway?` },
    { prompt: 'short' },
    { prompt: `Something else. ${system}` },
    { prompt: `${system}${'and more '.repeat(80)}`, tokens: 40 },
    { prompt: `${system}${'and more '.repeat(80)}` },
  ])
  assertForeseen(seen)
  assert.equal(seen[0]?.cached, 0)
  assert.ok((seen[1]?.cached ?? 0) >= 64 && (seen[2]?.cached ?? 0) >= 64)
  assert.ok(
    seen.flatMap(({ stored }) => stored).every(({ lora_id, lora_name }) => lora_id === null && lora_name === null),
  )
})

test('a fully cached prompt has its last block announced again, with its parent', { skip }, async () => {
  const prompt = 'x'.repeat(4 * blockSize * 3)
  const [first, again] = await complete({}, [
    { prompt, tokens: 1 },
    { prompt, tokens: 1 },
    { prompt, tokens: 1 },
  ])
  assert.deepEqual([first?.stored.length, first?.stored[0]?.names.length, first?.stored[0]?.has_parent], [1, 3, false])
  assert.equal(again?.cached, 2 * blockSize)
  assert.deepEqual(again?.stored, [
    { ...first?.stored[0], names: first?.stored[0]?.names.slice(-1), has_parent: true, extra_keys: [null] },
  ])
})

test('adapters and salts have blocks of their own, and say so', { skip }, async () => {
  const seen = await complete({ adapters: ['sql', 'chat'] }, [
    { prompt: system },
    { prompt: system, model: 'chat' },
    { prompt: system, model: 'chat' },
    { prompt: system, salt: 'tenant-b' },
    { prompt: system, salt: 'tenant-b', model: 'chat' },
    { prompt: system, salt: 'tenant-b', model: 'chat' },
    { prompt: system },
  ])
  assertForeseen(seen)
  assert.deepEqual(
    seen.map(({ cached }) => cached > 0),
    [false, false, true, false, false, true, true],
  )
  const [stored] = seen[4]?.stored ?? []
  assert.deepEqual([stored?.lora_name, stored?.lora_id], ['chat', 2])
  assert.deepEqual(stored?.extra_keys?.slice(0, 2), [['chat', 'tenant-b'], ['chat']])
})

test('blocks that gave way are known to have gone', { skip }, async () => {
  const tails = ['word '.repeat(20), 'word '.repeat(50), 'other '.repeat(90)]
  const prompts = Array.from({ length: 40 }, (_, i) => `${[0, 1, 0, 2, 3][i % 5]}${system}${tails[i % 3]}`)
  const seen = await complete(
    { kvBlocks: 40 },
    prompts.map((prompt) => ({ prompt, tokens: 20 })),
  )
  assertForeseen(seen)
  const kinds = seen.flatMap(({ batches }) => batches.flatMap(([, , , events]) => events))
  assert.ok(kinds.includes('BlockRemoved'))
  const hits = seen.filter(({ cached }) => cached > 0).length
  assert.ok(hits > 5 && hits < 35, `${hits} hits`)
})

test('a clear is told with the next step, before what that step stores', { skip }, async () => {
  const { results } = await follow({}, [
    ['complete', { prompt: system }],
    ['reset'],
    ['complete', { prompt: system }],
    ['complete', { prompt: system }],
  ])
  const [first, messages, afterClear, last] = results as [Seen, number, Seen, Seen]
  assert.equal(messages, 0)
  assert.equal(afterClear.cached, 0)
  assert.deepEqual(afterClear.batches[0]?.[3], ['AllBlocksCleared', 'BlockStored'])
  assert.deepEqual(afterClear.stored[0]?.names, first.stored[0]?.names)
  assert.ok(last.cached > 0 && last.cached === last.foreseen)
})

test('messages that were lost are had from a replay', { skip }, async () => {
  const seen = await complete({ kvEvents: { lose: [1, 2, 4, 8] } }, [
    ...Array.from({ length: 8 }, (_, i) => ({ prompt: `${system}${i}${'tail '.repeat(30)}`, tokens: 3 })),
    ...Array.from({ length: 8 }, (_, i) => ({ prompt: `${system}${i}${'tail '.repeat(40)}`, tokens: 3 })),
  ])
  assertForeseen(seen)
  const gaps = seen.flatMap((each) => each.gaps.map(([, from]) => from))
  for (const lost of [1, 4, 8]) assert.ok(gaps.includes(lost), `${lost} in ${gaps.join(' ')}`)
})

test('a replay has all batches from a number on, as far as they are kept, then an end without topic and payload', {
  skip,
}, async () => {
  const prompts = Array.from({ length: 6 }, (_, i) => ['complete', { prompt: `${i}${system}`, tokens: 2 }] as const)
  const { results } = await follow({ kvEvents: { topic: 'kv@here@tiny', bufferSteps: 4 } }, [
    ...prompts,
    ['replay', { start: 0 }],
    ['replay', { start: 5 }],
    ['replay', { start: 1000 }],
  ])
  const [all, tail, none] = results.slice(-3) as Replay[]
  assert.deepEqual(all?.sequences, [2, 3, 4, 5])
  assert.deepEqual(all?.topics, [...Array<string>(4).fill('kv@here@tiny'), ''])
  assert.deepEqual(all?.frames, [4, 4, 4, 4, 4])
  assert.deepEqual(new Set(all?.delimiters), new Set(['']))
  assert.deepEqual(tail?.sequences, [5])
  assert.deepEqual(none?.sequences, [])
  for (const replay of [all, tail, none]) assert.deepEqual(replay?.end, ['', '', 'ffffffffffffffff', ''])
})

test('each data-parallel rank has its own ports, sequence and blocks', { skip }, async () => {
  const { sim, results } = await follow({ ranks: 2 }, [
    ['complete', { prompt: system, rank: 0 }],
    ['complete', { prompt: system, rank: 1 }],
    ['complete', { prompt: system, rank: 1 }],
    ['complete', { prompt: system, rank: 0 }],
    ['sources_page'],
  ])
  const seen = results.slice(0, 4) as Seen[]
  assertForeseen(seen)
  assert.deepEqual(
    seen.map(({ cached }) => cached > 0),
    [false, false, true, true],
  )
  assert.deepEqual(
    seen.slice(0, 2).map(({ batches }) => batches[0]?.slice(0, 3)),
    [
      [0, 0, 0],
      [1, 0, 1],
    ],
  )
  const sources = results[4] as Record<string, Record<string, unknown>>
  assert.deepEqual(Object.keys(sources), ['0', '1'])
  const portOf = (rank: string): number => Number(String(sources[rank]?.endpoint).split(':').at(-1))
  assert.equal(portOf('1'), portOf('0') + 1)
  assert.deepEqual(Object.keys(sources['0'] ?? {}), [
    'enable_kv_cache_events',
    'publisher',
    'endpoint',
    'replay_endpoint',
    'buffer_steps',
    'hwm',
    'max_queue_size',
    'topic',
  ])
  assert.equal(sources['0']?.topic, `kv@127.0.0.1:${sim.port}@tiny`)
})

for (const encoding of ['vllm-array', 'sglang'] as const) {
  test(`the index is the same from events of the ${encoding} form, replays without topic included`, {
    skip,
  }, async () => {
    const prompts = [system, `${system}x`, `other ${system}`, system, `${system}x`]
    const { results } = await follow({ kvEvents: { encoding, lose: [2] } }, [
      ...prompts.map((prompt): Step => ['complete', { prompt }]),
      ['replay', { start: 3 }],
    ])
    assertForeseen(results.slice(0, -1) as Seen[])
    const replay = results.at(-1) as Replay
    assert.equal(replay.frames[0], 3)
    assert.deepEqual(replay.end, ['', 'ffffffffffffffff', ''])
  })
}

for (const blockHashes of ['engine', 'engine-bytes'] as const) {
  test(`names of the kind '${blockHashes}' are what vLLM computes with sha256_cbor`, { skip }, async () => {
    const options = { adapters: ['sql'], kvEvents: { blockHashes, hashSeed: '0' }, kvBlocks: 60 } as const
    const { results } = await follow(options, [
      ['complete', { prompt: system }],
      ['complete', { prompt: system.repeat(3), tokens: 40 }],
      ['complete', { prompt: system, model: 'sql', salt: 'a' }],
      ['complete', { prompt: system.repeat(3) }],
      ['recompute', { seed: '0', paths: { sql: '/adapters/sql' } }],
    ])
    assertForeseen(results.slice(0, 4) as Seen[])
    const { wrong, checked } = results[4] as { wrong: number; checked: number }
    assert.equal(wrong, 0)
    assert.ok(checked > 20, `${checked} names`)
  })
}
