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
  readonly prompt: readonly Segment[]
  readonly answer: Segment
  readonly blockSize: number
}

/** The arrival of a request with this prompt, which will be answered so. */
export function arrivalOf({ atMs, group, session, prompt, answer, blockSize }: PromptParts): Arrival {
  const promptTokens = prompt.reduce((sum, { tokens }) => sum + tokens, 0)
  const blockHashes = hashSegmentBlocks([...prompt, answer], blockSize, 0)
  const request = { promptTokens, outputTokens: answer.tokens, blockHashes }
  return { atMs, group, request, ...(session === undefined ? {} : { session }) }
}
