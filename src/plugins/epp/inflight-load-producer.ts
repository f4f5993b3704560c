import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import type { Candidates, Facts, Placement, Producer, ScheduleRequest } from '#contracts/schedule.ts'

interface Settings {
  readonly addEstimatedOutputTokens: boolean
  readonly outputRatio: number
  readonly maxEstimatedOutputTokens: number
}

/**
 * Tokens in flight per endpoint, and those that a request would add to them: of its prompt what the endpoint does not
 * hold, in whole blocks as far as the prompt was cut into blocks (endpoint-picker.md 4.6). They leave with the first
 * token, as the endpoint table counts them for all threads; with output tokens estimated they stay to the end, and
 * each thread counts its own.
 */
class InflightLoadProducer implements Producer {
  readonly #settings: Settings
  readonly #facts: Facts
  /** Tokens of this thread's requests by slot, when output is counted. */
  readonly #own: Float64Array

  constructor(settings: Settings, facts: Facts) {
    this.#settings = settings
    this.#facts = facts
    this.#own = new Float64Array(settings.addEstimatedOutputTokens ? facts.inFlightTokens.length : 0)
  }

  produce(request: ScheduleRequest, { slots, count, loads }: Candidates): void {
    const { inFlightTokens, requestTokens } = this.#facts
    const countsOutput = this.#settings.addEstimatedOutputTokens
    const output = this.#outputTokens(request)
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      inFlightTokens[slot] = countsOutput ? this.#own[slot]! : loads.uncachedTokens[slot]!
      requestTokens[slot] = this.#uncachedTokens(slot) + output
    }
  }

  placed(_request: ScheduleRequest, slot: number): Placement | undefined {
    if (!this.#settings.addEstimatedOutputTokens) return undefined
    const tokens = this.#facts.requestTokens[slot]!
    this.#own[slot]! += tokens
    return {
      ended: () => {
        this.#own[slot] = Math.max(0, this.#own[slot]! - tokens)
      },
    }
  }

  #uncachedTokens(slot: number): number {
    const { promptTokens, matchedBlocks, totalBlocks, blockTokens } = this.#facts
    if (totalBlocks === 0) return promptTokens
    const uncachedBlocks = Math.max(0, totalBlocks - matchedBlocks[slot]!)
    return uncachedBlocks * blockTokens + Math.max(0, promptTokens - totalBlocks * blockTokens)
  }

  #outputTokens({ maxTokens }: ScheduleRequest): number {
    const { addEstimatedOutputTokens, outputRatio, maxEstimatedOutputTokens } = this.#settings
    if (!addEstimatedOutputTokens) return 0
    const estimate = Math.round(this.#facts.promptTokens * outputRatio)
    const asked = maxTokens === undefined || maxTokens <= 0 ? Number.POSITIVE_INFINITY : maxTokens
    return Math.min(estimate, asked, maxEstimatedOutputTokens)
  }
}

/** Counts the tokens in flight. */
export const inflightLoadProducer = definePlugin({
  point: 'producer',
  type: 'inflight-load-producer',
  origin: 'epp',
  stability: 'stable',
  summary: 'Counts the tokens in flight at each endpoint, and those that a request would add.',
  reads: ['uncachedTokens', 'promptTokens', 'matchedBlocks', 'totalBlocks', 'blockTokens'],
  writes: ['inFlightTokens', 'requestTokens'],
  parameters: z.strictObject({
    addEstimatedOutputTokens: z
      .boolean()
      .default(false)
      .describe('Whether an estimate of the output is counted too, up to the end of the answer, by each thread alone.'),
    outputRatio: z.number().min(0).max(1000).default(1.5).describe('Output tokens per prompt token, for the estimate.'),
    maxEstimatedOutputTokens: z
      .int()
      .min(0)
      .max(1e9)
      .default(1e9)
      .describe('Greatest estimate; the `max_tokens` of the request bounds it too.'),
    syncCrossReplicaState: z.boolean().default(true).describe('Ignored: replicas share no state yet.'),
  }),
  caution: ({ addEstimatedOutputTokens }) =>
    addEstimatedOutputTokens ? 'with output tokens estimated, each thread counts its own requests only' : undefined,
  create: (settings, { facts }) => new InflightLoadProducer(settings, facts),
})
