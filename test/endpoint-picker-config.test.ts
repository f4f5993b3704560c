import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseDocuments } from '#config/load-documents.ts'
import type { ConfigProblem } from '#config/problem.ts'
import type { PluginPlan, ProfilePlan } from '#config/snapshot.ts'
import { snapshotOf } from '#controller/load-snapshot.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'

const model = 'models: { m: { endpoints: ["http://127.0.0.1:8000"] } }\n---\n'
const header = 'apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n'

function load(text: string) {
  const documents = parseDocuments({ file: 'epp.yaml', text }, {})
  return snapshotOf(documents, { env: {}, plugins, defaultProfile }, () => [])
}

function told(problems: readonly ConfigProblem[]): string[] {
  return problems.map(({ path, message, hint }) => `${path}: ${message}${hint === undefined ? '' : ` (${hint})`}`)
}

/** A plug-in with those of its parameters that are not the defaults. */
function written({ type, parameters }: PluginPlan): string {
  const usual = plugins.find((one) => one.type === type)?.parameters.parse({}) as Record<string, unknown>
  const given = Object.entries(parameters).filter(
    ([key, value]) => JSON.stringify(value) !== JSON.stringify(usual[key]),
  )
  return given.length === 0 ? type : `${type}${JSON.stringify(Object.fromEntries(given))}`
}

function lines({ producers = [], filters, scorers, picker }: ProfilePlan): string[] {
  return [
    ...producers.map((plan) => `produce ${written(plan)}`),
    ...filters.map((plan) => `filter ${written(plan)}`),
    ...scorers.map((plan) => `score ${plan.weight} ${written(plan)}`),
    `pick ${written(picker)}`,
  ]
}

interface Golden {
  readonly name: string
  readonly text: string
  readonly plan: readonly string[]
  readonly warnings?: readonly string[]
}

const prefix = 'produce approx-prefix-cache-producer'
const load0 = 'produce inflight-load-producer'

