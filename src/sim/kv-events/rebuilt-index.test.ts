import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decode } from '@msgpack/msgpack'
import fc from 'fast-check'
import type { StoredBlocks } from '#sim/kv-event-sink.ts'
import { EngineModel } from '#sim/model/engine-model.ts'
import type { EngineCall } from '#sim/model/engine-request.ts'
import { apply, randomScript, type Script } from '#sim/model/engine-script.ts'
import { type BlockNamer, blockNamer } from './block-namer.ts'
import { BatchEncoder } from './encoding.ts'
import { type KvEventOptions, resolveKvEventOptions } from './options.ts'
import { RankEvents } from './rank-events.ts'

const stepEpochMs = 1_795_254_000_000

/** Tokens that stand for a block: any function of its hash will do, since equal hashes mean equal texts. */
function tokensOf(hash: number, blockSize: number): number[] {
  return Array.from({ length: blockSize }, (_, i) => (hash % 1_000_003) * (i + 1))
}

function keyOf(name: unknown): string {
  if (name instanceof Uint8Array) return Buffer.from(name).toString('hex')
  return String(BigInt.asUintN(64, BigInt(name as number | bigint)))
}

/** How often each block is announced and not removed, from the bytes of the batches and nothing else. */
class NameCounts {
  readonly counts = new Map<string, number>()
  announcedAgain = 0

  apply(payload: Buffer): void {
    const [, events] = decode(payload, { useBigInt64: true }) as [number, unknown[], number]
    for (const event of events) this.#applyEvent(event)
  }

  #applyEvent(event: unknown): void {
    const [type, names] = Array.isArray(event)
      ? [event[0], event[1]]
      : [Reflect.get(event as object, 'type'), Reflect.get(event as object, 'block_hashes')]
    if (type === 'AllBlocksCleared') return this.counts.clear()
    for (const key of (names as readonly unknown[]).map(keyOf)) {
      const count = (this.counts.get(key) ?? 0) + (type === 'BlockStored' ? 1 : -1)
      assert.ok(count >= 0, `${key} was removed more often than announced`)
      if (type === 'BlockStored' && count > 1) this.announcedAgain++
      if (count === 0) this.counts.delete(key)
      else this.counts.set(key, count)
    }
  }
}

const nothing = { steps: 0, removals: 0, clears: 0, announcedAgain: 0 }

/** Plays a script and compares, after every step, what an index knows from the messages with what the cache can find. */
function play({ settings, actions }: Script, options: KvEventOptions, total: typeof nothing): void {
  const resolved = resolveKvEventOptions(options, { engine: 'vllm', host: '127.0.0.1', ranks: 1 })
  const nameOf = new Map<number, string>()
  const namer = blockNamer(resolved, (name) => `/adapters/${name}`)
  const stored: BlockNamer['stored'] = (blocks) => {
    const named = namer.stored(blocks)
    blocks.hashes.forEach((hash, i) => nameOf.set(hash, keyOf(named.names[i])))
    return named
  }
  const spied = { stored, removed: (hash: number) => namer.removed(hash), cleared: () => namer.cleared() }
  const events = new RankEvents(0, resolved.encoding, spied)
  const encoder = new BatchEncoder(resolved.encoding)
  const index = new NameCounts()
  const { blockSize } = settings
  const engine = new EngineModel(settings, {
    onStep() {
      total.steps++
      const batch = events.take(stepEpochMs)
      if (batch !== undefined) index.apply(encoder.encode(batch))
      const findable = [...nameOf].filter(([hash]) => engine.cache.find(hash) >= 0).map(([, name]) => name)
      assert.deepEqual([...index.counts.keys()].toSorted(), findable.toSorted())
    },
    onBlocksStored: (call, firstBlock, count) => events.stored(runOf(call, blockSize, { firstBlock, count })),
    onBlockRemoved(hash) {
      total.removals++
      events.removed(hash)
    },
    onCacheCleared() {
      total.clears++
      events.cleared()
    },
  })
  const calls: EngineCall[] = []
  for (const action of actions) apply(engine, action, calls)
  engine.advance(Number.POSITIVE_INFINITY)
  total.announcedAgain += index.announcedAgain
}

function runOf(
  { request }: EngineCall,
  blockSize: number,
  { firstBlock, count }: { readonly firstBlock: number; readonly count: number },
): StoredBlocks {
  const { blockHashes, adapter = -1 } = request
  const hashes = Array.from(blockHashes.subarray(firstBlock, firstBlock + count))
  return {
    rank: 0,
    hashes,
    parentHash: firstBlock === 0 ? undefined : blockHashes[firstBlock - 1],
    tokenIds: Uint32Array.from(hashes.flatMap((hash) => tokensOf(hash, blockSize))),
    blockSize,
    firstBlock,
    adapter: adapter < 0 ? undefined : `adapter-${adapter}`,
    adapterId: adapter < 0 ? undefined : adapter + 1,
    cacheSalt: undefined,
  }
}

const cases = [
  { encoding: 'vllm' },
  { encoding: 'vllm', blockHashes: 'engine' },
  { encoding: 'vllm', blockHashes: 'engine-bytes' },
  { encoding: 'vllm-array' },
  { encoding: 'sglang' },
] as const satisfies readonly KvEventOptions[]

for (const options of cases) {
  test(`who applies all events knows exactly the blocks that the engine finds: ${Object.values(options).join(', ')}`, () => {
    const total = { ...nothing }
    const property = fc.property(fc.nat(), (seed) => play(randomScript(seed, 60), options, total))
    fc.assert(property, { numRuns: 15, seed: 7 })
    for (const [what, count] of Object.entries(total)) assert.ok(count > 0, `no ${what} in any script`)
  })
}
