import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { type ContextRange, ContextRanges, contextLengthLabel } from './context-range.ts'

const outsideAtMost = 0.3
const unlabelled = 0.5

/** Score of an endpoint that is meant for a range of lengths (endpoint-picker.md 4.3). */
function rangeScore(tokens: number, { min, max }: ContextRange): number {
  if (tokens < min || tokens > max) {
    const distance = tokens > max ? tokens - max : min - tokens
    return outsideAtMost / (1 + distance / 1000)
  }
  const width = max - min
  if (width === 0) return 1
  const fit = 0.7 / (1 + width / 10_000) + (0.3 * (max - tokens)) / width
  return outsideAtMost + (1 - outsideAtMost) * fit
}

/**
 * Prefers endpoints that are labelled with a range of prompt lengths that fits: inside of it above 0.3, more for a tight
 * range with headroom; outside of it below 0.3, more the nearer; 0.5 without a label, 0 with one that is no range.
 */
export const contextLengthAware = definePlugin({
  point: 'scorer',
  type: 'context-length-aware',
  origin: 'epp',
  stability: 'stable',
  summary: 'Prefers endpoints whose label says that they are meant for prompts of this length.',
  reads: ['promptTokens'],
  parameters: z.strictObject({ label: contextLengthLabel }),
  create: ({ label }, { facts, endpointOf }) => {
    const ranges = new ContextRanges(label)
    return {
      score(_request, { slots, count }, out) {
        for (let i = 0; i < count; i++) {
          const range = ranges.of(endpointOf(slots[i]!)?.labels)
          if (range === undefined) out[i] = unlabelled
          else out[i] = range === 'invalid' ? 0 : rangeScore(facts.promptTokens, range)
        }
      },
    }
  },
})
