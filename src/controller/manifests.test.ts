import assert from 'node:assert/strict'
import { test } from 'node:test'
import { problemLines, snapshotOfText, translateText } from './translate-case.ts'

const api = 'apiVersion: networking.serving.volcano.sh/v1alpha1'
const server = `---\n${api}\nkind: ModelServer\nmetadata: { name: v1 }\nspec: { inferenceEngine: vLLM, workloadSelector: { matchLabels: { app: v1 } }, workloadPort: { port: 8000 } }`
const pod = '---\napiVersion: v1\nkind: Pod\nmetadata: { name: p, labels: { app: v1 } }\nstatus: { podIP: 10.0.0.1 }'

function route(spec: string): string {
  return `${api}\nkind: ModelRoute\nmetadata: { name: r }\nspec: ${spec}\n${server}\n${pod}`
}

function provider(spec: string, more = ''): string {
  return `${api}\nkind: ExternalModelProvider\nmetadata: { name: p }\nspec: ${spec}\n---\n${more}`
}

function secret(
  rest: string,
  labels = '{ networking.serving.volcano.sh/external-model-provider-credential: "true" }',
): string {
  return `apiVersion: v1\nkind: Secret\nmetadata: { name: s, labels: ${labels} }\n${rest}`
}

const auth = 'auth: { secretRef: { name: s, key: k } }'
const toV1 = 'targetModels: [{ modelServerName: v1 }]'

