import type { PluginDefinition } from '#contracts/plugin.ts'
import { aibrixStrategies } from './aibrix/strategies.ts'
import { eppPlugins } from './epp/epp-plugins.ts'
import { usable } from './filter/usable.ts'
import { headerProfileHandler } from './handler/header-profile-handler.ts'
import { inTurnProfileHandler } from './handler/in-turn-profile-handler.ts'
import { singleProfileHandler } from './handler/single-profile-handler.ts'
import { kthenaPlugins } from './kthena/kthena-plugins.ts'
import { maxScore } from './picker/max-score.ts'
import { nearBest } from './picker/near-best.ts'
import { random } from './picker/random.ts'
import { weightedRandom } from './picker/weighted-random.ts'
import { precisePrefix } from './producer/precise-prefix.ts'
import { prefix } from './producer/prefix.ts'
import { cost } from './scorer/cost.ts'
import { hasAdapter } from './scorer/has-adapter.ts'
import { kvCache } from './scorer/kv-cache.ts'
import { latency } from './scorer/latency.ts'
import { leastRequest } from './scorer/least-request.ts'
import { sessionAffinity } from './session/session-affinity.ts'

/** Every plug-in that comes with the gateway: the one list. */
export const plugins: readonly PluginDefinition[] = [
  precisePrefix,
  prefix,
  usable,
  cost,
  leastRequest,
  kvCache,
  latency,
  hasAdapter,
  maxScore,
  nearBest,
  random,
  weightedRandom,
  sessionAffinity,
  inTurnProfileHandler,
  singleProfileHandler,
  headerProfileHandler,
  ...eppPlugins,
  ...kthenaPlugins,
  ...aibrixStrategies,
]
