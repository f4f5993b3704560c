/** What a plug-in of the Endpoint Picker is for: which part of its configuration may refer to it. */
export type EppPlace = 'profile' | 'handler' | 'producer' | 'parser' | 'source' | 'extractor' | 'other'

/** A plug-in type of the Endpoint Picker, and what becomes of it here. */
export interface EppType {
  readonly place: EppPlace
  /** The plug-in of the gateway that it is; undefined: none is needed, or it is refused. */
  readonly plugin?: string
  /** Why it may stand there without doing anything; '' says nothing, because it is what happens anyway. */
  readonly idle?: string
  /** Why it is refused, and what to do about it. */
  readonly refused?: string
  /** Parameters that it must have. */
  readonly required?: readonly string[]
  /** Of a type without a plug-in here: parameters that it may have. */
  readonly parameters?: readonly string[]
}

const noPrediction = 'this version has no latency predictor: leave it out'
const noDisaggregation =
  'this version does not run prefill and decode on different endpoints: give one profile with the scorers for both'
const noPrecise =
  "KV events ('kvEvents' of a model) are read for the gateway's own profile only: use 'approx-prefix-cache-producer' and 'prefix-cache-scorer' instead"
const noCluster = 'this version knows the endpoints of one cluster only: leave it out'
const noMedia = 'this version does not track the encoder caches of engines: leave it out'
const noDiscovery = "endpoints are given to the gateway as 'models.NAME.endpoints' or as a ModelServer: leave it out"
const noAttribute = 'this version does not collect these attributes: leave it out, and the plug-ins that read them'

const onlyQueues = 'it works on queues, and this version has none'
const noPriorities = 'it acts on requests of negative priority, and there are no priorities in this version'

function ours(...types: readonly string[]): [string, EppType][] {
  return types.map((type) => [type, { place: 'profile', plugin: type }])
}

function refused(place: EppPlace, why: string, ...types: readonly string[]): [string, EppType][] {
  return types.map((type) => [type, { place, refused: why }])
}

function idle(place: EppPlace, why: string, parameters: readonly string[], ...types: string[]): [string, EppType][] {
  return types.map((type) => [type, { place, idle: why, parameters }])
}

const metricsParameters = ['scheme', 'path', 'port', 'insecureSkipVerify', 'caCertPath', 'clientCertPath']