/** Manifests, and every problem with them. */
const bad: readonly (readonly [title: string, text: string, problems: readonly string[]])[] = [
  [
    'kinds that are for later, unknown or of another version are refused',
    'apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n---\nkind: ModelRout\napiVersion: x/v1\n---\napiVersion: networking.serving.volcano.sh/v1beta1\nkind: ModelRoute\n---\nkind: Pod\n---\napiVersion: v1\n---\napiVersion: inference.networking.k8s.io/v1\nkind: InferencePool',
    [
      '2 «HTTPRoute» kind: this version does not support HTTPRoute yet (kinds that are read: ModelRoute, ModelServer, ExternalModelProvider, Secret, Pod, Service, EndpointSlice, EndpointPickerConfig)',
      "4 «ModelRout» kind: unknown kind 'ModelRout' (did you mean 'ModelRoute'?)",
      "7 «networking.serving.volcano.sh/v1beta1» apiVersion: ModelRoute is not known in 'networking.serving.volcano.sh/v1beta1' (write 'apiVersion: networking.serving.volcano.sh/v1alpha1')",
      "10 «Pod» kind: 'apiVersion' is missing (write 'apiVersion: v1')",
      "12 «v1» apiVersion: 'kind' is missing beside 'apiVersion' (a Kubernetes manifest has both; leave both out for the short form)",
      '15 «InferencePool» kind: this version does not support InferencePool yet (kinds that are read: ModelRoute, ModelServer, ExternalModelProvider, Secret, Pod, Service, EndpointSlice, EndpointPickerConfig)',
    ],
  ],
  [
    'routes have bounds and no unknown keys',
    route(`{ modelName: 7, loraAdapter: [a], rules: [{ target: [], ${toV1} }, { targetModels: [] }] }`),
    [
      "4 «7» spec.modelName: 'modelName' must be text: put this number in quotes",
      "4 «loraAdapter» spec.loraAdapter: unknown key 'loraAdapter' (did you mean 'loraAdapters'?)",
      "4 «target» spec.rules[0].target: unknown key 'target' (keys that stand here: name, modelMatch, profile, sessionFrom, targetModels)",
      "4 «[» spec.rules[1].targetModels: 'targetModels' must not be empty",
    ],
  ],
  [
    'a route needs a spec',
    `${api}\nkind: ModelRoute\nmetadata: { name: r }`,
    ["1 «a» spec: 'spec' is missing: it must be a mapping"],
  ],
  ['a route needs rules', route('{ modelName: m, rules: [] }'), ["4 «[» spec.rules: 'rules' must not be empty"]],
  [
    'a route serves something',
    route(`{ rules: [{ ${toV1} }] }`),
    ["4 «spec» spec: ModelRoute default/r serves no model (give 'modelName', 'loraAdapters' or both)"],
  ],
  [
    'an empty adapter name is refused',
    route(`{ loraAdapters: [""], rules: [{ ${toV1} }] }`),
    ['4 «""» spec.loraAdapters[0]: item 1 of \'loraAdapters\' must not be empty'],
  ],
  [
    'an adapter stands there once',
    route(`{ loraAdapters: [a, b, a], rules: [{ ${toV1} }] }`),
    ["4 «a» spec.loraAdapters[2]: adapter 'a' stands here twice"],
  ],
  [
    'a target names exactly one destination',
    route(
      '{ modelName: m, rules: [{ targetModels: [{ weight: 1 }, { modelServerName: v1, externalModelProviderName: p }] }] }',
    ),
    [
      "4 «{» spec.rules[0].targetModels[0]: this target names no destination (give one of 'modelServerName' and 'externalModelProviderName')",
      "4 «{» spec.rules[0].targetModels[1]: this target names two destinations (give one of 'modelServerName' and 'externalModelProviderName')",
    ],
  ],
  [
    'destinations exist in the same namespace',
    route(
      '{ modelName: m, rules: [{ targetModels: [{ modelServerName: v2 }, { externalModelProviderName: openai }] }] }',
    ),
    [
      "4 «v2» spec.rules[0].targetModels[0].modelServerName: no ModelServer 'v2' in namespace 'default' (did you mean 'v1'?)",
      "4 «openai» spec.rules[0].targetModels[1].externalModelProviderName: no ExternalModelProvider 'openai' in namespace 'default'",
    ],
  ],
  [
    'a server of another namespace is out of reach',
    `${api}\nkind: ModelRoute\nmetadata: { name: r, namespace: team }\nspec: { modelName: m, rules: [{ ${toV1} }] }\n${server}\n${pod}`,
    [
      "4 «v1» spec.rules[0].targetModels[0].modelServerName: no ModelServer 'v1' in namespace 'team' (there is one in namespace 'default', but a route reaches its own namespace only)",
    ],
  ],
  [
    'a route with adapters stays at home',
    `${route('{ loraAdapters: [a], rules: [{ targetModels: [{ externalModelProviderName: p }] }] }')}\n---\n${provider('{ baseURL: "https://x" }')}`,
    [
      '4 «p» spec.rules[0].targetModels[0].externalModelProviderName: a route with loraAdapters must not lead to an external provider (put the adapters into a ModelRoute of their own)',
    ],
  ],
  [
    'weights are within bounds and add up to more than 0',
    route('{ modelName: m, rules: [{ targetModels: [{ modelServerName: v1, weight: 0 }] }] }'),
    [
      '4 «targetModels» spec.rules[0].targetModels: the weights of these targets add up to 0, so that nothing could be chosen (give at least one target a weight above 0)',
    ],
  ],
  [
    'a weight is a whole number to 100',
    route(
      '{ modelName: m, rules: [{ targetModels: [{ modelServerName: v1, weight: 101 }, { modelServerName: v1, weight: 0.5 }] }] }',
    ),
    [
      "4 «101» spec.rules[0].targetModels[0].weight: 'weight' must be a whole number from 0 to 100",
      "4 «0.5» spec.rules[0].targetModels[1].weight: 'weight' must be a whole number from 0 to 100",
    ],
  ],
  [
    'a condition is of one kind, and its expression compiles',
    route(
      `{ modelName: m, rules: [{ modelMatch: { headers: { a: { exact: x, prefix: y }, b: { regex: "(" }, "c d": { exact: x } }, uri: { regex: "(?=x)" } }, ${toV1} }] }`,
    ),
    [
      '4 «prefix» spec.rules[0].modelMatch.headers.a.prefix: exact and prefix at once: a condition is one of them (keep one of them; for several conditions write several rules or one regex)',
      '4 «"("» spec.rules[0].modelMatch.headers.b.regex: not a valid regular expression: missing closing ): `(` (the syntax is RE2: no look-around and no back-references)',
      '4 «"c d"» spec.rules[0].modelMatch.headers["c d"]: \'c d\' is not a valid header name',
      '4 «"(?=x)"» spec.rules[0].modelMatch.uri.regex: not a valid regular expression: invalid or unsupported Perl syntax: `(?=` (the syntax is RE2: no look-around and no back-references)',
    ],
  ],
  [
    'model servers are checked',
    `${api}\nkind: ModelServer\nmetadata: {}\nspec: { inferenceEngine: TGI, workloadSelector: { matchLabels: {}, pdGroup: { groupKey: "" } }, workloadPort: { port: 0, protocol: grpc }, trafficPolicy: { timeout: 10, retry: { attempt: 1 }, sessionSticky: {} }, kvConnector: { type: x } }`,
    [
      "3 «metadata» metadata.name: 'name' must be given",
      "4 «TGI» spec.inferenceEngine: 'inferenceEngine' must be one of vLLM, SGLang",
      "4 «{» spec.workloadSelector.matchLabels: 'matchLabels' must have at least one label",
      "4 «pdGroup» spec.workloadSelector.pdGroup.decodeLabels: 'decodeLabels' is missing: it must be a mapping",
      "4 «pdGroup» spec.workloadSelector.pdGroup.prefillLabels: 'prefillLabels' is missing: it must be a mapping",
      '4 «""» spec.workloadSelector.pdGroup.groupKey: \'groupKey\' must not be empty',
      "4 «0» spec.workloadPort.port: 'port' must be a whole number from 1 to 65535",
      "4 «grpc» spec.workloadPort.protocol: 'protocol' must be one of http, https",
      "4 «10» spec.trafficPolicy.timeout: 'timeout' must be a duration with its unit, such as '250ms', '10s' or '1m30s'",
      "4 «attempt» spec.trafficPolicy.retry.attempt: unknown key 'attempt' (did you mean 'attempts'?)",
      "4 «sessionSticky» spec.trafficPolicy.sessionSticky: unknown key 'sessionSticky' (keys that stand here: timeout, retry)",
      "4 «x» spec.kvConnector.type: 'type' must be one of http, lmcache, nixl, mooncake",
    ],
  ],
  [
    'providers are checked',
    provider(
      '{ providerType: Gemini, baseURL: "http://x", insecureSkipVerify: 1, auth: { scheme: Basic, secretRef: { name: s, key: k, optional: true } }, headers: { a: "b" } }',
    ),
    [
      "4 «Gemini» spec.providerType: 'providerType' must be one of OpenAI, Anthropic",
      '4 «"http://x"» spec.baseURL: \'baseURL\' must begin with https://',
      "4 «1» spec.insecureSkipVerify: 'insecureSkipVerify' must be true or false, without quotes",
      "4 «Basic» spec.auth.scheme: 'scheme' must be one of Bearer, APIKey",
      "4 «true» spec.auth.secretRef.optional: 'optional' must be false or left out: a provider without its credential cannot work",
    ],
  ],
  [
    'a base URL is no more than that',
    provider('{ baseURL: "https://u:p@x/?q" }'),
    ['4 «"https://***@x/?q"» spec.baseURL: \'baseURL\' must not carry a user or password'],
  ],
  [
    'static headers carry no credential',
    provider('{ baseURL: "https://x", headers: { X-API-Key: k, Cookie: c, TE: t, ok: "1" } }'),
    [
      "4 «X-API-Key» spec.headers.X-API-Key: header 'X-API-Key' must not be set here (a credential goes into apiKey (short form) or auth.secretRef (manifest))",
      "4 «Cookie» spec.headers.Cookie: header 'Cookie' must not be set here (a credential goes into apiKey (short form) or auth.secretRef (manifest))",
      "4 «TE» spec.headers.TE: header 'TE' is written by the gateway itself",
    ],
  ],
  [
    'a secret must be there',
    provider(`{ baseURL: "https://x", ${auth} }`, secret('').replace('name: s', 'name: st')),
    ["4 «s» spec.auth.secretRef.name: no Secret 's' in namespace 'default' (Secrets of that namespace: st)"],
  ],
  [
    'a secret must have the label',
    provider(`{ baseURL: "https://x", ${auth} }`, secret('stringData: { k: v }', '{}')),
    [
      '8 «labels» metadata.labels: Secret \'s\' needs the label networking.serving.volcano.sh/external-model-provider-credential: "true" (the provider p refers to it; only a Secret that says so is read)',
    ],
  ],
  [
    'a secret must have the key',
    provider(`{ baseURL: "https://x", ${auth} }`, secret('stringData: { kk: v }')),
    ["4 «k» spec.auth.secretRef.key: Secret 's' has no key 'k' (keys of that Secret: kk)"],
  ],
  [
    'a secret must be base64',
    provider(`{ baseURL: "https://x", ${auth} }`, secret('data: { k: "sk-hidden!" }')),
    ["4 «k» spec.auth.secretRef.key: Secret 's' has no valid base64 under 'k'"],
  ],
  [
    'a secret must fit into a header',
    provider(`{ baseURL: "https://x", ${auth} }`, secret('stringData: { k: "hidden\\nx" }')),
    ["4 «k» spec.auth.secretRef.key: Secret 's' has a value under 'k' that no header can carry"],
  ],
  [
    'objects stand there once',
    `${server}\n${server}\n${pod}`,
    ['9 «v1» metadata.name: ModelServer default/v1 stands here a second time; the first is in /etc/gw.yaml, line 4'],
  ],
]

