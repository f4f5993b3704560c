import { definePlugin } from '#contracts/plugin.ts'
import { pickerCaution, pickerParameters } from './picker-parameters.ts'

/** Picks the endpoint with the greatest score, at random among equals. */
export const maxScorePicker = definePlugin({
  point: 'picker',
  type: 'max-score-picker',
  origin: 'epp',
  stability: 'stable',
  summary: 'Picks the endpoint with the greatest score, at random among equals.',
  reads: [],
  parameters: pickerParameters,
  caution: pickerCaution,
  create: (_parameters, { rng }) => ({
    pick(_request, { count }, scores) {
      let best = 0
      let equals = 1
      for (let i = 1; i < count; i++) {
        if (scores[i]! > scores[best]!) {
          best = i
          equals = 1
        } else if (scores[i] === scores[best] && rng() * ++equals < 1) best = i
      }
      return best
    },
  }),
})
