import { definePlugin } from '#contracts/plugin.ts'
import { pickAny } from './pick-any.ts'
import { pickerCaution, pickerParameters } from './picker-parameters.ts'

/** Picks any endpoint. */
export const randomPicker = definePlugin({
  point: 'picker',
  type: 'random-picker',
  origin: 'epp',
  stability: 'stable',
  summary: 'Picks any endpoint that the filters left, whatever its score.',
  reads: [],
  parameters: pickerParameters,
  caution: pickerCaution,
  create: (_parameters, { rng }) => ({ pick: (_request, { count }) => pickAny(count, rng) }),
})