for (const [title, text, wanted] of bad) {
  test(`manifests: ${title}`, () => {
    const result = translateText(text)
    assert.deepEqual(result.ok ? [] : problemLines(result.problems), wanted)
    assert.ok(!JSON.stringify(result).includes('hidden'))
  })
}

test('a route keeps its rules, conditions and weights, and every field the resource has is taken', () => {
  const { routes } = snapshotOfText(`
${api}
kind: ModelRoute
metadata: { name: r, labels: { a: b }, annotations: { c: d }, uid: x, generation: 3, managedFields: [], finalizers: null }
spec:
  modelName: m
  loraAdapters: [sql]
  parentRefs: [{ name: gw, kind: Gateway, sectionName: http }]
  rules:
    - name: first
      modelMatch:
        headers: { X-Tier: { prefix: pre }, y: { regex: "^a+$" } }
        uri: { exact: /v1/chat/completions }
        body: { model: m }
      targetModels: [{ modelServerName: v1, weight: 30 }, { modelServerName: v1, weight: 70 }]
    - targetModels: [{ modelServerName: v1 }]
  rateLimit: { inputTokensPerUnit: 10, unit: minute, global: { redis: { address: "r:6379" } } }
status: {}
${server}
${pod}`)
  assert.deepEqual(routes, [
    {
      name: 'default/r',
      modelName: 'm',
      adapters: ['sql'],
      attached: true,
      rules: [
        {
          name: 'first',
          headers: [
            { name: 'x-tier', match: { kind: 'prefix', value: 'pre' } },
            { name: 'y', match: { kind: 'regex', value: '^a+$' } },
          ],
          path: { kind: 'exact', value: '/v1/chat/completions' },
          model: 'm',
          targets: [
            { modelServer: 'default/v1', weight: 30 },
            { modelServer: 'default/v1', weight: 70 },
          ],
        },
        {
          name: undefined,
          headers: [],
          path: undefined,
          model: undefined,
          targets: [{ modelServer: 'default/v1', weight: 100 }],
        },
      ],
    },
  ])
})

