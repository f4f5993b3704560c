import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { headerOf } from '#core/header-list.ts'

/** 1 where a label of the endpoint equals a header of the request, else 0; silent about requests without the header. */
export const headerLabelAffinityScorer = definePlugin({
  point: 'scorer',
  type: 'header-label-affinity-scorer',
  origin: 'epp',
  stability: 'alpha',
  summary: 'Prefers endpoints that carry a label with the value of a request header.',
  reads: [],
  parameters: z.strictObject({
    headerName: z.string().max(128).default('').describe('Header of the request.'),
    labelKey: z.string().max(317).default('').describe('Label of the endpoint.'),
  }),
  create({ headerName, labelKey }, { endpointOf }) {
    const name = headerName.toLowerCase()
    return {
      score({ headers }, { slots, count }, out) {
        const wanted = headerOf(headers, name)
        for (let i = 0; i < count; i++) {
          if (wanted === undefined) out[i] = Number.NaN
          else out[i] = endpointOf(slots[i]!)?.labels[labelKey] === wanted ? 1 : 0
        }
      },
    }
  },
})
