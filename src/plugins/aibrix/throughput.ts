import type { Candidates, Facts, Placement, ScheduleRequest } from '#contracts/schedule.ts'
import { defineStrategy, type Signal } from './strategy.ts'

/** Over how long tokens are averaged: AIBrix asks Prometheus for the mean of a day. */
const windowMs = 24 * 3_600_000

/** Tokens counted at one endpoint, as of a moment. */
interface Count {
  tokens: number
  atMs: number
}

/**
 * Tokens that went through each endpoint, prompt tokens twice (aibrix-and-others.md A2.3), fading with the age of the
 * request. Counted here, by the thread: in AIBrix the value behind the strategy is always 0.
 */
class TokenFlow implements Signal {
  /** By slot. */
  readonly #counts: (Count | undefined)[] = []
  readonly #facts: Facts

  constructor(facts: Facts) {
    this.#facts = facts
  }

  read({ nowMs }: ScheduleRequest, { slots, count }: Candidates, out: Float64Array): void {
    for (let i = 0; i < count; i++) {
      const counted = this.#counts[slots[i]!]
      out[i] = counted === undefined ? 0 : faded(counted, nowMs)
    }
  }

  placed({ nowMs }: ScheduleRequest, slot: number): Placement {
    const prompt = 2 * this.#facts.promptTokens
    const count = this.#add(slot, prompt, nowMs)
    return {
      ended({ isAnswered, outputTokens }) {
        if (!isAnswered) count.tokens = Math.max(0, count.tokens - prompt)
        else if (outputTokens > 0) count.tokens += outputTokens
      },
    }
  }

  #add(slot: number, tokens: number, nowMs: number): Count {
    const count = this.#counts[slot] ?? { tokens: 0, atMs: nowMs }
    count.tokens = faded(count, nowMs) + tokens
    count.atMs = nowMs
    this.#counts[slot] = count
    return count
  }
}

function faded({ tokens, atMs }: Count, nowMs: number): number {
  return tokens * Math.exp(-Math.max(0, nowMs - atMs) / windowMs)
}

/** Least tokens of late. */
export const aibrixThroughput = defineStrategy({
  name: 'throughput',
  summary: 'AIBrix strategy `throughput`: least of 2 x prompt tokens + output tokens, as this thread has counted them.',
  reads: ['promptTokens'],
  polarity: 'least',
  signal: ({ facts }) => new TokenFlow(facts),
})