test('what is accepted but not acted on, and what is probably a mistake, is warned of', () => {
  const { warnings } = translateText(`${api}
kind: ModelRoute
metadata: { name: r }
spec:
  modelName: m
  loraAdapters: [m, sql]
  parentRefs: [{ name: gw }]
  rateLimit: { inputTokensPerUnit: 1 }
  rules:
    - modelMatch: { uri: {} }
      targetModels: [{ modelServerName: v1 }, { modelServerName: v1, weight: 5 }]
---
kind: Deployment
apiVersion: apps/v1
${server}
---
models: { sql: { endpoints: ["http://x"] } }`)
  assert.deepEqual(problemLines(warnings), [
    "6 «m» spec.loraAdapters[0]: 'm' is the route's modelName too, so it is never taken for an adapter",
    "6 «sql» spec.loraAdapters[1]: 'sql' is also the model of models/sql, which gets all requests for it",
    '7 «parentRefs» spec.parentRefs: a route with parentRefs takes no part while no Gateway is configured',
    '8 «rateLimit» spec.rateLimit: token limits are checked, but not enforced by this version',
    '10 «{» spec.rules[0].modelMatch.uri: this condition is empty, so everything meets it (write one of exact, prefix, regex)',
    '11 «{» spec.rules[0].targetModels[0]: this target has no weight while others have one; it counts 100',
    '13 «Deployment» kind: Deployment is not read: nothing here depends on it',
    '19 «matchLabels» spec.workloadSelector.matchLabels: ModelServer default/v1 has no endpoint: no ready Pod or EndpointSlice here carries its labels',
  ])
})

