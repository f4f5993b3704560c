import type { Candidates } from '#contracts/schedule.ts'
import { housePriors, speedDeadBand } from './constants.ts'

/** How fast the candidates of a decision are: the fleet's mean, and each one in relation to it. */
export class FleetSpeeds {
  /** Seconds to compute one prompt token, mean over the candidates that are known. */
  prefillS: number = housePriors.prefillS
  /** Seconds of a decode step over what the priors say. */
  stepScale = 1

  /** Takes the mean over the candidates. */
  measure({ slots, count, loads }: Candidates): void {
    let prefillUs = 0
    let prefillKnown = 0
    let scales = 0
    let scalesKnown = 0
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      const us = loads.prefillUs[slot]!
      if (us > 0) {
        prefillUs += us
        prefillKnown++
      }
      const scale = loads.tpotMs[slot]! / 1e3 / priorStepS(loads.contextTokens[slot]!)
      if (scale > 0) {
        scales += scale
        scalesKnown++
      }
    }
    this.prefillS = prefillKnown === 0 ? housePriors.prefillS : prefillUs / prefillKnown / 1e6
    this.stepScale = scalesKnown === 0 ? 1 : scales / scalesKnown
  }

  /** Seconds per prompt token over the fleet's mean; 1 inside of the dead band and when unknown. */
  prefillFactor(prefillUs: number): number {
    return banded(prefillUs / 1e6 / this.prefillS)
  }

  /** Seconds of a decode step with so much context, at an endpoint with this time per output token. */
  stepS(tpotMs: number, contextTokens: number): number {
    const plainS = priorStepS(contextTokens) * this.stepScale
    return plainS * banded(tpotMs / 1e3 / plainS)
  }
}

function priorStepS(contextTokens: number): number {
  return housePriors.stepFloorS + housePriors.stepPerTokenS * contextTokens
}

function banded(factor: number): number {
  return factor > speedDeadBand || factor < 1 / speedDeadBand ? factor : 1
}
