import type { Arrival } from '#lab/virtual-fleet.ts'
import { hashSegmentBlocks, type Segment } from '#sim/model/block-hash.ts'

/** Segment seeds of one kind lie together: kinds never share text. */
const kindRange = 2 ** 26

/** What a segment is; a part of its seed. */
export const segmentKind = { system: 0, prefix: 1, document: 2, question: 3, answer: 4, trace: 5 } as const

/** A stretch of text that is the same wherever kind and number are. */
export function segment(kind: (typeof segmentKind)[keyof typeof segmentKind], number: number, tokens: number): Segment {
  return { seed: kind * kindRange + number, tokens }
}

/** A prompt and its answer as text that is named, not spelled out. */
export interface PromptParts {
  readonly atMs: number
  readonly group: number
  readonly session?: number
  readonly tenant?: number
  /** The adapter asked for; without it the base model. */
  readonly adapter?: number
  readonly prompt: readonly Segment[]
  readonly answer: Segment
  readonly blockSize: number
}

/** The arrival of a request with this prompt, which will be answered so. Adapters share no blocks. */
export function arrivalOf({ prompt, answer, blockSize, adapter, ...others }: PromptParts): Arrival {
  const promptTokens = prompt.reduce((sum, { tokens }) => sum + tokens, 0)
  const blockHashes = hashSegmentBlocks([...prompt, answer], blockSize, adapter === undefined ? 0 : adapter + 1)
  const asked = { promptTokens, outputTokens: answer.tokens, blockHashes }
  return { ...others, prompt, answer, request: adapter === undefined ? asked : { ...asked, adapter } }
}