// Documents of the shapes that the Endpoint Picker documents and ships (endpoint-picker.md 4.1), by generation.
const goldens: readonly Golden[] = [
  {
    name: 'the default of its Helm chart',
    text: `
plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
- type: metrics-data-source
  parameters: { scheme: "http", path: "/metrics", insecureSkipVerify: true }
- type: core-metrics-extractor
schedulingProfiles:
- name: default
  plugins:
  - { pluginRef: queue-scorer, weight: 2 }
  - { pluginRef: kv-cache-utilization-scorer, weight: 2 }
  - { pluginRef: prefix-cache-scorer, weight: 3 }
dataLayer:
  sources:
  - pluginRef: metrics-data-source
    extractors:
    - pluginRef: core-metrics-extractor
`,
    plan: [
      prefix,
      'filter usable',
      'score 2 queue-scorer',
      'score 2 kv-cache-utilization-scorer',
      'score 3 prefix-cache-scorer',
      'pick max-score-picker',
    ],
  },
  {
    name: 'its payload-agnostic profile',
    text: `
plugins:
- type: passthrough-parser
- type: active-request-scorer
- type: session-affinity-scorer
requestHandler:
  parsers:
  - pluginRef: passthrough-parser
schedulingProfiles:
- name: default
  plugins:
  - { pluginRef: active-request-scorer, weight: 1 }
  - { pluginRef: session-affinity-scorer, weight: 1 }
`,
    plan: [
      'filter usable',
      'score 1 active-request-scorer',
      'score 1 session-affinity-scorer',
      'pick max-score-picker',
    ],
    warnings: [
      "plugins[0].type: 'passthrough-parser' does nothing here: the gateway reads the model from every body that it knows",
      "plugins[2].type: scorer 'session-affinity-scorer' is alpha: it may change or go",
    ],
  },
  {
    name: 'no profile: every filter, scorer and picker, in the order of the document',
    text: `
plugins:
- type: decode-filter
- type: random-picker
- type: no-hit-lru-scorer
  parameters: { lruSize: 2048 }
- type: label-selector-filter
  parameters: { matchLabels: { tier: gold } }
- type: load-aware-scorer
`,
    plan: [
      prefix,
      'filter usable',
      'filter decode-filter',
      'filter label-selector-filter{"matchLabels":{"tier":"gold"}}',
      'score 1 no-hit-lru-scorer{"lruSize":2048}',
      'score 1 load-aware-scorer',
      'pick random-picker',
    ],
  },
  {
    name: 'no plug-in at all',
    text: 'plugins: []\n',
    plan: ['filter usable', 'pick max-score-picker'],
  },
  {
    name: 'an explicit producer, handler and picker',
    text: `
plugins:
- type: approx-prefix-cache-producer
  parameters: { maxPrefixTokensToMatch: 4096, lruCapacityPerServer: 31250 }
- type: prefix-cache-scorer
- type: decode-filter
- type: max-score-picker
- type: single-profile-handler
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: decode-filter
  - pluginRef: max-score-picker
  - { pluginRef: prefix-cache-scorer, weight: 2 }
`,
    plan: [
      `${prefix}{"maxPrefixTokensToMatch":4096}`,
      'filter usable',
      'filter decode-filter',
      'score 2 prefix-cache-scorer',
      'pick max-score-picker',
    ],
  },
  {
    name: 'the first generation: blocks of bytes at the scorer, kv-cache-scorer, the older group',
    text: `
plugins:
- type: queue-scorer
- type: kv-cache-scorer
- type: prefix-cache-scorer
  parameters: { hashBlockSize: 64, maxPrefixBlocksToMatch: 256, lruCapacityPerServer: 31250 }
- type: max-score-picker
  parameters: { maxNumOfEndpoints: 1 }
- type: single-profile-handler
schedulingProfiles:
- name: default
  plugins:
  - { pluginRef: queue-scorer, weight: 1 }
  - { pluginRef: kv-cache-scorer, weight: 1 }
  - { pluginRef: prefix-cache-scorer, weight: 3 }
  - pluginRef: max-score-picker
`,
    plan: [
      // 256 blocks of 64 bytes are 4,096 tokens.
      `${prefix}{"autoTune":false,"maxPrefixTokensToMatch":4096,"maxPrefixBlocksToMatch":256}`,
      'filter usable',
      'score 1 queue-scorer',
      'score 1 kv-cache-utilization-scorer',
      'score 3 prefix-cache-scorer',
      'pick max-score-picker',
    ],
  },
  {
    name: 'what an operator of model servers writes: prefix and load',
    text: `
plugins:
- type: single-profile-handler
- type: prefix-cache-scorer
- type: load-aware-scorer
- type: max-score-picker
schedulingProfiles:
- name: default
  plugins:
  - { pluginRef: prefix-cache-scorer, weight: 2.0 }
  - { pluginRef: load-aware-scorer, weight: 1.0 }
  - pluginRef: max-score-picker
`,
    plan: [
      prefix,
      'filter usable',
      'score 2 prefix-cache-scorer',
      'score 1 load-aware-scorer',
      'pick max-score-picker',
    ],
  },
  {
    name: 'affinity first, then tokens: named producers, two gates',
    text: `
plugins:
- { type: token-producer, parameters: {} }
- { name: prefixes, type: approx-prefix-cache-producer, parameters: { blockSizeTokens: 128, autoTune: false } }
- { name: loads, type: inflight-load-producer, parameters: { prefixMatchInfoProducerName: prefixes } }
- name: strict
  type: prefix-cache-affinity-filter
  parameters: { affinityThreshold: 0.99, prefixMatchInfoProducerName: prefixes }
- name: loose
  type: prefix-cache-affinity-filter
  parameters: { maxTTFTPenaltyMs: 6000, inFlightLoadProducerName: loads }
- type: token-load-scorer
  parameters: { inFlightLoadProducerName: loads }
- type: weighted-random-picker
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: prefixes
  - pluginRef: strict
  - pluginRef: loose
  - pluginRef: token-load-scorer
  - pluginRef: weighted-random-picker
`,
    plan: [
      `${prefix}{"autoTune":false,"blockSizeTokens":128}`,
      load0,
      'filter usable',
      'filter prefix-cache-affinity-filter{"affinityThreshold":0.99}',
      'filter prefix-cache-affinity-filter{"maxTTFTPenaltyMs":6000}',
      'score 1 token-load-scorer',
      'pick weighted-random-picker',
    ],
  },
  {
    name: 'producers that are read and not named are added, and only those',
    text: 'plugins: [{ type: token-load-scorer }]\n',
    plan: [load0, 'filter usable', 'score 1 token-load-scorer', 'pick max-score-picker'],
  },
  {
    name: 'ranges of context length, scored and filtered',
    text: `
plugins:
- { type: context-length-aware, parameters: { label: ctx, enableFiltering: true } }
- { type: running-requests-size-scorer }
`,
    plan: [
      'filter usable',
      'filter context-length-aware-filter{"label":"ctx"}',
      'score 1 context-length-aware{"label":"ctx"}',
      'score 1 running-requests-size-scorer',
      'pick max-score-picker',
    ],
  },
  {
    name: 'detectors as filters; the former places of detector and parser; queues described but off',
    text: `
featureGates: [ flowControl=false, haPopulateNonLeaderDatastore ]
plugins:
- { type: utilization-detector, parameters: { queueDepthThreshold: 10, metricsStalenessThreshold: 1s } }
- { name: busy, type: concurrency-detector, parameters: { concurrencyMode: hybrid } }
- { type: openai-parser }
- { type: max-score-picker }
schedulingProfiles:
- name: default
  plugins: [ { pluginRef: utilization-detector }, { pluginRef: busy } ]
saturationDetector: { pluginRef: busy }
parser: { pluginRef: openai-parser }
flowControl: { maxBytes: 1Gi, defaultRequestTTL: 1m, saturationDetector: { pluginRef: utilization-detector } }
`,
    plan: [
      load0,
      'filter usable',
      'filter utilization-detector{"queueDepthThreshold":10,"metricsStalenessThreshold":"1s"}',
      'filter concurrency-detector{"concurrencyMode":"hybrid"}',
      'pick max-score-picker',
    ],
    warnings: ["flowControl: 'flowControl' is not read while its feature gate is off"],
  },
  {
    name: 'attributes of the core metrics',
    text: `
plugins:
- name: not-too-full
  type: endpoint-attribute-filter
  parameters:
    attribute: KVCacheUsagePercent/core-metrics-extractor
    onMissing: Pass
    fallbackOnEmpty: true
    algorithm: { type: threshold, threshold: { operator: LessThanOrEqual, value: 0.9 } }
- name: shortest
  type: endpoint-attribute-scorer
  parameters: { attributeKey: WaitingQueueSize, algorithm: { type: linear_lower_is_better } }
schedulingProfiles:
- name: default
  plugins: [ { pluginRef: not-too-full }, { pluginRef: shortest, weight: 0.5 } ]
`,
    plan: [
      'filter usable',
      'filter endpoint-attribute-filter{"attribute":"KVCacheUsagePercent/core-metrics-extractor","fallbackOnEmpty":true,"algorithm":{"type":"threshold","threshold":{"operator":"LessThanOrEqual","value":0.9}}}',
      'score 0.5 endpoint-attribute-scorer',
      'pick max-score-picker',
    ],
    warnings: [
      "plugins[0].type: filter 'endpoint-attribute-filter' is alpha: it may change or go",
      "plugins[1].type: scorer 'endpoint-attribute-scorer' is alpha: it may change or go",
    ],
  },
  {
    name: 'session ids by another plug-in’s header, and a former spelling of the scorer',
    text: `
plugins:
- { type: session-id-producer, parameters: { cookieName: sid } }
- { type: agent-identity, parameters: { additionalSessionHeaders: [ x-run ] } }
- name: by-cookie
  type: session-affinity-filter
  parameters:
    strategy: session_id
    sessionIdConfig: { sources: [ { attribute: SessionID, producer: session-id-producer }, { header: x-s }, { attribute: SessionID, producer: agent-identity } ] }
- name: by-header
  type: session-affinity-scorer
  parameters: { algorithm: session_id_header, headerName: x-session-token, evictionTtlSeconds: 600 }
`,
    plan: [
      'filter usable',
      'filter session-affinity-filter{"strategy":"session_id","sessionIdConfig":{"sources":[{"cookie":"sid"},{"header":"x-s"},{"header":"x-claude-code-session-id"},{"header":"x-session-affinity"},{"header":"session-id"},{"header":"session_id"},{"header":"x-run"}]}}',
      'score 1 session-affinity-scorer{"strategy":"session_id","sessionIdConfig":{"sources":[{"header":"x-session-token"}]},"evictionTtlSeconds":600}',
      'pick max-score-picker',
    ],
    warnings: [
      "plugins[1].type: 'agent-identity' does nothing here: it tells flows apart for queues, and this version has none",
      "plugins[2].type: filter 'session-affinity-filter' is alpha: it may change or go",
      "plugins[3].type: scorer 'session-affinity-scorer' is alpha: it may change or go",
    ],
  },
  {
    name: 'data parallelism, and filters under their former names',
    text: `
plugins:
- { type: data-parallel-profile-handler, parameters: { primaryPort: 8000 } }
- { type: by-label, parameters: { label: gpu, validValues: [ h100 ], allowsNoLabel: true } }
- { type: by-label-selector, parameters: { matchExpressions: [ { key: zone, operator: Exists } ] } }
- { type: lora-affinity-scorer }
`,
    plan: [
      'filter usable',
      'filter by-label{"label":"gpu","validValues":["h100"],"allowsNoLabel":true}',
      'filter label-selector-filter{"matchExpressions":[{"key":"zone","operator":"Exists"}]}',
      'score 1 lora-affinity-scorer',
      'pick max-score-picker',
    ],
    warnings: [
      "plugins[0].type: 'data-parallel-profile-handler' does nothing here: data-parallel ranks are endpoints of their own here, chosen like any other: x-data-parallel-host-port is not written",
    ],
  },
  {
    name: 'a picker in another profile’s stead, and plug-ins that nobody uses',
    text: `
plugins:
- { type: queue-scorer }
- { type: lora-affinity-scorer }
- { type: concurrency-detector }
- { type: random-picker, parameters: { maxNumOfEndpoints: 3 } }
schedulingProfiles: [ { name: default, plugins: [ { pluginRef: queue-scorer } ] } ]
`,
    plan: ['filter usable', 'score 1 queue-scorer', 'pick random-picker{"maxNumOfEndpoints":3}'],
    warnings: [
      "plugins[1].type: 'lora-affinity-scorer' does nothing: it is in no profile",
      "plugins[2].type: 'concurrency-detector' does nothing: it is in no profile, and nothing else here asks whether engines are saturated",
      'plugins[3].type: one endpoint is picked and three more are ranked behind it, for further tries',
    ],
  },
]

