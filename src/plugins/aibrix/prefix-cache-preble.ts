import { z } from 'zod'
import type { LoadColumns } from '#contracts/load.ts'
import { definePlugin } from '#contracts/plugin.ts'
import type { Candidates, Facts, ScheduleRequest } from '#contracts/schedule.ts'
import { type Signal, strategyScorer } from './strategy.ts'
import { WindowLoad } from './window-load.ts'

/** Of an endpoint that has not been observed: 32 billion parameters on two accelerators (routing-algorithms.md 1). */
const usualPrefillUs = 52.5
const usualTokenMs = 15

const orElse = (value: number, usual: number): number => (Number.isNaN(value) ? usual : value)

interface Settings {
  readonly windowMs: number
  readonly decodingLength: number
  readonly exploitShare: number
}

/**
 * The cost of AIBrix's Preble (aibrix-and-others.md A2.6, routing-algorithms.md 2.7): requests whose prompt is mostly
 * cached go to the holder of the longest match with the least work given to it of late, others where that work and
 * their own is least. AIBrix has fixed curves for two accelerators; here the endpoints' own observed speeds count.
 */
class PrebleCost implements Signal {
  readonly #settings: Settings
  readonly #facts: Facts
  readonly #given: WindowLoad
  #loads: LoadColumns | undefined = undefined

  constructor(settings: Settings, facts: Facts) {
    this.#settings = settings
    this.#facts = facts
    this.#given = new WindowLoad(facts.cachedTokens.length, settings.windowMs)
  }

  read({ nowMs }: ScheduleRequest, { slots, count, loads }: Candidates, out: Float64Array): void {
    const { cachedTokens, promptTokens } = this.#facts
    this.#loads = loads
    let longest = 0
    for (let i = 0; i < count; i++) longest = Math.max(longest, cachedTokens[slots[i]!]!)
    const isExploited = longest > this.#settings.exploitShare * promptTokens
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      const given = this.#given.at(slot, nowMs)
      if (!isExploited) out[i] = given + this.#ownMs(slot, loads)
      else out[i] = cachedTokens[slot] === longest ? given : Number.NaN
    }
  }

  placed({ nowMs }: ScheduleRequest, slot: number): undefined {
    if (this.#loads !== undefined) this.#given.add(slot, this.#ownMs(slot, this.#loads), nowMs)
  }

  /** Time that the request costs an endpoint: prefill of what it misses, and the guessed decode. */
  #ownMs(slot: number, { prefillUs, tpotMs }: LoadColumns): number {
    const { cachedTokens, promptTokens } = this.#facts
    const missed = promptTokens - cachedTokens[slot]!
    const prefillMs = (missed * orElse(prefillUs[slot]!, usualPrefillUs)) / 1000
    return prefillMs + this.#settings.decodingLength * orElse(tpotMs[slot]!, usualTokenMs)
  }
}

/** AIBrix strategy `prefix-cache-preble`. */
export const aibrixPreble = definePlugin({
  point: 'scorer',
  type: 'aibrix-prefix-cache-preble',
  stability: 'beta',
  origin: 'aibrix',
  summary: 'AIBrix strategy `prefix-cache-preble`: follows long matches, and balances the work given out of late.',
  reads: ['cachedTokens', 'promptTokens', 'prefillUs', 'tpotMs'],
  parameters: z.strictObject({
    windowMs: z
      .number()
      .positive()
      .max(3_600_000)
      .default(180_000)
      .describe('Work given out within this time, in milliseconds, counts.'),
    decodingLength: z.number().min(0).max(1_000_000).default(45).describe('Output tokens that a request is taken for.'),
    exploitShare: z
      .number()
      .min(0)
      .max(1)
      .default(0.5)
      .describe('Requests of whose prompt more than this share is cached somewhere go there.'),
  }),
  create: (settings, { facts }) => strategyScorer(new PrebleCost(settings, facts), 'least'),
})
