import { definePlugin } from '#contracts/plugin.ts'
import { pickAny } from './pick-any.ts'
import { pickerCaution, pickerParameters } from './picker-parameters.ts'

/** Picks with a chance in proportion to the score, which is what its weighted sampling (A-Res) comes to for one. */
export const weightedRandomPicker = definePlugin({
  point: 'picker',
  type: 'weighted-random-picker',
  origin: 'epp',
  stability: 'stable',
  summary: 'Picks an endpoint with a chance in proportion to its score; any of them when all scores are 0.',
  reads: [],
  parameters: pickerParameters,
  caution: pickerCaution,
  create: (_parameters, { rng }) => ({
    pick(_request, { count }, scores) {
      let sum = 0
      for (let i = 0; i < count; i++) sum += Math.max(0, scores[i]!)
      if (sum === 0) return pickAny(count, rng)
      let at = rng() * sum
      let last = 0
      for (let i = 0; i < count; i++) {
        if (!(scores[i]! > 0)) continue
        last = i
        at -= scores[i]!
        if (at < 0) return i
      }
      return last
    },
  }),
})