describe('of an EndpointPickerConfig becomes a profile:', () => {
  for (const { name, text, plan, warnings = [] } of goldens) {
    test(name, () => {
      const former = 'apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\n'
      for (const start of [header, former]) {
        const result = load(model + start + text)
        assert.deepEqual(result.ok ? [] : told(result.problems), [])
        assert.ok(result.ok)
        assert.deepEqual(lines(result.snapshot.profiles['default'] as ProfilePlan), plan)
        assert.deepEqual(told(result.warnings), warnings)
      }
    })
  }
})

interface Refusal {
  readonly name: string
  readonly text: string
  readonly problems: readonly string[]
}

const precise =
  "KV events ('kvEvents' of a model) are read for the gateway's own profile only: use 'approx-prefix-cache-producer' and 'prefix-cache-scorer' instead"

const refusals: readonly Refusal[] = [
  {
    name: 'an unknown plug-in, key, gate or reference is told with the nearest',
    text: `
featureGates: [ flowcontrol, x=maybe ]
plugins:
- { type: queue-scorrer }
- { type: load-aware-scorer, parameters: { treshold: 3 } }
- { type: token-load-scorer, parameter: {} }
`,
    problems: ["plugins[2].parameter: unknown key 'parameter' (did you mean 'parameters'?)"],
  },
  {
    name: 'the same, where the shape is right',
    text: `
featureGates: [ flowcontrol, x=maybe ]
plugins:
- { type: queue-scorrer }
- { type: load-aware-scorer, parameters: { treshold: 3 } }
- { type: openai-parser, parameters: { strict: true } }
schedulingProfiles: [ { name: default, plugins: [ { pluginRef: load-aware-score }, { pluginRef: load-aware-scorer } ] } ]
`,
    problems: [
      "featureGates[0]: unknown feature gate 'flowcontrol' (did you mean 'flowControl'?)",
      "featureGates[1]: feature gate 'x' is true or false, not 'maybe'",
      "plugins[0].type: unknown plug-in type 'queue-scorrer' (did you mean 'queue-scorer'?)",
      "plugins[1].parameters.treshold: unknown key 'treshold' (did you mean 'threshold'?)",
      "plugins[2].parameters.strict: unknown key 'strict'",
      "schedulingProfiles[0].plugins[0].pluginRef: no plug-in is named 'load-aware-score' (did you mean 'load-aware-scorer'?)",
    ],
  },
  {
    name: 'parameters out of range',
    text: `
plugins:
- { type: prefix-cache-affinity-filter, parameters: { affinityThreshold: 2, ttftSource: latencyPredictor } }
- { type: label-selector-filter, parameters: { matchExpressions: [ { key: a, operator: Gt, values: [ "1" ] } ] } }
- { type: endpoint-attribute-scorer, parameters: { attributeKey: GPUUtilization/dcgm-extractor } }
- { type: utilization-detector, parameters: { metricsStalenessThreshold: 200 } }
`,
    problems: [
      "plugins[0].parameters.affinityThreshold: 'affinityThreshold' must be at most 1",
      "plugins[0].parameters.ttftSource: 'ttftSource' must be prefillThroughput: this version has no latency predictor",
      "plugins[1].parameters.matchExpressions[0].operator: 'operator' must be In, NotIn, Exists or DoesNotExist",
      "plugins[2].parameters: 'algorithm' is missing",
      "plugins[2].parameters.attributeKey: 'attributeKey' must be WaitingQueueSize, RunningRequestsSize, KVCacheUsagePercent: the attributes of core-metrics-extractor; others are not collected by this version",
      "plugins[3].parameters.metricsStalenessThreshold: 'metricsStalenessThreshold' must be text, not a number",
    ],
  },
  {
    name: 'flow control',
    text: `
featureGates: [ flowControl ]
plugins: [ { type: queue-scorer } ]
flowControl: { maxRequests: 100, priorityBands: [ { priority: 1 } ] }
`,
    problems: [
      "featureGates[0]: feature gate 'flowControl' cannot be on: this version has no flow control: requests are placed at once, or refused (leave 'flowControl' out)",
    ],
  },
  {
    name: 'prefill and decode on different endpoints',
    text: `
plugins:
- { type: prefill-filter }
- { type: decode-filter }
- { type: disagg-profile-handler, parameters: { deciders: { prefill: prefix-based-pd-decider } } }
- { type: prefix-based-pd-decider, parameters: { nonCachedTokens: 16 } }
schedulingProfiles:
- { name: prefill, plugins: [ { pluginRef: prefill-filter } ] }
- { name: decode, plugins: [ { pluginRef: decode-filter } ] }
`,
    problems: [
      "plugins[2].type: 'disagg-profile-handler' cannot be used: this version does not run prefill and decode on different endpoints: give one profile with the scorers for both",
      "plugins[3].type: 'prefix-based-pd-decider' cannot be used: this version does not run prefill and decode on different endpoints: give one profile with the scorers for both",
    ],
  },
  {
    name: 'prediction',
    text: `
plugins:
- { type: predicted-latency-producer }
- { type: latency-scorer }
- { type: latency-slo-admitter }
schedulingProfiles: [ { name: default, plugins: [ { pluginRef: predicted-latency-producer }, { pluginRef: latency-scorer } ] } ]
`,
    problems: ['predicted-latency-producer', 'latency-scorer', 'latency-slo-admitter'].map(
      (type, i) => `plugins[${i}].type: '${type}' cannot be used: this version has no latency predictor: leave it out`,
    ),
  },
  {
    name: 'matching by KV events, in each generation',
    text: `
plugins:
- { type: precise-prefix-cache-producer, parameters: { tokenProcessorConfig: { blockSize: 64 } } }
- { type: precise-prefix-cache-scorer }
- { type: prefix-cache-scorer, parameters: { mode: cache_tracking, prefixMatchInfoProducerName: precise-prefix-cache-producer } }
- { type: token-producer, parameters: { modelName: m, vllm: { url: "http://localhost:8000" } } }
`,
    problems: [
      `plugins[0].type: 'precise-prefix-cache-producer' cannot be used: ${precise}`,
      `plugins[1].type: 'precise-prefix-cache-scorer' cannot be used: ${precise}`,
      "plugins[2].parameters.mode: 'mode' belongs to matching by KV events, which this plug-in does not do: leave it out",
      "plugins[3].parameters.modelName: 'modelName' asks for a tokenizer, which this version does not have: leave it out",
      "plugins[3].parameters.vllm: 'vllm' asks for a tokenizer, which this version does not have: leave it out",
    ],
  },
  {
    name: 'several clusters, GPU counters, discovery by file, gRPC',
    text: `
plugins:
- { type: multicluster-queue-scorer }
- { type: dcgm-data-source, parameters: { port: 9400 } }
- { type: file-discovery, parameters: { path: /etc/endpoints.yaml } }
- { type: vllmgrpc-parser }
dataLayer: { discovery: { pluginRef: file-discovery } }
`,
    problems: [
      "dataLayer.discovery: endpoints are given to the gateway as 'models.NAME.endpoints' or as a ModelServer (leave it out)",
      "plugins[0].type: 'multicluster-queue-scorer' cannot be used: this version knows the endpoints of one cluster only: leave it out",
      "plugins[1].type: 'dcgm-data-source' cannot be used: this version does not collect these attributes: leave it out, and the plug-ins that read them",
      "plugins[2].type: 'file-discovery' cannot be used: endpoints are given to the gateway as 'models.NAME.endpoints' or as a ModelServer: leave it out",
      "plugins[3].type: 'vllmgrpc-parser' cannot be used: this version speaks no gRPC to engines: leave it out",
    ],
  },
  {
    name: 'metrics pages elsewhere than the model server says',
    text: `
plugins:
- { type: metrics-data-source, parameters: { scheme: https, path: /stats, port: 9100 } }
`,
    problems: ['path', 'port', 'scheme'].map(
      (key) =>
        `plugins[0].parameters.${key}: '${key}' of metrics pages is said by the model server (write 'scrape' at the model, or leave it out)`,
    ),
  },
  {
    name: 'what contradicts itself',
    text: `
plugins:
- { type: max-score-picker }
- { name: second, type: random-picker }
- { type: queue-scorer }
- { type: queue-scorer }
- { type: single-profile-handler }
- { name: h2, type: single-profile-handler }
- { type: openai-parser }
schedulingProfiles: [ { name: default, plugins: [ { pluginRef: max-score-picker }, { pluginRef: second }, { pluginRef: openai-parser } ] } ]
requestHandler: { parsers: [ { pluginRef: queue-scorer } ] }
saturationDetector: { pluginRef: queue-scorer }
`,
    problems: [
      "plugins[1].type: profile 'default' has two pickers",
      "plugins[3].type: two plug-ins are named 'queue-scorer' (give one of them another 'name')",
      "plugins[5].type: there is a second profile handler beside 'single-profile-handler'; only one is possible",
      "requestHandler.parsers[0].pluginRef: 'queue-scorer' is a filter, scorer or picker, not a parser",
      "saturationDetector.pluginRef: 'queue-scorer' is a queue-scorer, not a saturation detector",
      "schedulingProfiles[0].plugins[2].pluginRef: 'openai-parser' is a parser, not a filter, scorer or picker",
    ],
  },
  {
    name: 'several profiles without a handler',
    text: `
plugins: [ { type: queue-scorer } ]
schedulingProfiles: [ { name: a, plugins: [] }, { name: b, plugins: [] } ]
`,
    problems: [
      "schedulingProfiles[1]: several scheduling profiles need a profile handler that chooses: 'header-profile-handler' (or give each its own document with a metadata.name, and name it at the model server)",
    ],
  },
  {
    name: 'two producers of prefix matches in one profile, and parameters beside a producer',
    text: `
plugins:
- { name: p1, type: approx-prefix-cache-producer }
- { name: p2, type: approx-prefix-cache-producer }
- { name: s1, type: prefix-cache-scorer, parameters: { prefixMatchInfoProducerName: p1 } }
- { name: s2, type: prefix-cache-scorer, parameters: { prefixMatchInfoProducerName: p2, blockSize: 64 } }
- { type: token-load-scorer, parameters: { inFlightLoadProducerName: p1 } }
`,
    problems: [
      'plugins[1].name: a profile has one producer of prefix matches here, and its plug-ins name several',
      "plugins[3].parameters: the producer 'p1' decides on blocks: what stands here has no meaning beside it",
      "plugins[4].parameters.inFlightLoadProducerName: 'p1' is a approx-prefix-cache-producer, not a inflight-load-producer",
    ],
  },
]

