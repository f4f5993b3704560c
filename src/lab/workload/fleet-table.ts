import type { EngineSettings } from '#sim/model/engine-settings.ts'
import type { StepCost } from '#sim/model/step-time.ts'
import { adapters } from './adversarial.ts'
import { answer, defaultFleet, question, skewed } from './shapes.ts'
import { sharedPrefixes } from './shared-prefixes.ts'
import type { WorkloadDefinition } from './workload.ts'

const unit = 'requests/s'

/** The same model on something half as fast. */
function halfAsFast(settings: EngineSettings): EngineSettings {
  const { cost } = settings
  const doubled: StepCost = {
    fixedMs: cost.fixedMs * 2,
    weightsMs: cost.weightsMs * 2,
    perTokenUs: cost.perTokenUs * 2,
    perContextTokenNs: cost.perContextTokenNs * 2,
    perPairNs: cost.perPairNs * 2,
    perSequenceUs: cost.perSequenceUs * 2,
  }
  return { ...settings, cost: doubled }
}

/** Fleets that are not eight equal engines behind one gateway (routing-algorithms.md 8, W11). */
export const fleetWorkloads: readonly WorkloadDefinition[] = [
  {
    ...defaultFleet,
    name: 'adapters',
    code: 'W11',
    summary: '64 LoRA adapters drawn by Zipf 1.1, of which an engine runs 8 at a time',
    unit,
    load: 60,
    engineOf: (settings) => ({ ...settings, maxAdapters: 8 }),
    create: (setup) =>
      adapters(
        { adapters: 64, exponent: 1.1, systemTokens: 500, questionTokens: question, outputTokens: answer },
        setup,
      ),
  },
  {
    ...defaultFleet,
    name: 'mixed-fleet',
    code: 'W11',
    summary: 'every second engine is half as fast, the prefixes of zipf',
    unit,
    load: 36,
    engineOf: (settings, index) => (index % 2 === 0 ? settings : halfAsFast(settings)),
    create: (setup) => sharedPrefixes(skewed, setup),
  },
  {
    ...defaultFleet,
    name: 'four-gateways',
    code: 'W11',
    summary: 'the prefixes of zipf through four gateways in turn that know nothing of one another',
    unit,
    load: 50,
    gateways: 4,
    create: (setup) => sharedPrefixes(skewed, setup),
  },
]
