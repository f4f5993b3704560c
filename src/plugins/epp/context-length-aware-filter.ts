import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { ContextRanges, contextLengthLabel } from './context-range.ts'
import { keepCandidates } from './keep-candidates.ts'

/** What `context-length-aware` does as a filter, when its `enableFiltering` is true. */
export const contextLengthAwareFilter = definePlugin({
  point: 'filter',
  type: 'context-length-aware-filter',
  origin: 'epp',
  stability: 'stable',
  summary:
    'Drops endpoints whose label says that they are not meant for prompts of this length: `context-length-aware` with `enableFiltering`.',
  reads: ['promptTokens'],
  parameters: z.strictObject({ label: contextLengthLabel }),
  create: ({ label }, { facts, endpointOf }) => {
    const ranges = new ContextRanges(label)
    const isKept = (slot: number): boolean => {
      const range = ranges.of(endpointOf(slot)?.labels)
      if (range === undefined) return true
      return range !== 'invalid' && facts.promptTokens >= range.min && facts.promptTokens <= range.max
    }
    return {
      filter(_request, candidates) {
        keepCandidates(candidates, isKept)
      },
    }
  },
})
