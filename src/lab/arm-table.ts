import type { ArmDefinition } from './arm.ts'
import { blindArms } from './arms/blind.ts'
import { OwnSchedulerArm } from './arms/own-scheduler.ts'
import { peerArms } from './arms/peers.ts'
import { longestPrefix } from './placements.ts'

/** Every arm, by kind. */
export const arms: readonly ArmDefinition[] = [
  ...blindArms,
  {
    name: 'gateway',
    kind: 'own',
    summary: "this gateway's scheduler with its default profile, pages every 200 ms",
    create: (ports) => new OwnSchedulerArm(ports),
  },
  ...peerArms,
  {
    name: 'sees-caches',
    kind: 'yardstick',
    summary: 'longest prefix really cached, load at most 1.25 x mean + 4',
    create: () => ({ place: longestPrefix() }),
  },
]
