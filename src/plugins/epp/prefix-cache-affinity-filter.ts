import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import type { Candidates, Facts, Filter, ScheduleRequest } from '#contracts/schedule.ts'
import type { Rng } from '#core/clock.ts'
import { keepCandidates } from './keep-candidates.ts'

interface Settings {
  readonly affinityThreshold: number
  readonly explorationProbability: number
  readonly maxTTFTPenaltyMs: number
  readonly peakPrefillThroughput: number
}

/** Keeps endpoints that hold most of the prompt, unless waiting for the best of them costs too much. */
class PrefixCacheAffinityFilter implements Filter {
  readonly #settings: Settings
  readonly #facts: Facts
  readonly #rng: Rng

  constructor(settings: Settings, facts: Facts, rng: Rng) {
    this.#settings = settings
    this.#facts = facts
    this.#rng = rng
  }

  filter(_request: ScheduleRequest, candidates: Candidates): void {
    const { affinityThreshold, explorationProbability, maxTTFTPenaltyMs } = this.#settings
    if (candidates.count <= 1 || affinityThreshold <= 0) return
    if (explorationProbability > 0 && this.#rng() < explorationProbability) return
    if (maxTTFTPenaltyMs > 0 && this.#penaltyMs(candidates) > maxTTFTPenaltyMs) return
    keepCandidates(candidates, (slot) => this.#isSticky(slot), true)
  }

  #isSticky(slot: number): boolean {
    const { matchedBlocks, totalBlocks } = this.#facts
    return totalBlocks > 0 && matchedBlocks[slot]! / totalBlocks >= this.#settings.affinityThreshold
  }

  /** By how much the best of the endpoints that hold the prompt begins later than the best of the others. */
  #penaltyMs({ slots, count }: Candidates): number {
    let sticky = Number.POSITIVE_INFINITY
    let other = Number.POSITIVE_INFINITY
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      const tokens = this.#facts.inFlightTokens[slot]!
      if (this.#isSticky(slot)) sticky = Math.min(sticky, tokens)
      else other = Math.min(other, tokens)
    }
    const hasBoth = sticky < Number.POSITIVE_INFINITY && other < Number.POSITIVE_INFINITY
    return hasBoth ? ((sticky - other) / this.#settings.peakPrefillThroughput) * 1000 : 0
  }
}

/** Keeps requests where their prefix is. */
export const prefixCacheAffinityFilter = definePlugin({
  point: 'filter',
  type: 'prefix-cache-affinity-filter',
  origin: 'epp',
  stability: 'stable',
  summary: 'Keeps endpoints that hold most of the prompt, unless the others would answer much sooner.',
  reads: ['matchedBlocks', 'totalBlocks', 'inFlightTokens'],
  parameters: z.strictObject({
    affinityThreshold: z
      .number()
      .min(0)
      .max(1)
      .default(0.8)
      .describe('Part of the prompt that an endpoint must hold to be kept.'),
    explorationProbability: z.number().min(0).max(1).default(0).describe('Chance that all are kept nevertheless.'),
    maxTTFTPenaltyMs: z
      .number()
      .min(0)
      .max(86_400_000)
      .default(18_000)
      .describe('All are kept when the best holder would begin later than the best other one by more, ms; 0 never.'),
    ttftSource: z
      .string()
      .refine((source) => source === 'prefillThroughput', {
        message: 'must be prefillThroughput: this version has no latency predictor',
      })
      .default('prefillThroughput')
      .describe('How the time to the first token is estimated.'),
    peakPrefillThroughput: z
      .number()
      .positive()
      .max(1e9)
      .default(15_928)
      .describe('Prompt tokens that an endpoint computes in a second, at best.'),
  }),
  create: (settings, { facts, rng }) => new PrefixCacheAffinityFilter(settings, facts, rng),
})
