import type { Candidates } from '#contracts/schedule.ts'
import { housePriors, speedDeadBand } from './constants.ts'

/**
 * How fast the candidates of a decision are: the fleet's mean, and each one in relation to it. What nothing is known of is as fast
 * as its declared capacity says, compared with those that are known.
 */
export class FleetSpeeds {
  /** Seconds to compute one prompt token, mean over the candidates that are known. */
  prefillS: number = housePriors.prefillS
  /** Seconds of a decode step over what the priors say. */
  stepScale = 1
  /** The same two of an endpoint with capacity 1. */
  #unitPrefillS: number = housePriors.prefillS
  #unitStepScale = 1
  readonly #capacities: Float64Array | undefined

  /** `capacities` as in PluginPorts. */
  constructor(capacities?: Float64Array) {
    this.#capacities = capacities
  }

  /** Takes the mean over the candidates. */
  measure({ slots, count, loads }: Candidates): void {
    const capacities = this.#capacities
    let prefillUs = 0
    let unitPrefillUs = 0
    let prefillKnown = 0
    let scales = 0
    let unitScales = 0
    let scalesKnown = 0
    let slowness = 0
    for (let i = 0; i < count; i++) {
      const slot = slots[i]!
      const capacity = capacities === undefined ? 1 : capacities[slot]!
      slowness += 1 / capacity
      const us = loads.prefillUs[slot]!
      if (us > 0) {
        prefillUs += us
        unitPrefillUs += us * capacity
        prefillKnown++
      }
      const scale = loads.tpotMs[slot]! / 1e3 / priorStepS(loads.contextTokens[slot]!)
      if (scale > 0) {
        scales += scale
        unitScales += scale * capacity
        scalesKnown++
      }
    }
    // The priors are those of the mean endpoint.
    const unit = count === 0 ? 1 : count / slowness
    this.prefillS = prefillKnown === 0 ? housePriors.prefillS : prefillUs / prefillKnown / 1e6
    this.#unitPrefillS = prefillKnown === 0 ? housePriors.prefillS * unit : unitPrefillUs / prefillKnown / 1e6
    this.stepScale = scalesKnown === 0 ? 1 : scales / scalesKnown
    this.#unitStepScale = scalesKnown === 0 ? unit : unitScales / scalesKnown
  }

  /**
   * Seconds per prompt token of the endpoint over the fleet's mean: by its own time per token (µs), 1 inside of the dead band; where
   * that is unknown by its declared capacity.
   */
  prefillFactor(slot: number, prefillUs: number): number {
    if (prefillUs > 0) return banded(prefillUs / 1e6 / this.prefillS)
    const capacities = this.#capacities
    return capacities === undefined ? 1 : this.#unitPrefillS / capacities[slot]! / this.prefillS
  }

  /**
   * Seconds of a decode step with so much context, at an endpoint with this time per output token. No time at all, as of two tokens
   * that came at once, says nothing.
   */
  stepS(slot: number, tpotMs: number, contextTokens: number): number {
    const priorS = priorStepS(contextTokens)
    const plainS = priorS * this.stepScale
    if (tpotMs > 0) return plainS * banded(tpotMs / 1e3 / plainS)
    const capacities = this.#capacities
    return capacities === undefined ? plainS : (priorS * this.#unitStepScale) / capacities[slot]!
  }
}

function priorStepS(contextTokens: number): number {
  return housePriors.stepFloorS + housePriors.stepPerTokenS * contextTokens
}

function banded(factor: number): number {
  return factor > speedDeadBand || factor < 1 / speedDeadBand ? factor : 1
}
