import type { PluginDefinition } from '#contracts/plugin.ts'
import { activeRequestScorer } from './active-request-scorer.ts'
import { approxPrefixCacheProducer } from './approx-prefix-cache-producer.ts'
import { byLabel } from './by-label.ts'
import { concurrencyDetector } from './concurrency-detector.ts'
import { contextLengthAware } from './context-length-aware.ts'
import { contextLengthAwareFilter } from './context-length-aware-filter.ts'
import { decodeFilter } from './decode-filter.ts'
import { encodeFilter } from './encode-filter.ts'
import { endpointAttributeFilter } from './endpoint-attribute-filter.ts'
import { endpointAttributeScorer } from './endpoint-attribute-scorer.ts'
import { headerBasedTestingFilter } from './header-based-testing-filter.ts'
import { headerLabelAffinityScorer } from './header-label-affinity-scorer.ts'
import { inflightLoadProducer } from './inflight-load-producer.ts'
import { kvCacheUtilizationScorer } from './kv-cache-utilization-scorer.ts'
import { labelSelectorFilter } from './label-selector-filter.ts'
import { loadAwareScorer } from './load-aware-scorer.ts'
import { loraAffinityScorer } from './lora-affinity-scorer.ts'
import { maxScorePicker } from './max-score-picker.ts'
import { noHitLruScorer } from './no-hit-lru-scorer.ts'
import { prefillFilter } from './prefill-filter.ts'
import { prefixCacheAffinityFilter } from './prefix-cache-affinity-filter.ts'
import { prefixCacheScorer } from './prefix-cache-scorer.ts'
import { queueScorer } from './queue-scorer.ts'
import { randomPicker } from './random-picker.ts'
import { runningRequestsSizeScorer } from './running-requests-size-scorer.ts'
import { sessionAffinityFilter } from './session-affinity-filter.ts'
import { sessionAffinityScorer } from './session-affinity-scorer.ts'
import { tokenLoadScorer } from './token-load-scorer.ts'
import { utilizationDetector } from './utilization-detector.ts'
import { utilizationFilter } from './utilization-filter.ts'
import { weightedRandomPicker } from './weighted-random-picker.ts'

/** The plug-ins of the Endpoint Picker by its names, parameters and formulas (endpoint-picker.md 4.3 to 4.6). */
export const eppPlugins: readonly PluginDefinition[] = [
  approxPrefixCacheProducer,
  inflightLoadProducer,
  labelSelectorFilter,
  byLabel,
  decodeFilter,
  prefillFilter,
  encodeFilter,
  prefixCacheAffinityFilter,
  contextLengthAwareFilter,
  utilizationDetector,
  concurrencyDetector,
  utilizationFilter,
  endpointAttributeFilter,
  sessionAffinityFilter,
  headerBasedTestingFilter,
  queueScorer,
  runningRequestsSizeScorer,
  kvCacheUtilizationScorer,
  prefixCacheScorer,
  noHitLruScorer,
  loraAffinityScorer,
  loadAwareScorer,
  tokenLoadScorer,
  activeRequestScorer,
  contextLengthAware,
  sessionAffinityScorer,
  endpointAttributeScorer,
  headerLabelAffinityScorer,
  maxScorePicker,
  randomPicker,
  weightedRandomPicker,
]