describe('an EndpointPickerConfig is refused with a reason for', () => {
  for (const { name, text, problems } of refusals) {
    test(name, () => {
      const result = load(model + header + text)
      assert.deepEqual((result.ok ? [] : told(result.problems)).toSorted(), problems.toSorted())
    })
  }
})

describe('model servers get the profile', () => {
  const body = 'plugins: [ { type: queue-scorer } ]\n'
  const named = (name: string): string => `${header}metadata: { name: ${name} }\n${body}`
  const scorers = (text: string): Record<string, string[]> => {
    const result = load(text)
    assert.deepEqual(result.ok ? [] : told(result.problems), [])
    const profiles = result.ok ? result.snapshot.profiles : {}
    return Object.fromEntries(
      Object.entries(profiles).map(([name, plan]) => [name, plan.scorers.map(({ type }) => type)]),
    )
  }
  const house = defaultProfile.scorers.map(({ type }) => type as string)

  test('of a document without metadata, which is the default', () => {
    assert.deepEqual(scorers(model + header + body), { default: ['queue-scorer'] })
  })

  test('of the only document, whatever its name', () => {
    assert.deepEqual(scorers(model + named('fast')), { default: ['queue-scorer'], fast: ['queue-scorer'] })
  })

  test('that they name, of several documents', () => {
    const models = 'models: { m: { endpoints: ["http://127.0.0.1:8000"], profile: b } }\n---\n'
    const text = `${models}${named('a')}---\n${named('b')}`
    assert.deepEqual(scorers(text), { default: house, a: ['queue-scorer'], b: ['queue-scorer'] })
  })

  test('called default of several documents, when they name none', () => {
    const text = `${model}${named('a')}---\n${header}${body}`
    assert.deepEqual(scorers(text), { default: ['queue-scorer'], a: ['queue-scorer'] })
  })

  test('of the short form, beside a document with a name', () => {
    const short = 'profiles: { default: { scorers: [ least-request ] } }\n'
    assert.deepEqual(scorers(short + model + named('a')), { default: ['least-request'], a: ['queue-scorer'] })
  })

  test('of a ConfigMap, whose files name theirs', () => {
    const file = (name: string, type: string): string =>
      `  ${name}: |\n    apiVersion: llm-d.ai/v1alpha1\n    kind: EndpointPickerConfig\n    plugins: [ { type: ${type} } ]\n`
    const map = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: epp }\ndata:\n'
    const text =
      model +
      map +
      file('default-plugins.yaml', 'queue-scorer') +
      file('payload-agnostic.yaml', 'active-request-scorer')
    assert.deepEqual(scorers(text), { default: ['queue-scorer'], 'payload-agnostic': ['active-request-scorer'] })
    assert.deepEqual(scorers(model + map + file('mine.yaml', 'load-aware-scorer')), {
      default: ['load-aware-scorer'],
      mine: ['load-aware-scorer'],
    })
  })

  test('not beside a router configuration of Kthena, unless it has a name', () => {
    const router = 'scheduler: { plugins: { Score: { enabled: [ { name: random, weight: 1 } ] } } }\n---\n'
    const result = load(router + model + header + body)
    assert.deepEqual(result.ok ? [] : told(result.problems), [
      "metadata.name: there is another profile 'default' in epp.yaml, line 1 (give it another 'metadata.name')",
    ])
    assert.deepEqual(Object.keys(scorers(router + model + named('a'))), ['default', 'kthena', 'a'])
  })

  test('only once: a name that is taken is a problem', () => {
    const short = 'profiles: { default: { scorers: [ least-request ] } }\n'
    const problems = [short + model + header + body, `${model}${named('a')}---\n${named('a')}`].map((text) => {
      const result = load(text)
      return result.ok ? [] : told(result.problems)
    })
    assert.deepEqual(problems, [
      ["metadata.name: there is another profile 'default' in epp.yaml, line 1 (give it another 'metadata.name')"],
      ['metadata.name: EndpointPickerConfig default/a stands here a second time; the first is in epp.yaml, line 5'],
    ])
  })
})
