import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import type { Candidates } from '#contracts/schedule.ts'
import { attributeColumn, attributeName, attributeProducer } from './attribute-column.ts'
import { scoreBySpread } from './spread-score.ts'

const normalization = z
  .strictObject({
    fixedRange: z
      .strictObject({ min: z.number(), max: z.number() })
      .refine(({ min, max }) => min < max, { message: 'min must be less than max' })
      .optional(),
    adaptiveRange: z.strictObject({}).optional(),
  })
  .refine(({ fixedRange, adaptiveRange }) => fixedRange === undefined || adaptiveRange === undefined, {
    message: 'give fixedRange or adaptiveRange, not both',
  })

interface Range {
  readonly min: number
  readonly max: number
}

function scoreByRange(
  column: Float64Array,
  { min, max }: Range,
  { slots, count }: Candidates,
  out: Float64Array,
): void {
  for (let i = 0; i < count; i++) out[i] = 1 - Math.min(1, Math.max(0, (column[slots[i]!]! - min) / (max - min)))
}

/** A linear score of one load value; an endpoint that does not report it has no opinion. */
export const endpointAttributeScorer = definePlugin({
  point: 'scorer',
  type: 'endpoint-attribute-scorer',
  origin: 'epp',
  stability: 'alpha',
  summary: 'Scores one value that engines report, in proportion over a fixed range or over that of the candidates.',
  reads: ['waiting', 'running', 'kvUse'],
  parameters: z.strictObject({
    attributeKey: attributeName,
    producer: attributeProducer,
    algorithm: z
      .strictObject({
        type: z.enum(['linear_lower_is_better', 'linear_higher_is_better']),
        normalization: normalization.default({}),
      })
      .default({ type: 'linear_lower_is_better', normalization: {} })
      .describe(
        '`type`: `linear_lower_is_better` or `linear_higher_is_better`; `normalization`: `fixedRange` with `min` and `max`, or `adaptiveRange`, the default.',
      ),
  }),
  create({ attributeKey, algorithm }) {
    const { fixedRange } = algorithm.normalization
    const isInverted = algorithm.type === 'linear_higher_is_better'
    return {
      score(_request, candidates, out) {
        const column = attributeColumn(candidates.loads, attributeKey)
        if (fixedRange === undefined) scoreBySpread(column, candidates, out)
        else scoreByRange(column, fixedRange, candidates, out)
        const isFlat = fixedRange === undefined && isSame(column, candidates)
        if (!isInverted || isFlat) return
        for (let i = 0; i < candidates.count; i++) out[i] = 1 - out[i]!
      },
    }
  },
})

/** Whether all known values are equal: then the score is 1 whichever way is better. */
function isSame(column: Float64Array, { slots, count }: Candidates): boolean {
  let first = Number.NaN
  for (let i = 0; i < count; i++) {
    const value = column[slots[i]!]!
    if (Number.isNaN(first)) first = value
    else if (!Number.isNaN(value) && value !== first) return false
  }
  return true
}
