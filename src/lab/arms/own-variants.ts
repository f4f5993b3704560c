import type { ArmDefinition } from '#lab/arm.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { scaledConstants } from '#plugins/house/constants.ts'
import { plugins } from '#plugins/index.ts'
import { cost, costWith } from '#plugins/scorer/cost.ts'
import { OwnSchedulerArm } from './own-scheduler.ts'

/** The default profile with the constants of its cost times a factor, the two preferences of the configuration among them. */
function scaledArm(name: string, factor: number): ArmDefinition {
  const constants = scaledConstants(factor)
  const { waiting, decoding } = constants
  const scaled = costWith(constants)
  const profile = {
    ...defaultProfile,
    scorers: defaultProfile.scorers.map((each) => ({
      ...each,
      parameters: each.type === cost.type ? { ...each.parameters, waiting, decoding } : each.parameters,
    })),
  }
  const setup = { profile, plugins: plugins.map((each) => (each.type === cost.type ? scaled : each)) }
  return {
    name,
    kind: 'own',
    summary: `the default profile with the constants of its cost times ${factor}`,
    create: (ports) => new OwnSchedulerArm(ports, setup),
  }
}

/** The gateway's scheduler in ways that no configuration sets: for the acceptance report. */
export const ownVariants: readonly ArmDefinition[] = [
  {
    name: 'gateway-events',
    kind: 'own',
    summary: 'the default profile where KV events, without delay, say what is cached, and tokens of prompts are known',
    create: (ports) => new OwnSchedulerArm(ports, { hearsEvents: true }),
  },
  scaledArm('gateway-doubled', 2),
  scaledArm('gateway-halved', 0.5),
]
