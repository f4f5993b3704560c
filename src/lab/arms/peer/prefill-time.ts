import type { StepCost } from '#sim/model/step-time.ts'

/** Time to prefill so many tokens behind so many cached ones, ms, without the fixed part of a step (routing-algorithms.md 1). */
export function prefillMs(cost: StepCost, tokens: number, cachedTokens: number): number {
  return (cost.perTokenUs * tokens) / 1e3 + (cost.perPairNs * tokens * (cachedTokens + tokens / 2)) / 1e6
}
