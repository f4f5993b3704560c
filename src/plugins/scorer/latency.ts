import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import type { Candidates } from '#contracts/schedule.ts'

/** Least value of a column among candidates observed after `sinceMs`; infinity when there is none. */
function leastOf(column: Float64Array, { slots, count, loads }: Candidates, sinceMs: number): number {
  let least = Number.POSITIVE_INFINITY
  for (let i = 0; i < count; i++) {
    const slot = slots[i]!
    const value = column[slot]!
    if (value < least && loads.observedAtMs[slot]! >= sinceMs) least = value
  }
  return least
}

/** 1 up to `tolerance` times the least, then in inverse proportion; NaN for NaN. */
function speed(value: number, least: number, tolerance: number): number {
  return value <= least * tolerance ? 1 : (least * tolerance) / value
}

/** Mean of the two, the first with the weight `share`; the one that is known when the other is not. */
function mix(first: number, second: number, share: number): number {
  if (Number.isNaN(first)) return share < 1 ? second : Number.NaN
  if (Number.isNaN(second)) return share > 0 ? first : Number.NaN
  return share * first + (1 - share) * second
}

/**
 * Prefers endpoints whose answers were fast lately. Observations differ with the prompts that happened to come, so
 * differences within the tolerance do not count. An endpoint without a recent observation gets no score: it would
 * otherwise be avoided for ever after one slow answer, for want of a new one.
 */
export const latency = definePlugin({
  point: 'scorer',
  type: 'latency',
  stability: 'beta',
  summary: 'Prefers endpoints whose observed time to first token and time per output token are short.',
  reads: ['ttftMs', 'tpotMs', 'observedAtMs'],
  parameters: z.strictObject({
    ttftShare: z
      .number()
      .min(0)
      .max(1)
      .default(0.5)
      .describe('Weight of the time to first token; the rest is that of the time per output token.'),
    tolerance: z
      .number()
      .min(1)
      .max(10)
      .default(1.25)
      .describe('Times up to this multiple of the best count as equal.'),
    forgetAfterMs: z
      .number()
      .positive()
      .max(3_600_000)
      .default(30_000)
      .describe('Observations older than this, in milliseconds, say nothing.'),
  }),
  create: ({ ttftShare, tolerance, forgetAfterMs }) => ({
    score({ nowMs }, candidates, out) {
      const { slots, count, loads } = candidates
      const sinceMs = Math.max(nowMs - forgetAfterMs, Number.MIN_VALUE)
      const leastTtft = leastOf(loads.ttftMs, candidates, sinceMs)
      const leastTpot = leastOf(loads.tpotMs, candidates, sinceMs)
      for (let i = 0; i < count; i++) {
        const slot = slots[i]!
        const ttft = speed(loads.ttftMs[slot]!, leastTtft, tolerance)
        const tpot = speed(loads.tpotMs[slot]!, leastTpot, tolerance)
        out[i] = loads.observedAtMs[slot]! >= sinceMs ? mix(ttft, tpot, ttftShare) : Number.NaN
      }
    },
  }),
})
