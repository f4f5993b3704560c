import { balancedProfile } from './balanced-profile.ts'
import { defaultProfile } from './default-profile.ts'

/**
 * What the Endpoint Picker does without a configuration, and the profile of its chart (endpoint-picker.md 4.1): queue 2,
 * KV cache 2, prefix 3, behind a filter that keeps out what is not ready.
 */
const llmD = {
  producers: [{ type: 'approx-prefix-cache-producer', parameters: {} }],
  filters: [{ type: 'usable', parameters: {} }],
  scorers: [
    { type: 'queue-scorer', weight: 2, parameters: {} },
    { type: 'kv-cache-utilization-scorer', weight: 2, parameters: {} },
    { type: 'prefix-cache-scorer', weight: 3, parameters: {} },
  ],
  picker: { type: 'max-score-picker', parameters: {} },
} as const

/** What Kthena's router does without a configuration (kthena-router.md 4.2). */
const kthena = {
  filters: [
    { type: 'usable', parameters: {} },
    { type: 'kthena-least-request-filter', parameters: {} },
  ],
  scorers: [
    { type: 'kthena-least-request', weight: 1, parameters: {} },
    { type: 'kthena-least-latency', weight: 1, parameters: {} },
    { type: 'kthena-prefix-cache', weight: 1, parameters: {} },
  ],
  picker: { type: 'max-score', parameters: {} },
} as const

/**
 * Profiles (`ProfilePlan` of config/snapshot.ts) that may be named without being written; one of the same name that is written
 * goes before it.
 */
export const builtInProfiles = {
  house: defaultProfile,
  balanced: balancedProfile,
  'llm-d': llmD,
  kthena,
} as const

/** Each of them in a sentence, for the reference page. */
export const builtInSummaries: Readonly<Record<keyof typeof builtInProfiles, string>> = {
  house: 'The default profile: where a request costs least time, its own and that of the others there.',
  balanced: 'Four scores of load, none of the prompt.',
  'llm-d': 'What the Endpoint Picker of llm-d does without a configuration, and by its chart.',
  kthena: "What Kthena's router does without a configuration.",
}
