import { encode } from '@msgpack/msgpack'
import { manualClock } from '#core/manual-clock.ts'
import { PrefixIndex, type PrefixMatch, prefixIndexMemory, prefixIndexSlots } from '#struct/prefix-index.ts'
import { keysOfTokens } from '#struct/token-chain.ts'
import { EndpointBlocks } from './endpoint-blocks.ts'
import { EventFollower, type EventState } from './event-follower.ts'

export const caseBlockTokens = 16

/** Tokens of block `n` of text `text`, for tests. */
export function blockTokens(text: number, n: number): number[] {
  return Array.from({ length: caseBlockTokens }, (_, i) => text * 100_000 + n * 100 + i)
}

/** The first and last block, and what else the event says. */
type StoredRange = readonly [from: number, to: number, more?: object]

/** A payload that stores blocks `from` to `to` of a text. Names are `text * 1000 + n`. */
export function stored(timeS: number, text: number, ...[from, to, more = {}]: StoredRange): Uint8Array {
  const indexes = Array.from({ length: to - from + 1 }, (_, i) => from + i)
  const event = {
    type: 'BlockStored',
    block_hashes: indexes.map((n) => text * 1000 + n),
    parent_block_hash: from === 0 ? null : text * 1000 + from - 1,
    token_ids: indexes.flatMap((n) => blockTokens(text, n)),
    block_size: caseBlockTokens,
    lora_id: null,
    medium: 'GPU',
    lora_name: null,
    ...more,
  }
  return encode([timeS, [event], 0])
}

/** A payload that removes one block. */
export function removed(timeS: number, text: number, n: number, medium = 'GPU'): Uint8Array {
  return encode([timeS, [{ type: 'BlockRemoved', block_hashes: [text * 1000 + n], medium }], 0])
}

/** A payload that clears everything. */
export function cleared(timeS: number): Uint8Array {
  return encode([timeS, [{ type: 'AllBlocksCleared' }], 0])
}

/** An index with one endpoint in slot 3, and how many blocks of a text it holds there. */
export class BlocksCase {
  readonly index = new PrefixIndex(prefixIndexMemory({ blocks: 4096, blockTokens: caseBlockTokens }))
  readonly blocks = new EndpointBlocks(this.index, 3)
  readonly #match: PrefixMatch = {
    matched: new Int32Array(prefixIndexSlots),
    inUse: new Int32Array(prefixIndexSlots),
  }

  held(text: number, count = 8, adapter = '', extras = ''): number {
    const tokens = Array.from({ length: count }, (_, n) => blockTokens(text, n)).flat()
    const hashes = keysOfTokens(tokens, adapter, extras)
    this.index.match({ hashes, blocks: count }, { slots: [3], count: 1 }, this.#match)
    return this.#match.matched[3] ?? -1
  }
}

/** A follower whose sockets are played by the test. */
export class FollowerCase {
  readonly clock = manualClock()
  readonly known = new BlocksCase()
  readonly states: EventState[] = []
  /** What was asked for, and not yet dropped. */
  readonly asked: number[] = []
  readonly follower: EventFollower

  constructor(hasReplay = true) {
    this.follower = new EventFollower({
      clock: this.clock,
      blocks: this.known.blocks,
      hasReplay,
      onBatch: () => {},
      onState: (state) => this.states.push(state),
    })
    this.follower.use({
      replay: (from) => this.asked.push(from),
      endReplay: () => {},
      close: () => {},
    })
  }

  /** Answers a replay with these batches. */
  answer(...batches: readonly (readonly [number, Uint8Array])[]): void {
    for (const [sequence, payload] of batches) this.follower.replayed(sequence, payload)
    this.follower.replayEnded()
  }

  /** Lets time go by, in ticks. */
  wait(durationMs: number): void {
    for (let passed = 0; passed < durationMs; passed += 250) {
      this.clock.advance(250)
      this.follower.tick(this.clock.nowMs())
    }
  }
}
