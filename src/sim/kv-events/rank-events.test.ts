import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { StoredBlocks } from '#sim/kv-event-sink.ts'
import { blockNamer } from './block-namer.ts'
import type { KvEvent } from './kv-event.ts'
import { type KvEventOptions, resolveKvEventOptions } from './options.ts'
import { RankEvents } from './rank-events.ts'

const server = { engine: 'vllm', host: '127.0.0.1', ranks: 1 }

function rankEvents(options: KvEventOptions = {}, rank = 0): RankEvents {
  const settings = resolveKvEventOptions(options, server)
  return new RankEvents(
    rank,
    settings.encoding,
    blockNamer(settings, (name) => `/adapters/${name}`),
  )
}

function blocks(more: Partial<StoredBlocks>): StoredBlocks {
  const { hashes = [101] } = more
  return {
    rank: 0,
    hashes,
    parentHash: undefined,
    tokenIds: Uint32Array.from({ length: hashes.length * 2 }, (_, i) => i + 1),
    blockSize: 2,
    firstBlock: 0,
    adapter: undefined,
    adapterId: undefined,
    cacheSalt: undefined,
    ...more,
  }
}

function storedOf(events: readonly KvEvent[] | undefined): readonly Extract<KvEvent, { type: 'BlockStored' }>[] {
  return (events ?? []).filter((event) => event.type === 'BlockStored')
}

test('nothing goes out before a step ends, and nothing when nothing happened', () => {
  const events = rankEvents({}, 3)
  assert.equal(events.take(5000), undefined)
  events.cleared()
  events.stored(blocks({}))
  events.removed(101)
  const batch = events.take(5500)
  assert.deepEqual([batch?.timeS, batch?.rank], [5.5, 3])
  assert.deepEqual(
    batch?.events.map(({ type }) => type),
    ['AllBlocksCleared', 'BlockStored', 'BlockRemoved'],
  )
  assert.equal(events.take(6000), undefined)
})

test('clears on an idle engine are bounded', () => {
  const events = rankEvents()
  for (let i = 0; i < 5000; i++) events.cleared()
  assert.equal(events.take(0)?.events.length, 1000)
})

test('an adapter is in the extra keys of every block, a salt in those of block 0', () => {
  const cases = [
    { more: {}, keys: [undefined, undefined] },
    { more: { cacheSalt: 's' }, keys: [['s'], undefined] },
    { more: { adapter: 'sql', adapterId: 4 }, keys: [['sql'], ['sql']] },
    { more: { adapter: 'sql', adapterId: 4, cacheSalt: 's' }, keys: [['sql', 's'], ['sql']] },
    { more: { cacheSalt: 's', firstBlock: 2, parentHash: 7 }, keys: [undefined, undefined] },
  ]
  for (const { more, keys } of cases) {
    const events = rankEvents()
    events.stored(blocks({ hashes: [11, 12], ...more }))
    const [stored] = storedOf(events.take(0)?.events)
    assert.deepEqual(stored?.extraKeys, keys)
    assert.deepEqual([stored?.groupIdx, stored?.cacheSpecKind], [0, 'full_attention'])
  }
})

test('SGLang announces block by block, each with the one before as its parent', () => {
  const events = rankEvents({ encoding: 'sglang' })
  events.stored(blocks({ hashes: [11, 12, 13], parentHash: 10, adapter: 'sql', adapterId: 4 }))
  events.removed(12)
  const taken = events.take(0)?.events ?? []
  assert.deepEqual(
    storedOf(taken).map(({ names, parent, tokenIds, loraId }) => [names, parent, [...tokenIds], loraId]),
    [
      [[11n], 10n, [1, 2], undefined],
      [[12n], 11n, [3, 4], undefined],
      [[13n], 12n, [5, 6], undefined],
    ],
  )
  assert.deepEqual(taken.at(-1), { type: 'BlockRemoved', names: [12n], medium: 'GPU' })
})