test('a model server honours timeout, retry, protocol and roles', () => {
  const { modelServers } = snapshotOfText(`${api}
kind: ModelServer
metadata: { name: s, namespace: team }
spec:
  model: Org/Model
  inferenceEngine: SGLang
  workloadSelector:
    matchLabels: { app: s }
    pdGroup: { groupKey: g, prefillLabels: { role: p }, decodeLabels: { role: d } }
  workloadPort: { port: 30000, protocol: https }
  trafficPolicy: { timeout: 1m30s, retry: { attempts: 4 } }
  kvConnector: { type: nixl }
---
apiVersion: v1
kind: List
items:
  - { apiVersion: v1, kind: Pod, metadata: { name: a, namespace: team, labels: { app: s, role: p } }, status: { podIP: 10.0.0.1 } }
  - { apiVersion: v1, kind: Pod, metadata: { name: b, namespace: team, labels: { app: s, role: d } }, status: { podIP: 10.0.0.2, phase: Running } }
  - { apiVersion: v1, kind: Pod, metadata: { name: c, namespace: team, labels: { app: s } }, status: { podIP: "fd00::3" } }
  - { apiVersion: v1, kind: Pod, metadata: { name: d, namespace: team, labels: { app: s } }, status: { podIP: 10.0.0.4, phase: Pending } }
  - { apiVersion: v1, kind: Pod, metadata: { name: e, namespace: team, labels: { app: s } }, status: { podIP: 10.0.0.5, conditions: [{ type: Ready, status: "False" }] } }
  - { apiVersion: v1, kind: Pod, metadata: { name: f, namespace: team, labels: { app: s }, deletionTimestamp: "2026-01-01T00:00:00Z" }, status: { podIP: 10.0.0.6 } }
  - { apiVersion: v1, kind: Pod, metadata: { name: g, namespace: other, labels: { app: s } }, status: { podIP: 10.0.0.7 } }
  - { apiVersion: v1, kind: Pod, metadata: { name: h, namespace: team, labels: { app: t } }, status: { podIP: 10.0.0.8 } }
  - { apiVersion: v1, kind: Pod, metadata: { name: i, namespace: team, labels: { app: s } }, status: {} }
`)
  const [plan] = modelServers
  assert.deepEqual(
    plan?.endpoints.map(({ id, host, role }) => [id, host, role]),
    [
      ['10.0.0.1:30000', '10.0.0.1', 'prefill'],
      ['10.0.0.2:30000', '10.0.0.2', 'decode'],
      ['[fd00::3]:30000', 'fd00::3', 'both'],
    ],
  )
  assert.deepEqual(plan?.timeouts, {
    connectMs: 5000,
    firstByteMs: 90_000,
    idleMs: 60_000,
    totalMs: 0,
    tunnelIdleMs: 600_000,
  })
  assert.deepEqual(plan.retry, { attempts: 4, intervalMs: 100, afterSent: 1 })
  assert.deepEqual(plan.tls, {
    ca: undefined,
    serverName: undefined,
    certificate: undefined,
    insecureSkipVerify: false,
  })
  assert.deepEqual([plan.key, plan.engine, plan.servedModel], ['team/s', 'sglang', 'Org/Model'])
})

