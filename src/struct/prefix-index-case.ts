/** What tests of the prefix index have in common. */
import { type BlockChain, PrefixIndex, prefixIndexMemory, prefixIndexSlots } from './prefix-index.ts'

export const blockTokens = 64

/** Chains whose first `shared` blocks are those of the family, the rest their own. */
export function chainOf(family: number, shared: number, own: number, tail: number): BlockChain {
  const blocks = shared + tail
  const hashes = new Int32Array(2 * blocks)
  for (let i = 0; i < blocks; i++) {
    hashes[2 * i] = scramble((i < shared ? family : 1000 + own) * 4096 + i)
    hashes[2 * i + 1] = scramble(~(hashes[2 * i] as number) ^ i)
  }
  return { hashes, blocks }
}

export function scramble(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x7feb352d)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b | 0)
  return mixed ^ (mixed >>> 16)
}

export function indexOf(blocks: number): PrefixIndex {
  return new PrefixIndex(prefixIndexMemory({ blocks, blockTokens }))
}

export function slotsOf(...slots: number[]): { slots: number[]; count: number } {
  return { slots, count: slots.length }
}

export function newMatch(): { matched: Int32Array; inUse: Int32Array } {
  return { matched: new Int32Array(prefixIndexSlots), inUse: new Int32Array(prefixIndexSlots) }
}

/** Matched blocks of each slot. */
export function matchedOf(index: PrefixIndex, chain: BlockChain, ...slots: number[]): number[] {
  const result = newMatch()
  index.match(chain, slotsOf(...slots), result)
  return slots.map((slot) => result.matched[slot] as number)
}

/** The chain just dispatched, with the cells of its blocks. */
export function withCells(index: PrefixIndex, { hashes, blocks }: BlockChain): BlockChain {
  const own = new Int32Array(4 * blocks)
  own.set(hashes.subarray(0, 2 * blocks))
  index.keepCells(own, 2 * blocks)
  return { hashes: own, blocks, cellsAt: 2 * blocks }
}

export function serve(index: PrefixIndex, chain: BlockChain, slot: number): void {
  index.dispatch(chain, slot, matchedOf(index, chain, slot)[0] as number)
  index.confirm(chain, slot)
  index.release(chain, slot)
}