test('SGLang announces as many blocks as a long prompt has in pages of one token', () => {
  const rank = rankEvents({ encoding: 'sglang' })
  const hashes = Array.from({ length: 300_000 }, (_, i) => i)
  rank.stored(blocks({ hashes, blockSize: 1, tokenIds: new Uint32Array(hashes.length) }))
  assert.equal(rank.take(0)?.events.length, hashes.length)
})

test('engine names: removals and later runs name a block as it was announced, until its last copy is gone', () => {
  for (const options of [
    { blockHashes: 'engine' },
    { blockHashes: 'engine-bytes' },
    { blockHashes: 'engine', encoding: 'sglang' },
  ] as const) {
    const events = rankEvents(options)
    events.stored(blocks({ hashes: [11, 12] }))
    events.stored(blocks({ hashes: [12], parentHash: 11, firstBlock: 1, tokenIds: Uint32Array.of(3, 4) }))
    for (let i = 0; i < 3; i++) events.removed(12)
    const taken = events.take(0)?.events ?? []
    const [first, second] = storedOf(taken).flatMap(({ names }) => names)
    const again = storedOf(taken).at(-1)
    assert.deepEqual([again?.parent, again?.names], [first, [second]])
    const removed = taken.filter((event) => event.type === 'BlockRemoved')
    assert.deepEqual(
      removed.map(({ names }) => names),
      [[second], [second]],
    )
  }
})

test('engine names are the last eight bytes in vLLM and the first eight, signed, in SGLang', () => {
  const tokenIds = Uint32Array.from({ length: 16 }, (_, i) => i + 1)
  const cases = [
    { options: { hashSeed: '0' }, name: 3236607068019569386n },
    { options: { encoding: 'sglang' }, name: 8635429971592222890n },
  ] as const
  for (const { options, name } of cases) {
    const events = rankEvents({ blockHashes: 'engine', ...options })
    events.stored(blocks({ tokenIds, blockSize: 16 }))
    assert.deepEqual(storedOf(events.take(0)?.events)[0]?.names, [name])
  }
})

test('engine names: a request that runs through a clear goes on from what it had', () => {
  const events = rankEvents({ blockHashes: 'engine' })
  events.stored(blocks({ hashes: [11] }))
  events.cleared()
  events.stored(blocks({ hashes: [12], parentHash: 11, firstBlock: 1, tokenIds: Uint32Array.of(3, 4) }))
  events.removed(11)
  const taken = events.take(0)?.events ?? []
  assert.deepEqual(
    taken.map(({ type }) => type),
    ['BlockStored', 'AllBlocksCleared', 'BlockStored'],
  )
  const [before, after] = storedOf(taken)
  assert.equal(after?.parent, before?.names[0])
})

test('options that make no sense are refused by name', () => {
  const cases: [KvEventOptions, number, RegExp][] = [
    [{ port: -1 }, 1, /ports of kvEvents/],
    [{ replayPort: 70_000 }, 1, /ports of kvEvents/],
    [{ endpoint: 'inproc://x' }, 1, /neither tcp/],
    [{ endpoint: 'ipc:///tmp/kv' }, 2, /one rank only/],
    [{ bufferSteps: 0 }, 1, /bufferSteps/],
    [{ hwm: 0.5 }, 1, /hwm/],
  ]
  for (const [options, ranks, problem] of cases)
    assert.throws(() => resolveKvEventOptions(options, { ...server, ranks }), problem)
  assert.equal(resolveKvEventOptions({ port: 0 }, { ...server, host: '::1' }).endpoint, 'tcp://[::1]:0')
})

test('the encoding is that of the engine unless another is wanted', () => {
  const encodingOf = (engine: string, options: KvEventOptions = {}): string =>
    resolveKvEventOptions(options, { ...server, engine }).encoding
  assert.deepEqual(
    [encodingOf('vllm'), encodingOf('sglang'), encodingOf('tgi'), encodingOf('sglang', { encoding: 'vllm-array' })],
    ['vllm', 'sglang', 'vllm', 'vllm-array'],
  )
})
