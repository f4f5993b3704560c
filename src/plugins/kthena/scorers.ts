import { z } from 'zod'
import { definePlugin, type PluginDefinition } from '#contracts/plugin.ts'
import type { Candidates, Scorer } from '#contracts/schedule.ts'

// Formulas and defaults: kthena-router.md 4.3. Its scores are whole numbers from 0 to 100; here they are hundredths.

const none = z.strictObject({})

function define(
  name: string,
  about: Pick<PluginDefinition, 'summary' | 'reads'>,
  create: PluginDefinition<'scorer'>['create'],
) {
  return definePlugin({
    point: 'scorer',
    type: `kthena-${name}`,
    stability: 'beta',
    origin: 'kthena',
    ...about,
    parameters: none,
    create,
  })
}

/** Whole percents as a score. A value that is a rounding error below a whole number is that number. */
function percent(value: number): number {
  return Math.floor(value + 1e-9) / 100
}

/**
 * Kthena's base of an endpoint: F + 100 x max(F - R, 0). R is what the engine ran of ours: when more of ours have come
 * since its report those are not missing from it, so that they are not counted a hundredfold, as they are in Kthena until
 * the next report. An engine that reports nothing is taken to run what we gave it.
 */
function baseOf({ inFlight, running, inFlightAtReport }: Candidates['loads'], slot: number): number {
  const ours = inFlight[slot]!
  const then = inFlightAtReport[slot]!
  const reported = running[slot]!
  const waiting = (Number.isNaN(then) ? ours : Math.min(ours, then)) - reported
  return ours + 100 * (waiting > 0 ? waiting : 0)
}

/** Fewest requests, in proportion to the busiest. */
export const kthenaLeastRequest = define(
  'least-request',
  {
    summary:
      'Kthena scorer `least-request`: fewest requests in flight, those that the engine does not run yet a hundredfold.',
    reads: ['inFlight', 'running', 'inFlightAtReport'],
  },
  () => ({
    score(_request, { slots, count, loads }, out) {
      let most = 0
      for (let i = 0; i < count; i++) {
        out[i] = baseOf(loads, slots[i]!)
        most = Math.max(most, out[i]!)
      }
      for (let i = 0; i < count; i++) out[i] = most === 0 ? 1 : percent((100 * (most - out[i]!)) / most)
    },
  }),
)

/** 100 for the least value, 0 for the greatest, 100 for all when they are equal. */
function spreadScore(value: number, least: number, most: number): number {
  return most === least ? 100 : (100 * (most - value)) / (most - least)
}

/** Shortest observed times. Half a point for endpoints that were never observed, which are left out of the spread. */
export const kthenaLeastLatency = definePlugin({
  point: 'scorer',
  type: 'kthena-least-latency',
  stability: 'beta',
  origin: 'kthena',
  summary: 'Kthena scorer `least-latency`: shortest observed time to first token and per output token.',
  reads: ['ttftMs', 'tpotMs'],
  parameters: z.strictObject({
    TTFTTPOTWeightFactor: z
      .number()
      .min(0)
      .max(1)
      .default(0.5)
      .describe('Weight of the time to first token; the rest is that of the time per output token.'),
  }),
  create: ({ TTFTTPOTWeightFactor: share }): Scorer => ({
    score(_request, { slots, count, loads: { ttftMs, tpotMs } }, out) {
      let [leastTtft, mostTtft] = [Number.POSITIVE_INFINITY, 0]
      let [leastTpot, mostTpot] = [Number.POSITIVE_INFINITY, 0]
      for (let i = 0; i < count; i++) {
        const slot = slots[i]!
        if (Number.isNaN(ttftMs[slot]! + tpotMs[slot]!)) continue
        leastTtft = Math.min(leastTtft, ttftMs[slot]!)
        mostTtft = Math.max(mostTtft, ttftMs[slot]!)
        leastTpot = Math.min(leastTpot, tpotMs[slot]!)
        mostTpot = Math.max(mostTpot, tpotMs[slot]!)
      }
      for (let i = 0; i < count; i++) {
        const slot = slots[i]!
        const ttft = spreadScore(ttftMs[slot]!, leastTtft, mostTtft)
        const tpot = spreadScore(tpotMs[slot]!, leastTpot, mostTpot)
        const isKnown = !Number.isNaN(ttftMs[slot]! + tpotMs[slot]!)
        out[i] = isKnown ? percent(share * ttft + (1 - share) * tpot) : 0.5
      }
    },
  }),
})

/** Free KV cache; an engine that does not report it has no score, where Kthena takes it for empty. */
export const kthenaGpuUsage = define(
  'gpu-usage',
  { summary: 'Kthena scorer `gpu-usage`: free KV cache.', reads: ['kvUse'] },
  () => ({
    score(_request, { slots, count, loads }, out) {
      for (let i = 0; i < count; i++) {
        const use = loads.kvUse[slots[i]!]!
        out[i] = Number.isNaN(use) ? Number.NaN : percent(100 * (1 - Math.min(1, Math.max(0, use))))
      }
    },
  }),
)

const matchScorer: PluginDefinition<'scorer'>['create'] = (_parameters, { facts }) => ({
  score(_request, { slots, count }, out) {
    for (let i = 0; i < count; i++) out[i] = percent((100 * facts.cachedTokens[slots[i]!]!) / facts.promptTokens)
  },
})

/** Share of the prompt that is cached, as the gateway's own index has it: learned when a request is placed. */
export const kthenaPrefixCache = define(
  'prefix-cache',
  {
    summary: 'Kthena scorer `prefix-cache`: share of the prompt that is cached.',
    reads: ['cachedTokens', 'promptTokens'],
  },
  matchScorer,
)

/** The same share. An endpoint without a match scores 0, where Kthena no longer has it among the candidates. */
export const kthenaKvcacheAware = define(
  'kvcache-aware',
  {
    summary: 'Kthena scorer `kvcache-aware`: share of the prompt that is cached, 0 where nothing is.',
    reads: ['cachedTokens', 'promptTokens'],
  },
  matchScorer,
)

/** A random score. */
export const kthenaRandom = define(
  'random',
  { summary: 'Kthena scorer `random`: a random score.', reads: [] },
  (_parameters, { rng }) => ({
    score(_request, { count }, out) {
      for (let i = 0; i < count; i++) out[i] = Math.floor(rng() * 101) / 100
    },
  }),
)
