import type { ArmDefinition } from '#lab/arm.ts'
import { aibrixArms } from './peer/aibrix.ts'
import { dynamoArms } from './peer/dynamo.ts'
import { hashingArms } from './peer/hashing.ts'
import { kthenaArms } from './peer/kthena.ts'
import { llmdArms } from './peer/llm-d.ts'
import { lmetricArms } from './peer/lmetric.ts'
import { prebleArms } from './peer/preble.ts'
import { smgArms } from './peer/smg.ts'

/** Peers' published formulas (routing-algorithms.md 2), written anew, with their published constants as defaults. */
export const peerArms: readonly ArmDefinition[] = [
  ...llmdArms,
  ...dynamoArms,
  ...lmetricArms,
  ...smgArms,
  ...hashingArms,
  ...prebleArms,
  ...aibrixArms,
  ...kthenaArms,
]
