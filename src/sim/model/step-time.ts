/**
 * What one engine step costs, by the formula of the reference (model-servers.md 6.3), for D decoding requests with c_i tokens
 * of context, prefill chunks of t_j new tokens after s_j present ones, and T = |D| + sum of t_j tokens in all:
 *
 *   fixed + max(weights, perToken * T) + perContextToken * sum(c_i) + perPair * sum(t_j * (s_j + t_j / 2))
 *         + perSequence * (|D| + chunks)
 */
export interface StepCost {
  /** Launching, sampling and all-reduce of one step. */
  readonly fixedMs: number
  /** Reading the weights once: the floor of a small step. */
  readonly weightsMs: number
  /** Computing one token, where that is more than the floor. */
  readonly perTokenUs: number
  /** Reading one token's keys and values in decode attention. */
  readonly perContextTokenNs: number
  /** Attention of one new token to one other token in prefill. */
  readonly perPairNs: number
  /** Scheduling and sampling of one sequence in the step. */
  readonly perSequenceUs: number
}

/** What one step works on. All are whole numbers, `pairs` a multiple of one half, so sums of them are exact. */
export interface StepWork {
  /** Requests that compute one token: decoding ones, and prompts with one token left. */
  decodes: number
  /** Tokens of context of the decodes, together. */
  contextTokens: number
  /** Prefill chunks and their new tokens. */
  chunks: number
  chunkTokens: number
  /** Sum of t * (s + t / 2) over the chunks. */
  pairs: number
}

/** How long a step takes, in milliseconds. */
export function stepMs(cost: StepCost, work: StepWork): number {
  const tokens = work.decodes + work.chunkTokens
  const linearMs = Math.max(cost.weightsMs, (cost.perTokenUs * tokens) / 1e3)
  const attentionMs = (cost.perContextTokenNs * work.contextTokens + cost.perPairNs * work.pairs) / 1e6
  return cost.fixedMs + linearMs + attentionMs + (cost.perSequenceUs * (work.decodes + work.chunks)) / 1e3
}
