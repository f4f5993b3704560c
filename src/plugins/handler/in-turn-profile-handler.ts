import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { profileResult } from '#contracts/schedule.ts'

/**
 * Tries the profiles in their order until one finds an endpoint: the first may be as particular as it likes (its filters may
 * leave nobody), the last says what to do then.
 */
export const inTurnProfileHandler = definePlugin({
  point: 'profile-handler',
  type: 'in-turn-profile-handler',
  stability: 'beta',
  summary: 'Tries the profiles in their order until the filters of one leave an endpoint.',
  reads: [],
  parameters: z.strictObject({}),
  create: () => ({
    next(_request, { runs, slots }) {
      const isFound = runs > 0 && slots[runs - 1]! > profileResult.none
      return isFound || runs === slots.length ? -1 : runs
    },
    primary: (_request, { runs, slots }) => (runs > 0 && slots[runs - 1]! > profileResult.none ? runs - 1 : -1),
  }),
})
