import type { PluginDefinition } from '#contracts/plugin.ts'
import { usable } from './filter/usable.ts'
import { maxScore } from './picker/max-score.ts'
import { random } from './picker/random.ts'
import { weightedRandom } from './picker/weighted-random.ts'
import { hasAdapter } from './scorer/has-adapter.ts'
import { kvCache } from './scorer/kv-cache.ts'
import { latency } from './scorer/latency.ts'
import { leastRequest } from './scorer/least-request.ts'

/** Every plug-in that comes with the gateway: the one list. */
export const plugins: readonly PluginDefinition[] = [
  usable,
  leastRequest,
  kvCache,
  latency,
  hasAdapter,
  maxScore,
  random,
  weightedRandom,
]
