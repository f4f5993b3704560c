import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { type Signal, strategyScorer } from './strategy.ts'

/** Output tokens of a request before any is known (aibrix-and-others.md A2.3). */
const guessedOutputTokens = 100

/** How much the last answer counts in the mean of output tokens. */
const share = 0.05

/**
 * Expected time of a request: observed time to the first token (queue and prefill) + observed time per output token x
 * mean output tokens. AIBrix takes means over the engine's whole life from its histograms; ours are the gateway's own of
 * late. An endpoint of which nothing is known is taken for the fastest as long as no request of ours is on it, so that
 * one at a time finds out; else the first slow answer would be the last.
 */
function expectedTimes(forgetAfterMs: number): Signal {
  let outputTokens = guessedOutputTokens
  return {
    read({ nowMs }, { slots, count, loads }, out) {
      const sinceMs = Math.max(nowMs - forgetAfterMs, Number.MIN_VALUE)
      let known = 0
      for (let i = 0; i < count; i++) {
        const slot = slots[i]!
        const isRecent = loads.observedAtMs[slot]! >= sinceMs
        out[i] = isRecent ? loads.ttftMs[slot]! + outputTokens * loads.tpotMs[slot]! : Number.NaN
        if (!Number.isNaN(out[i]!)) known++
      }
      if (known === 0) return
      for (let i = 0; i < count; i++) if (Number.isNaN(out[i]!) && loads.inFlight[slots[i]!] === 0) out[i] = 0
    },
    placed: () => ({
      ended(end) {
        if (end.outputTokens > 0) outputTokens += share * (end.outputTokens - outputTokens)
      },
    }),
  }
}

/** Shortest expected time. */
export const aibrixLeastLatency = definePlugin({
  point: 'scorer',
  type: 'aibrix-least-latency',
  stability: 'beta',
  origin: 'aibrix',
  summary: 'AIBrix strategy `least-latency`: shortest expected time, from what the gateway itself has observed.',
  reads: ['ttftMs', 'tpotMs', 'observedAtMs', 'inFlight'],
  parameters: z.strictObject({
    forgetAfterMs: z
      .number()
      .positive()
      .max(3_600_000)
      .default(30_000)
      .describe('Observations older than this, in milliseconds, say nothing.'),
  }),
  create: ({ forgetAfterMs }) => strategyScorer(expectedTimes(forgetAfterMs), 'least'),
})