/** Every plug-in type that endpoint-picker.md 4.3 to 4.10 lists, former names included. */
export const eppTypes: Readonly<Record<string, EppType>> = Object.fromEntries<EppType>([
  ...ours('queue-scorer', 'running-requests-size-scorer', 'kv-cache-utilization-scorer', 'prefix-cache-scorer'),
  ...ours('no-hit-lru-scorer', 'lora-affinity-scorer', 'load-aware-scorer', 'token-load-scorer'),
  ...ours('active-request-scorer', 'context-length-aware', 'session-affinity-scorer'),
  ...ours('by-label', 'label-selector-filter', 'decode-filter', 'prefill-filter', 'encode-filter'),
  ...ours('prefix-cache-affinity-filter', 'utilization-detector', 'concurrency-detector', 'utilization-filter'),
  ...ours('session-affinity-filter', 'header-based-testing-filter'),
  ...ours('max-score-picker', 'random-picker', 'weighted-random-picker'),
  ['kv-cache-scorer', { place: 'profile', plugin: 'kv-cache-utilization-scorer' }],
  ['by-label-selector', { place: 'profile', plugin: 'label-selector-filter' }],
  [
    'endpoint-attribute-scorer',
    { place: 'profile', plugin: 'endpoint-attribute-scorer', required: ['attributeKey', 'algorithm'] },
  ],
  [
    'endpoint-attribute-filter',
    { place: 'profile', plugin: 'endpoint-attribute-filter', required: ['attribute', 'algorithm'] },
  ],
  [
    'header-label-affinity-scorer',
    { place: 'profile', plugin: 'header-label-affinity-scorer', required: ['headerName', 'labelKey'] },
  ],
  ['approx-prefix-cache-producer', { place: 'producer', plugin: 'approx-prefix-cache-producer' }],
  ['inflight-load-producer', { place: 'producer', plugin: 'inflight-load-producer' }],

  ['single-profile-handler', { place: 'handler', plugin: 'single-profile-handler' }],
  ['header-profile-handler', { place: 'handler', plugin: 'header-profile-handler' }],
  ...idle(
    'handler',
    'data-parallel ranks are endpoints of their own here, chosen like any other: x-data-parallel-host-port is not written',
    ['primaryPort', 'targetPort'],
    'data-parallel-profile-handler',
  ),
  ...idle('producer', '', ['estimate', 'modelName', 'vllm', 'udsTokenizerConfig'], 'token-producer', 'tokenizer'),
  ...idle('producer', '', ['headerName', 'cookieName'], 'session-id-producer'),
  ...idle('parser', '', [], 'openai-parser', 'anthropic-parser', 'vllmhttp-parser', 'sglanghttp-parser'),
  ...idle('parser', 'the gateway reads the model from every body that it knows', [], 'passthrough-parser'),
  ...idle('source', '', [...metricsParameters, 'clientKeyPath', 'interval'], 'metrics-data-source'),
  ...idle('source', '', [], 'k8s-notification-source', 'endpoint-notification-source'),
  ...idle('extractor', '', ['engineLabelKey', 'defaultEngine'], 'core-metrics-extractor'),
  ...idle('source', '', ['scheme', 'path', 'port', 'insecureSkipVerify', 'interval'], 'models-data-source'),
  ...idle('extractor', '', [], 'models-data-extractor'),
  ...idle(
    'other',
    noPriorities,
    ['queueDepthThreshold', 'kvCacheUtilThreshold', 'power', 'k'],
    'probabilistic-admitter',
  ),
  ...idle(
    'other',
    'it tells flows apart for queues, and this version has none',
    ['additionalSessionHeaders'],
    'agent-identity',
  ),
  ...idle('other', 'it writes for Envoy, which is not there', ['attributes'], 'request-attribute-reporter'),
  ...idle('other', 'it answers to conformance tests of Envoy', [], 'destination-endpoint-served-verifier'),
  ...idle('other', onlyQueues, [], 'global-strict-fairness-policy', 'round-robin-fairness-policy'),
  ...idle('other', onlyQueues, [], 'fcfs-ordering-policy', 'edf-ordering-policy', 'slo-deadline-ordering-policy'),
  ...idle('other', onlyQueues, ['threshold'], 'static-usage-limit-policy'),
  ...idle(
    'other',
    onlyQueues,
    [
      'strategy',
      'lasWeightService',
      'lasWeightHeadWait',
      'lasHalfLifeSeconds',
      'evictionTtlSeconds',
      'evictionSweepSeconds',
    ],
    'program-aware-fairness',
  ),
  ...idle('other', onlyQueues, ['shape', 'domain', 'minCeiling', 'maxCeiling'], 'priority-holdback-policy'),
  ...idle('other', onlyQueues, [], 'soft-reflective-ceiling-policy', 'sheddable-eviction-filter'),
  ...idle('other', onlyQueues, [], 'priority-then-time-eviction-order-policy'),
  ...idle('other', 'replicas share no state in this version', [], 'local-syncer'),

  ...refused('profile', noPrecise, 'precise-prefix-cache-scorer'),
  ...refused('producer', noPrecise, 'precise-prefix-cache-producer'),
  ...refused('profile', noPrediction, 'latency-scorer', 'slo-headroom-tier-filter'),
  ...refused('producer', noPrediction, 'predicted-latency-producer'),
  ...refused('other', noPrediction, 'latency-slo-admitter'),
  ...refused('handler', noDisaggregation, 'disagg-profile-handler', 'pd-profile-handler'),
  ...refused('other', noDisaggregation, 'disagg-headers-handler', 'prefill-header-handler', 'prefix-based-pd-decider'),
  ...refused('other', noDisaggregation, 'always-disagg-pd-decider', 'always-disagg-multimodal-decider'),
  ...refused('other', noDisaggregation, 'disaggregatedset-rollout-screener'),
  ...refused('producer', noDisaggregation, 'p2p-source-producer'),
  ...refused('profile', noDisaggregation, 'topology-affinity-scorer', 'topology-affinity-filter'),
  ...refused('extractor', noDisaggregation, 'topology-extractor'),
  ...refused('profile', noMedia, 'mm-embeddings-cache-scorer'),
  ...refused('producer', noMedia, 'mm-embeddings-cache-producer'),
  ...refused(
    'producer',
    'this version holds no requests back to place them together: leave it out',
    'burst-prefix-cache-producer',
  ),
  ...refused('profile', noCluster, 'multicluster-queue-scorer', 'multicluster-kv-cache-utilization-scorer'),
  ...refused('profile', noCluster, 'multicluster-prefix-cache-scorer', 'multicluster-session-affinity-filter'),
  ...refused('producer', noCluster, 'multicluster-approx-prefix-cache-producer'),
  ...refused('source', noCluster, 'multicluster-file-discovery', 'multicluster-metrics-data-source'),
  ...refused('extractor', noCluster, 'multicluster-metrics-extractor'),
  ...refused('other', noDiscovery, 'file-discovery'),
  ...refused('source', noAttribute, 'dcgm-data-source'),
  ...refused('extractor', noAttribute, 'dcgm-extractor'),
  ...refused('parser', 'this version speaks no gRPC to engines: leave it out', 'vllmgrpc-parser'),
  ...refused('parser', 'this version does not know the API of Vertex AI: leave it out', 'vertexai-parser'),
])

/** Feature gates, and why one that is on is refused; '' when it changes nothing here. */
export const eppFeatureGates: Readonly<Record<string, string>> = {
  flowControl: 'this version has no flow control: requests are placed at once, or refused',
  haPopulateNonLeaderDatastore: '',
  dataLayer: '',
  prepareDataPlugins: '',
  enableLegacyMetrics: '',
}
