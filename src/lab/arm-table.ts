import type { ArmDefinition } from './arm.ts'
import { blindArms } from './arms/blind.ts'
import { ownArms } from './arms/own-profiles.ts'
import { peerArms } from './arms/peers.ts'
import { oracleArm } from './oracle.ts'
import { longestPrefix } from './placements.ts'

/** Every arm, by kind. */
export const arms: readonly ArmDefinition[] = [
  ...blindArms,
  ...ownArms,
  ...peerArms,
  {
    name: 'sees-caches',
    kind: 'yardstick',
    summary: 'longest prefix really cached, load at most 1.25 x mean + 4',
    create: () => ({ place: longestPrefix() }),
  },
  oracleArm,
]
