import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'
import { profileResult } from '#contracts/schedule.ts'

/** Places every request with the one profile there is; of several, with the first. */
export const singleProfileHandler = definePlugin({
  point: 'profile-handler',
  type: 'single-profile-handler',
  origin: 'epp',
  stability: 'stable',
  summary: 'Places every request with the first profile.',
  reads: [],
  parameters: z.strictObject({}),
  create: () => ({
    next: (_request, { runs }) => (runs === 0 ? 0 : -1),
    primary: (_request, { slots }) => (slots[0]! > profileResult.none ? 0 : -1),
  }),
})