test('endpoint slices belong to a model server by their own labels or by their service', () => {
  const slice = (name: string, labels: string, address: string, rest = ''): string =>
    `---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: { name: ${name}, labels: ${labels} }\nendpoints: [{ addresses: [${address}]${rest} }]\n`
  const { modelServers } = snapshotOfText(`${server}
${pod}
---
apiVersion: v1
kind: Service
metadata: { name: by-selector }
spec: { selector: { app: v1, more: x } }
---
apiVersion: v1
kind: Service
metadata: { name: by-labels, labels: { app: v1 } }
---
apiVersion: v1
kind: Service
metadata: { name: wider }
spec: { selector: { more: x } }
${slice('a', '{ app: v1 }', '10.0.1.1')}
${slice('b', '{ kubernetes.io/service-name: by-selector }', '10.0.1.2')}
${slice('c', '{ kubernetes.io/service-name: by-labels }', '10.0.1.3')}
${slice('d', '{ kubernetes.io/service-name: wider }', '10.0.1.4')}
${slice('e', '{ kubernetes.io/service-name: absent }', '10.0.1.5')}
${slice('f', '{ app: v1 }', '10.0.1.6', ', conditions: { ready: false }')}
${slice('g', '{ app: v1 }', '10.0.1.7', ', conditions: { terminating: true }')}
${slice('h', '{ app: v1 }', '10.0.0.1', ', targetRef: { kind: Pod, name: p }')}`)
  assert.deepEqual(
    modelServers[0]?.endpoints.map(({ host }) => host),
    ['10.0.0.1', '10.0.1.1', '10.0.1.2', '10.0.1.3'],
  )
})

test('a provider has its credential, trimmed, and its own key beside a model server of the same name', () => {
  const { modelServers } = snapshotOfText(
    `${provider(`{ providerType: Anthropic, baseURL: "https://h/v1/", model: m, ${auth}, headers: { Anthropic-Beta: x } }`, secret('data: { k: ICBrZXkK }'))}\n${server.replace('name: v1', 'name: p')}\n${pod}`,
  )
  const plan = modelServers.find(({ key }) => key === 'provider:default/p')
  assert.deepEqual(plan?.setHeaders, [
    { name: 'x-api-key', value: 'key' },
    { name: 'anthropic-beta', value: 'x' },
  ])
  assert.deepEqual([plan.basePath, plan.servedModel, plan.injectUsage], ['', 'm', false])
  assert.ok(modelServers.some(({ key }) => key === 'default/p'))
})

test('stringData wins over data, and the scheme decides the header', () => {
  const spec = '{ baseURL: "https://h", auth: { scheme: APIKey, secretRef: { name: s, key: k, optional: false } } }'
  const { modelServers } = snapshotOfText(provider(spec, secret('data: { k: b2xk }\nstringData: { k: "${K}" }')), {
    env: { K: 'new' },
  })
  assert.deepEqual(modelServers[0]?.setHeaders, [{ name: 'x-api-key', value: 'new' }])
})

test('routes are in order of age, then resourceVersion as text, then name; undated ones follow in file order', () => {
  const dated = (name: string, time: string, version: string): string =>
    `---\n${api}\nkind: ModelRoute\nmetadata: { name: ${name}, creationTimestamp: ${time}, resourceVersion: "${version}" }\nspec: { modelName: m, rules: [{ ${toV1} }] }\n`
  const { routes } = snapshotOfText(`
models: { short: { endpoints: ["http://x"] } }
${dated('z-undated', 'null', '1')}
${dated('newer', '2026-02-01T00:00:00Z', '1')}
${dated('tie-b', '2026-01-01T00:00:00Z', '5')}
${dated('tie-a', '2026-01-01T01:00:00+01:00', '5')}
${dated('text', '2026-01-01T00:00:00Z', '10')}
${dated('a-undated', 'null', '1')}
${server}
${pod}`)
  assert.deepEqual(
    routes.map(({ name }) => name.split('/')[1]),
    ['text', 'tie-a', 'tie-b', 'newer', 'short', 'z-undated', 'a-undated'],
  )
})

test('a reference to an object that was refused is no further problem', () => {
  const result = translateText(
    `${api}\nkind: ModelRoute\nmetadata: { name: r }\nspec: { modelName: m, rules: [{ ${toV1} }] }\n${server.replace('vLLM', 'vllm')}`,
  )
  assert.deepEqual(result.ok ? [] : problemLines(result.problems), [
    "9 «vllm» spec.inferenceEngine: 'inferenceEngine' must be one of vLLM, SGLang (did you mean 'vLLM'?)",
  ])
})
