import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseDocuments } from '#config/load-documents.ts'
import { strategyNames } from '#config/routing-strategy.ts'
import type { ProfilePlan } from '#config/snapshot.ts'
import { snapshotOf } from '#controller/load-snapshot.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'

/** What other gateways ship or show in their guides, and what becomes of it here: nothing more, nothing less. */

const model = 'models: { m: { endpoints: ["http://127.0.0.1:8000"] } }\n'

interface Loaded {
  readonly profile: ProfilePlan | undefined
  readonly problems: readonly string[]
}

function load(text: string, env: Readonly<Record<string, string>> = {}): Loaded {
  const result = snapshotOf(parseDocuments({ file: 'a.yaml', text }, env), { env, plugins, defaultProfile }, () => [])
  if (result.ok) return { profile: result.snapshot.profiles.default, problems: [] }
  return { profile: undefined, problems: result.problems.map(({ path, message }) => `${path}: ${message}`) }
}

/** A profile in one line: filters, then scorers with their weights, then the picker. */
function line(profile: ProfilePlan | undefined): string {
  if (profile === undefined) return 'none'
  const { filters, scorers, picker } = profile
  const parts = [filters.map(({ type }) => type), scorers.map(({ type, weight }) => `${weight} ${type}`), [picker.type]]
  return parts.map((part) => part.join(', ')).join(' | ')
}

const eppHeader = 'apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n'

// endpoint-picker.md 4.1; the default of the chart and `payload-agnostic` are in endpoint-picker-config.test.ts.
const picker: readonly (readonly [name: string, text: string, profile: string, problems?: readonly string[]])[] = [
  [
    'the defaults of its first release: equal weights',
    `apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
- type: max-score-picker
- type: single-profile-handler
schedulingProfiles:
- name: default
  plugins:
  - { pluginRef: queue-scorer, weight: 1 }
  - { pluginRef: kv-cache-utilization-scorer, weight: 1 }
  - { pluginRef: prefix-cache-scorer, weight: 1 }
  - pluginRef: max-score-picker
`,
    'usable | 1 queue-scorer, 1 kv-cache-utilization-scorer, 1 prefix-cache-scorer | max-score-picker',
  ],
  [
    'adapters first',
    `${eppHeader}plugins: [ { type: queue-scorer }, { type: kv-cache-utilization-scorer }, { type: lora-affinity-scorer } ]
`,
    'usable | 1 queue-scorer, 1 kv-cache-utilization-scorer, 1 lora-affinity-scorer | max-score-picker',
  ],
  [
    'tokens in flight, and cold prompts in turns',
    `${eppHeader}plugins:
- type: token-load-scorer
- type: prefix-cache-scorer
  parameters: { matchLengthWeight: 0.5, matchLengthScaleTokens: 16384 }
- type: no-hit-lru-scorer
- type: weighted-random-picker
schedulingProfiles:
- name: default
  plugins:
  - { pluginRef: prefix-cache-scorer, weight: 2 }
  - { pluginRef: token-load-scorer, weight: 1 }
  - { pluginRef: no-hit-lru-scorer, weight: 1 }
  - pluginRef: weighted-random-picker
`,
    'usable | 2 prefix-cache-scorer, 1 token-load-scorer, 1 no-hit-lru-scorer | weighted-random-picker',
  ],
  [
    'the latency profile of its chart',
    `${eppHeader}plugins:
- type: predicted-latency-producer
- { name: sticky, type: prefix-cache-affinity-filter, parameters: { affinityThreshold: 0.99 } }
- type: slo-headroom-tier-filter
- { name: warm, type: prefix-cache-affinity-filter, parameters: { affinityThreshold: 0.80 } }
- type: latency-scorer
- type: weighted-random-picker
- type: latency-slo-admitter
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: sticky
  - pluginRef: slo-headroom-tier-filter
  - pluginRef: warm
  - pluginRef: latency-scorer
  - pluginRef: weighted-random-picker
`,
    'none',
    [0, 2, 4, 6].map(
      (at, i) =>
        `plugins[${at}].type: '${['predicted-latency-producer', 'slo-headroom-tier-filter', 'latency-scorer', 'latency-slo-admitter'][i]}' cannot be used: this version has no latency predictor: leave it out`,
    ),
  ],
]

