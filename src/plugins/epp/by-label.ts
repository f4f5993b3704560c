import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { keepCandidates } from './keep-candidates.ts'

/** Keeps endpoints by the value of one label. */
export const byLabel = definePlugin({
  point: 'filter',
  type: 'by-label',
  origin: 'epp',
  stability: 'stable',
  summary: 'Keeps endpoints with one of some values of a label; `label-selector-filter` has taken its place.',
  reads: [],
  parameters: z.strictObject({
    label: z.string().max(317).default('').describe('The label.'),
    validValues: z.array(z.string().max(63)).max(256).default([]).describe('Values that are kept.'),
    allowsNoLabel: z.boolean().default(false).describe('Whether endpoints without the label are kept.'),
  }),
  create: ({ label, validValues, allowsNoLabel }, { endpointOf }) => ({
    filter(_request, candidates) {
      keepCandidates(candidates, (slot) => {
        const value = endpointOf(slot)?.labels[label]
        return value === undefined ? allowsNoLabel : validValues.includes(value)
      })
    },
  }),
})
