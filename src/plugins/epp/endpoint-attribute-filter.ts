import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { attributeColumn, attributeName, attributeProducer } from './attribute-column.ts'
import { keepCandidates } from './keep-candidates.ts'

const comparisons = {
  LessThan: (value: number, limit: number) => value < limit,
  LessThanOrEqual: (value: number, limit: number) => value <= limit,
  GreaterThan: (value: number, limit: number) => value > limit,
  GreaterThanOrEqual: (value: number, limit: number) => value >= limit,
  Equal: (value: number, limit: number) => value === limit,
  NotEqual: (value: number, limit: number) => value !== limit,
} as const

const operators = Object.keys(comparisons) as [keyof typeof comparisons, ...(keyof typeof comparisons)[]]

/** Keeps endpoints whose value holds against a threshold. */
export const endpointAttributeFilter = definePlugin({
  point: 'filter',
  type: 'endpoint-attribute-filter',
  origin: 'epp',
  stability: 'alpha',
  summary: 'Drops endpoints by one value that engines report and a threshold.',
  reads: ['waiting', 'running', 'kvUse'],
  parameters: z.strictObject({
    attribute: attributeName,
    producer: attributeProducer,
    onMissing: z.enum(['Pass', 'Fail']).default('Pass').describe('What becomes of endpoints that do not report it.'),
    fallbackOnEmpty: z.boolean().default(false).describe('Whether all are kept when none would be left.'),
    algorithm: z
      .strictObject({
        type: z.literal('threshold'),
        threshold: z.strictObject({ operator: z.enum(operators), value: z.number() }),
      })
      .default({ type: 'threshold', threshold: { operator: 'GreaterThanOrEqual', value: 0 } })
      .describe(`\`type: threshold\` with \`threshold\`: \`operator\` (${operators.join(', ')}) and \`value\`.`),
  }),
  create({ attribute, onMissing, fallbackOnEmpty, algorithm }) {
    const { operator, value: limit } = algorithm.threshold
    const holds = comparisons[operator]
    return {
      filter(_request, candidates) {
        const column = attributeColumn(candidates.loads, attribute)
        const isKept = (slot: number): boolean => {
          const value = column[slot]!
          return Number.isNaN(value) ? onMissing === 'Pass' : holds(value, limit)
        }
        keepCandidates(candidates, isKept, fallbackOnEmpty)
      },
    }
  },
})
