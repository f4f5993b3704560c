import { z } from 'zod'
import { definePlugin } from '#contracts/plugin.ts'

/** Picks any endpoint that the filters left, whatever its score. */
export const random = definePlugin({
  point: 'picker',
  type: 'random',
  stability: 'stable',
  summary: 'Picks any endpoint that is left, all with the same chance; scores do not matter.',
  reads: [],
  parameters: z.strictObject({}),
  create: (_parameters, { rng }) => ({
    pick: (_request, { count }) => Math.floor(rng() * count),
  }),
})