// kthena-router.md 4.2, and the strategies of its benchmark (8.1).
const kthenaScores = (...names: readonly string[]): string =>
  `scheduler:\n  plugins:\n    Filter: { enabled: [] }\n    Score:\n      enabled:\n${names.map((name) => `        - { name: ${name}, weight: 1 }\n`).join('')}`

const kthena: readonly (readonly [name: string, text: string, profile: string])[] = [
  [
    'the values of its chart',
    `scheduler:
  pluginConfig:
  - name: least-request
    args: { maxWaitingRequests: 10 }
  - name: least-latency
    args: { TTFTTPOTWeightFactor: 0.5 }
  - name: prefix-cache
    args: { blockSizeToHash: 64, maxBlocksToMatch: 128, maxHashCacheSize: 50000 }
  plugins:
    Filter:
      enabled: [least-request]
      disabled: [lora-affinity]
    Score:
      enabled:
      - { name: least-request, weight: 1 }
      - { name: gpu-usage, weight: 1 }
      - { name: least-latency, weight: 1 }
      - { name: prefix-cache, weight: 1 }
`,
    'usable, kthena-least-request-filter | 1 kthena-least-request, 1 kthena-gpu-usage, 1 kthena-least-latency, 1 kthena-prefix-cache | max-score',
  ],
  ...(
    [
      [['least-request', 'kvcache-aware']],
      [['least-request', 'prefix-cache']],
      [['random']],
      [['least-request']],
      [['gpu-usage']],
      [['least-latency']],
    ] as const
  ).map(
    ([names]) =>
      [
        names.join(' + '),
        kthenaScores(...names),
        `usable | ${names.map((name) => `1 kthena-${name}`).join(', ')} | max-score`,
      ] as const,
  ),
]

describe('an EndpointPickerConfig:', () => {
  for (const [name, text, profile, problems = []] of picker) {
    test(name, () => {
      const loaded = load(`${model}---\n${text}`)
      assert.deepEqual(loaded.problems.toSorted(), problems.toSorted())
      assert.equal(line(loaded.profile), profile)
    })
  }
})

describe('a router configuration of Kthena:', () => {
  for (const [name, text, profile] of kthena) {
    test(name, () => {
      const { profile: loaded, problems } = load(`${model}---\n${text}`)
      assert.deepEqual(problems, [])
      assert.equal(line(loaded), profile)
    })
  }
})

describe('a strategy of AIBrix', () => {
  for (const name of strategyNames) {
    test(`${name}: as a profile and in the environment`, () => {
      const expected = `usable | 1 aibrix-${name} | max-score`
      const written = load(`${model}profiles: { default: { strategy: ${name} } }\n`)
      assert.deepEqual(written.problems, [])
      assert.equal(line(written.profile), expected)
      assert.equal(line(load(model, { ROUTING_ALGORITHM: name }).profile), expected)
    })
  }

  for (const [name, needs] of [
    ['pd', 'prefill and decode on separate endpoints'],
    ['slo', 'latency targets and a queue'],
    ['slo-pack-load', 'latency targets and a queue'],
    ['slo-least-load', 'latency targets and a queue'],
    ['slo-least-load-pulling', 'latency targets and a queue'],
    ['vtc-basic', 'fairness between users'],
  ] as const) {
    test(`${name} is refused`, () => {
      const { problems } = load(`${model}profiles: { default: { strategy: ${name} } }\n`)
      assert.equal(problems.length, 1)
      assert.match(problems[0] ?? '', new RegExp(`'${name}', which this version does not have: it needs ${needs}`))
    })
  }
})
