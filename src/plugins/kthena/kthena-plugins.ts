import type { PluginDefinition } from '#contracts/plugin.ts'
import { kthenaLoraAffinity, kthenaMaxWaiting } from './filters.ts'
import {
  kthenaGpuUsage,
  kthenaKvcacheAware,
  kthenaLeastLatency,
  kthenaLeastRequest,
  kthenaPrefixCache,
  kthenaRandom,
} from './scorers.ts'

/** Every plug-in of Kthena's router (kthena-router.md 4.3). */
export const kthenaPlugins: readonly PluginDefinition[] = [
  kthenaMaxWaiting,
  kthenaLoraAffinity,
  kthenaLeastRequest,
  kthenaLeastLatency,
  kthenaGpuUsage,
  kthenaPrefixCache,
  kthenaKvcacheAware,
  kthenaRandom,
]
