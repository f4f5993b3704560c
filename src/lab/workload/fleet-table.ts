import type { EngineSettings } from '#sim/model/engine-settings.ts'
import type { StepCost } from '#sim/model/step-time.ts'
import { adapters } from './adversarial.ts'
import { answer, defaultFleet, question, skewed } from './shapes.ts'
import { type SharedPrefixes, sharedPrefixes } from './shared-prefixes.ts'
import type { WorkloadDefinition } from './workload.ts'

const unit = 'requests/s'

/** The same model on something half as fast. */
export function halfAsFast(settings: EngineSettings): EngineSettings {
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

/** Of eight engines, those before this one prefill and the others decode. */
const firstDecoding = 4

/** A decode engine extends the lease on blocks for as long as it has the request (model-servers.md 1.1.6). */
function prefillOrDecode(settings: EngineSettings, index: number): EngineSettings {
  return { ...settings, role: index < firstDecoding ? 'prefill' : 'decode', holdMs: Number.POSITIVE_INFINITY }
}

/** Long prompts that share their beginnings, and answers long enough for a pause in them to hurt. */
const longPrompts: SharedPrefixes = {
  ...skewed,
  prefixTokens: { mean: 6_000, spread: 0.6, least: 1_000, most: 20_000 },
  questionTokens: { mean: 1_000, spread: 0.7, least: 50, most: 8_000 },
}

/** What both have in common, so that one can tell what roles are worth: requests and engines. */
const pairs = {
  ...defaultFleet,
  code: 'W11',
  unit,
  load: 18,
  create: (setup) => sharedPrefixes(longPrompts, setup),
} as const satisfies Partial<WorkloadDefinition>

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
  {
    ...pairs,
    name: 'disaggregated',
    summary: 'long prompts, four engines that prefill and four that decode what those hand over',
    engineOf: prefillOrDecode,
  },
  { ...pairs, name: 'aggregated', summary: 'the requests of disaggregated, and eight engines that do both' },
]
