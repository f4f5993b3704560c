import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BlockChain, PrefixIndex, prefixIndexMemory, prefixIndexSlots } from './prefix-index.ts'

/** What the index believes against a cache that gives up what was used longest ago, as engines have it. */

const blockTokens = 64
const slot = 0

/** Seeded, so that the figures below stay what they are. */
function chances(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return (state >>> 8) / 2 ** 24
  }
}

/** Which prompts come: `beginnings` of 11 blocks, each with one block of its own at the end. */
interface Traffic {
  readonly name: string
  readonly beginnings: number
  /** Blocks that fit. */
  readonly room: number
  /** Which beginning request `i` has. */
  readonly draw: (chance: () => number, beginnings: number, i: number) => number
}

const evenly: Traffic['draw'] = (chance, beginnings) => Math.floor(chance() * beginnings)
const skewed: Traffic['draw'] = (chance, beginnings) => Math.floor(beginnings ** chance()) - 1

const traffics: readonly Traffic[] = [
  { name: 'evenly from three times what fits', beginnings: 100, room: 400, draw: evenly },
  { name: 'evenly from twice what fits', beginnings: 40, room: 240, draw: evenly },
  { name: 'evenly from a little more than fits', beginnings: 20, room: 200, draw: evenly },
  { name: 'mostly the same few of many', beginnings: 200, room: 400, draw: skewed },
  { name: 'in turns', beginnings: 40, room: 280, draw: (_, beginnings, i) => i % beginnings },
]

class LruCache {
  readonly #room: number
  /** Used longest ago first; the end of a prompt before its beginning. */
  readonly #used = new Set<string>()

  constructor(room: number) {
    this.#room = room
  }

  /** Blocks found from the first on. */
  serve(names: readonly string[]): number {
    const miss = names.findIndex((name) => !this.#used.has(name))
    for (const name of names.toReversed()) {
      this.#used.delete(name)
      this.#used.add(name)
    }
    for (const name of this.#used) {
      if (this.#used.size <= this.#room) break
      this.#used.delete(name)
    }
    return miss < 0 ? names.length : miss
  }
}

function sharesOf({ beginnings, room, draw }: Traffic): { readonly foretold: number; readonly found: number } {
  const index = new PrefixIndex(prefixIndexMemory({ blocks: 32_768, blockTokens }))
  index.setCapacity(slot, room * blockTokens)
  const match = { matched: new Int32Array(prefixIndexSlots), inUse: new Int32Array(prefixIndexSlots) }
  const cache = new LruCache(room)
  const chance = chances(7)
  let [foretold, found, total] = [0, 0, 0]
  for (let i = 0; i < 3000; i++) {
    const beginning = draw(chance, beginnings, i)
    const names = Array.from({ length: 12 }, (_, n) => (n < 11 ? `${beginning}.${n}` : `own ${i}`))
    const ids = names.map((_, n) => (n < 11 ? 1 + beginning * 16 + n : 1_000_000 + i))
    const hashes = Int32Array.from(ids.flatMap((id) => [Math.imul(id, 0x9e3779b1), Math.imul(id, 0x85ebca6b)]))
    const chain: BlockChain = { hashes, blocks: names.length }
    index.match(chain, { slots: [slot], count: 1 }, match)
    const held = match.matched[slot] ?? 0
    const hit = cache.serve(names)
    index.dispatch(chain, slot, held)
    index.confirm(chain, slot)
    index.release(chain, slot)
    if (i < 1000) continue
    foretold += held
    found += hit
    total += names.length
  }
  return { foretold: foretold / total, found: found / total }
}

for (const traffic of traffics) {
  test(`agrees with a cache that gives up what was used longest ago: ${traffic.name}`, () => {
    const { foretold, found } = sharesOf(traffic)
    assert.ok(Math.abs(foretold - found) < 0.05, `${foretold.toFixed(3)} foretold, ${found.toFixed(3)} found`)
  })
}
