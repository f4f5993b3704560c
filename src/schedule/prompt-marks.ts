import type { PromptMarks } from '#contracts/decision-record.ts'
import type { PromptChain } from '#contracts/schedule.ts'

/** Blocks at which a chain is marked: each of the first eight, then an eighth more each time. */
const positions: readonly number[] = positionsUntil(4096)

function positionsUntil(most: number): readonly number[] {
  const found: number[] = []
  for (let at = 1; at <= most; at += Math.max(1, Math.floor(at / 8))) found.push(at)
  return found
}

/** Numbers of blocks at which a chain of so many is marked, ascending; the last one is where it ends. About 60 at most. */
export function markedBlocks(blocks: number): readonly number[] {
  const inside = positions.filter((at) => at < blocks)
  return blocks > 0 ? [...inside, blocks] : inside
}

/**
 * What is kept of a prompt, so that one can tell how much two prompts share, to within an eighth of it, and nothing else.
 * Undefined for a chain without blocks.
 */
export function marksOf({ chain: { hashes, blocks }, blockTokens }: PromptChain): PromptMarks | undefined {
  if (blocks === 0) return undefined
  return { blockTokens, blocks, hashes: markedBlocks(blocks).map((at) => hashes[2 * (at - 1)]!) }
}
