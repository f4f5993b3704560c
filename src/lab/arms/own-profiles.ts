import type { ProfilePlan } from '#config/snapshot.ts'
import type { ArmDefinition } from '#lab/arm.ts'
import { balancedProfile } from '#plugins/balanced-profile.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { OwnSchedulerArm } from './own-scheduler.ts'

const usable = { type: 'usable', parameters: {} } as const

interface OwnProfile {
  readonly name: string
  readonly summary: string
  readonly profile: ProfilePlan
}

const profiles: readonly OwnProfile[] = [
  {
    name: 'gateway',
    summary: "this gateway's scheduler with its default profile, pages every 200 ms",
    profile: defaultProfile,
  },
  {
    name: 'gateway-random',
    summary: 'the same scheduler with the picker `random` alone',
    profile: { filters: [usable], scorers: [], picker: { type: 'random', parameters: {} } },
  },
  {
    name: 'gateway-requests',
    summary: 'the same scheduler with the scorer `least-request` alone',
    profile: {
      filters: [usable],
      scorers: [{ type: 'least-request', weight: 1, parameters: {} }],
      picker: { type: 'max-score', parameters: {} },
    },
  },
  {
    name: 'gateway-balanced',
    summary: 'the same scheduler with the profile `balanced`: four scores of load, none of the prompt',
    profile: balancedProfile,
  },
  {
    name: 'gateway-weighted',
    summary: 'the profile `balanced` with the picker `weighted-random`',
    profile: { ...balancedProfile, picker: { type: 'weighted-random', parameters: {} } },
  },
]

/** An arm that is the gateway's scheduler with this profile. */
export function ownArm(name: string, summary: string, profile: ProfilePlan): ArmDefinition {
  return { name, kind: 'own', summary, create: (ports) => new OwnSchedulerArm(ports, { profile }) }
}

/** What the names of own arms stand for. */
export const ownProfiles: ReadonlyMap<string, ProfilePlan> = new Map(
  profiles.map(({ name, profile }) => [name, profile]),
)

/** The gateway's own scheduler code with the profiles that its plug-ins make. */
export const ownArms: readonly ArmDefinition[] = profiles.map(({ name, summary, profile }) =>
  ownArm(name, summary, profile),
)
