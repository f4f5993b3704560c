import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { keepCandidates } from './keep-candidates.ts'

type Labels = Readonly<Record<string, string>>

const key = z.string().min(1).max(317)
const values = z.array(z.string().max(63)).max(256)

const expression = z.discriminatedUnion(
  'operator',
  [
    z.strictObject({ key, operator: z.literal('In'), values: values.min(1) }),
    z.strictObject({ key, operator: z.literal('NotIn'), values: values.min(1) }),
    z.strictObject({ key, operator: z.literal('Exists'), values: values.max(0).optional() }),
    z.strictObject({ key, operator: z.literal('DoesNotExist'), values: values.max(0).optional() }),
  ],
  { error: 'must be In, NotIn, Exists or DoesNotExist' },
)

type Expression = z.infer<typeof expression>

function holds(labels: Labels, wanted: Expression): boolean {
  const value = labels[wanted.key]
  switch (wanted.operator) {
    case 'In':
      return value !== undefined && wanted.values.includes(value)
    case 'NotIn':
      return value === undefined || !wanted.values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
  }
}

const noLabels: Labels = {}

/** Keeps endpoints whose labels match a Kubernetes label selector; an empty one matches all. */
export const labelSelectorFilter = definePlugin({
  point: 'filter',
  type: 'label-selector-filter',
  origin: 'epp',
  stability: 'stable',
  summary: 'Keeps endpoints whose labels match a Kubernetes label selector.',
  reads: [],
  parameters: z.strictObject({
    matchLabels: z.record(key, z.string().max(63)).default({}).describe('Labels that an endpoint must carry.'),
    matchExpressions: z
      .array(expression)
      .max(64)
      .default([])
      .describe('`key`, `operator` (`In`, `NotIn`, `Exists`, `DoesNotExist`) and `values`; all must hold.'),
  }),
  create({ matchLabels, matchExpressions }, { endpointOf }) {
    const pairs = Object.entries(matchLabels)
    const isKept = (slot: number): boolean => {
      const labels = endpointOf(slot)?.labels ?? noLabels
      return (
        pairs.every(([name, value]) => labels[name] === value) && matchExpressions.every((one) => holds(labels, one))
      )
    }
    return {
      filter(_request, candidates) {
        keepCandidates(candidates, isKept)
      },
    }
  },
})
