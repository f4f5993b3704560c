import type { PluginDefinition } from '#contracts/plugin.ts'
import { aibrixLeastLatency } from './least-latency.ts'
import { aibrixPrefixCache } from './prefix-cache.ts'
import { aibrixPreble } from './prefix-cache-preble.ts'
import { aibrixSessionAffinity } from './session-affinity.ts'
import { simpleStrategies } from './simple-strategies.ts'
import { aibrixThroughput } from './throughput.ts'

/** Every strategy of AIBrix (aibrix-and-others.md A2.3) that this version has. */
export const aibrixStrategies: readonly PluginDefinition[] = [
  ...simpleStrategies,
  aibrixThroughput,
  aibrixLeastLatency,
  aibrixPrefixCache,
  aibrixPreble,
  aibrixSessionAffinity,
]
