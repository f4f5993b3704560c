import assert from 'node:assert/strict'
import { test } from 'node:test'
import { certificateA } from '#datastore/certificate-case.ts'
import { problemLines, snapshotOfText, translateText } from './translate-case.ts'

const endpoints = 'endpoints: [http://10.0.0.1:8000]'

/** Documents of the short form, and every problem with them. */
const bad: readonly (readonly [title: string, text: string, problems: readonly string[]])[] = [
  [
    'unknown keys name the nearest',
    'model: {}\nmodels:\n  a: { endpoint: [http://x], engine: vlm }',
    [
      "1 «model» model: unknown key 'model' (did you mean 'models'?)",
      "3 «endpoint» models.a.endpoint: unknown key 'endpoint' (did you mean 'endpoints'?)",
      "3 «vlm» models.a.engine: 'engine' must be one of vllm, sglang, tgi, triton, trtllm, llamacpp, ollama, openai (did you mean 'vllm'?)",
    ],
  ],
  [
    'a key that is near to none lists them',
    `admin: { zzz: 1 }\nmodels: { a: { ${endpoints} } }`,
    ["1 «zzz» admin.zzz: unknown key 'zzz' (keys that stand here: address, port)"],
  ],
  [
    'values of the wrong kind are told apart',
    'listeners: { port: 1 }\nexposeEndpoint: "yes"\nmodels:\n  a:\n    endpoints: [http://x, 3, { url: http://y, rank: -1 }]\n    servedModel: 7\n    adapters: sql\n  b:',
    [
      "1 «{» listeners: 'listeners' must be a list, not a mapping",
      '2 «"yes"» exposeEndpoint: \'exposeEndpoint\' must be true or false, without quotes',
      "5 «3» models.a.endpoints[1]: item 2 of 'endpoints' must be a URL or a mapping with one",
      "5 «-1» models.a.endpoints[2].rank: 'rank' must be a whole number from 0 to 1023",
      "6 «7» models.a.servedModel: 'servedModel' must be text: put this number in quotes",
      "7 «sql» models.a.adapters: 'adapters' must be a list, not text",
      "8 «b» models.b: 'b' is empty: it must be a mapping",
    ],
  ],
  [
    'numbers, durations and sizes have bounds',
    `listeners: [{ port: 70000 }]\nlimits: { bodyBytes: 3, headTimeout: 5, drain: 1d, connections: 0 }\nmodels: { a: { ${endpoints}, timeouts: { connect: 0s } } }`,
    [
      "1 «70000» listeners[0].port: 'port' must be a port number from 0 to 65535",
      "2 «3» limits.bodyBytes: 'bodyBytes' must be between 1KiB and 4GiB",
      "2 «5» limits.headTimeout: 'headTimeout' must be a duration with its unit, such as '250ms', '10s' or '1m30s'",
      "2 «1d» limits.drain: 'drain' must be a duration with its unit, such as '250ms', '10s' or '1m30s'",
      "2 «0» limits.connections: 'connections' must be a whole number from 1 to 1000000",
      "3 «0s» models.a.timeouts.connect: 'connect' must be between 1ms and 720h",
    ],
  ],
  [
    'a model goes one way',
    `models:\n  none: { engine: vllm }\n  both: { ${endpoints}, provider: openai }\n  url: { baseUrl: "https://x", ${endpoints} }\n  prov: { provider: openai, dataParallel: 2, apiKey: k }`,
    [
      "2 «none» models.none: model 'none' has nowhere to send requests (give it endpoints (your own model servers), a provider, or a split over other models)",
      '3 «provider» models.both.provider: endpoints and provider at once: a model is one of them (make two models of it; a third can split requests between them)',
      "4 «baseUrl» models.url.baseUrl: 'baseUrl' has no meaning beside 'endpoints' (put the URL into endpoints, or name the provider)",
      "5 «dataParallel» models.prov.dataParallel: 'dataParallel' has no meaning beside 'provider'",
    ],
  ],
  [
    'endpoints are alike and stand there once',
    'models:\n  a:\n    endpoints:\n      - http://x:8000\n      - https://y:8000\n      - http://z:8000/base\n      - http://x:8000/v1\n      - { url: http://w, dns: { name: w, port: 1 } }\n      - { labels: {} }\n      - { url: http://q, rank: 1 }\n    dataParallel: 2',
    [
      '5 «https://y:8000» models.a.endpoints[1]: the endpoints of one model are all http:// or all https:// (make two models of it, and a third that splits requests between them)',
      '6 «http://z:8000/base» models.a.endpoints[2]: the endpoints of one model have the same path in their URLs (make two models of it, and a third that splits requests between them)',
      '7 «http://x:8000/v1» models.a.endpoints[3]: this endpoint stands here a second time',
      "8 «{» models.a.endpoints[4]: this endpoint has both 'url' and 'dns' (give one of them)",
      "9 «{» models.a.endpoints[5]: this endpoint has neither 'url' nor 'dns' (give one of them)",
      "10 «rank» models.a.endpoints[6].rank: 'rank' has no meaning beside 'dataParallel'",
    ],
  ],
  [
    'names belong to one model',
    `models:\n  a: { ${endpoints}, aliases: [b, c], adapters: [sql] }\n  b: { ${endpoints}, aliases: [c], adapters: [sql] }\n---\nmodels:\n  a: { ${endpoints} }`,
    [
      "2 «b» models.a.aliases[0]: alias 'b' is taken: /etc/gw.yaml, line 3",
      "3 «c» models.b.aliases[0]: alias 'c' is taken: /etc/gw.yaml, line 2",
      "3 «sql» models.b.adapters[0]: adapter 'sql' is taken: /etc/gw.yaml, line 2",
      "6 «a» models.a: 'a' is given a second time; the first is in /etc/gw.yaml, line 2",
    ],
  ],
  [
    'a split leads to models that exist',
    `models:\n  alpha: { ${endpoints} }\n  beta: { split: { alpa: 1, beta: 1 } }\n  gamma: { split: { alpha: 0, beta: 0 }, engine: vllm }`,
    [
      "3 «alpa» models.beta.split.alpa: no model 'alpa' (did you mean 'alpha'?)",
      "3 «beta» models.beta.split.beta: 'beta' is itself a split (models to split over: alpha)",
      '4 «split» models.gamma.split: the weights of this split add up to 0, so that nothing could be chosen',
      "4 «beta» models.gamma.split.beta: 'beta' is itself a split (models to split over: alpha)",
      "4 «engine» models.gamma.engine: 'engine' has no meaning beside 'split'",
    ],
  ],
  [
    'headers are checked',
    `models:\n  a:\n    ${endpoints}\n    apiKey: k\n    headers: { "a b": x, Host: y, Authorization: z, x-a: 1, X-B: "q\\u0007", x-b: v, X-C: v, x-c: v }`,
    ["5 «*» models.a.headers.x-a: 'x-a' must be text: put this number in quotes"],
  ],
  [
    'headers must be valid and not the connection’s',
    `models:\n  a:\n    ${endpoints}\n    apiKey: k\n    headers: { "a b": x, Host: y, Authorization: z, X-B: "q\\u0007", X-C: v, x-c: v }`,
    [
      '5 «"a b"» models.a.headers["a b"]: \'a b\' is not a valid header name',
      "5 «Host» models.a.headers.Host: header 'Host' is written by the gateway itself",
      "5 «Authorization» models.a.headers.Authorization: header 'Authorization' must not be set here (a credential goes into apiKey (short form) or auth.secretRef (manifest))",
      "5 «*********» models.a.headers.X-B: the value of header 'X-B' has characters that a header must not have",
      "5 «x-c» models.a.headers.x-c: header 'x-c' stands here twice in different case",
    ],
  ],
  [
    'a metrics page must have a path where the engine has none',
    `models:\n  a: { ${endpoints}, scrape: { interval: 1s } }\n  b: { ${endpoints}, scrape: true }\n  c: { ${endpoints}, scrape: { path: metrics } }`,
    [
      "3 «true» models.b.scrape: 'scrape' must be false or a mapping; leave it out to read the engine's usual page",
      "4 «metrics» models.c.scrape.path: 'path' must be a path such as '/metrics'",
    ],
  ],
  [
    'an openai engine has no metrics page of its own',
    `models:\n  a: { ${endpoints}, scrape: { interval: 1s } }`,
    [
      "2 «{» models.a.scrape: engine 'openai' has no metrics page of its own (name the page with 'path', or write 'scrape: false')",
    ],
  ],
  [
    'tls is for https',
    `models:\n  a: { ${endpoints}, tls: { insecureSkipVerify: true } }\n  b: { endpoints: ["https://x"], tls: { caFile: ca.pem } }`,
    [
      "2 «tls» models.a.tls: 'tls' has no meaning for http:// endpoints (begin the URLs with https://, or remove tls)",
      "3 «ca.pem» models.b.tls.caFile: file 'ca.pem' does not exist",
    ],
  ],
  [
    'listeners do not share a port',
    `listeners: [{ port: 80 }, { port: 80, name: x }, { port: 81, name: x }]\nadmin: { port: 81 }\nmodels: { a: { ${endpoints} } }`,
    [
      '1 «80» listeners[1].port: two listeners use port 80 of 0.0.0.0',
      "1 «x» listeners[2].name: two listeners are named 'x'",
      '2 «81» admin.port: port 81 is wanted by a listener and by the admin server',
    ],
  ],
  [
    'a setting stands in one document only',
    `log: { level: info }\nmodels: { a: { ${endpoints} } }\n---\nlog: { level: debug }`,
    ["4 «log» log: 'log' is given a second time; the first is in /etc/gw.yaml, line 1"],
  ],
  [
    'profiles name plug-ins that exist, with parameters that they take',
    `models: { a: { ${endpoints}, profile: quik } }\nprofiles:\n  quick:\n    filters: [usible, least-request]\n    scorers: [{ type: least-request, windw: 3 }, { type: least-request, window: 0, weight: -1 }]\n    piker: random`,
    [
      "5 «-1» profiles.quick.scorers[1].weight: 'weight' must be a number from 0 to 1000",
      "6 «piker» profiles.quick.piker: unknown key 'piker' (did you mean 'picker'?)",
    ],
  ],
  [
    'profiles are checked against the plug-ins',
    `models: { a: { ${endpoints}, profile: quik } }\nprofiles:\n  quick:\n    filters: [usible, least-request]\n    scorers: [{ type: least-request, windw: 3 }, { type: least-request, window: 0 }]`,
    [
      "1 «quik» models.a.profile: no profile 'quik' (did you mean 'quick'?)",
      "4 «usible» profiles.quick.filters[0].type: unknown filter 'usible' (did you mean 'usable'?)",
      "4 «least-request» profiles.quick.filters[1].type: 'least-request' is a scorer, not a filter (filters: usable)",
      "5 «windw» profiles.quick.scorers[0].windw: unknown key 'windw' (did you mean 'window'?)",
      "5 «0» profiles.quick.scorers[1].window: 'window' must be a whole number from 1 to 10",
    ],
  ],
]

for (const [title, text, wanted] of bad) {
  test(`short form: ${title}`, () => {
    const result = translateText(text)
    assert.deepEqual(result.ok ? [] : problemLines(result.problems), wanted)
  })
}

test('an empty short form has every default', () => {
  const { version, routes, modelServers, profiles, ...settings } = snapshotOfText('{}')
  assert.deepEqual(settings, {
    threads: undefined,
    cors: undefined,
    listeners: [
      {
        name: 'http-8080',
        address: '0.0.0.0',
        port: 8080,
        tls: undefined,
        http2: false,
        proxyProtocol: false,
        trustedProxies: [],
        connections: 20_000,
        connectionsPerClient: 0,
      },
    ],
    admin: { address: '127.0.0.1', port: 9090 },
    limits: {
      headBytes: 65_536,
      headerCount: 128,
      bodyBytes: 33_554_432,
      headTimeoutMs: 10_000,
      bodyTimeoutMs: 30_000,
      keepAliveMs: 75_000,
      requestsPerConnection: 0,
      handshakeTimeoutMs: 10_000,
      stalledReaderMs: 60_000,
      unsentBytes: 268_435_456,
      eventLoopDelayMs: 1000,
      memoryBytes: undefined,
      drainDelayMs: 0,
      drainMs: 30_000,
    },
    logging: { level: 'info', accessLog: true },
    exposeEndpoint: false,
    explain: { isAllowed: false, recordEvery: 64 },
    choice: undefined,
    sessions: [{ from: 'body', name: '' }],
  })
  assert.deepEqual([version, routes, modelServers, Object.keys(profiles)], [0, [], [], ['default']])
})

test('a model becomes a route and a model server with every default', () => {
  const { routes, modelServers } = snapshotOfText(
    'models:\n  llama: { engine: vllm, endpoints: ["http://10.0.0.1:8000/v1"], adapters: [sql], aliases: [l] }',
  )
  const rules = [
    {
      name: undefined,
      headers: [],
      path: undefined,
      model: undefined,
      targets: [{ modelServer: 'models/llama', weight: 1 }],
    },
  ]
  assert.deepEqual(routes, [
    { name: 'models/llama', modelName: 'llama', adapters: ['sql'], attached: false, rules },
    { name: 'models/l', modelName: 'l', adapters: [], attached: false, rules },
  ])
  const scrape = { path: '/metrics', port: undefined, intervalMs: 200 }
  assert.deepEqual(modelServers, [
    {
      key: 'models/llama',
      engine: 'vllm',
      servedModel: 'llama',
      endpoints: [
        {
          id: '10.0.0.1:8000',
          slot: -1,
          generation: 0,
          host: '10.0.0.1',
          port: 8000,
          engine: 'vllm',
          scrape,
          rank: undefined,
          role: 'both',
          labels: {},
        },
      ],
      tls: undefined,
      basePath: '',
      setHeaders: [],
      timeouts: { connectMs: 5000, firstByteMs: 120_000, idleMs: 60_000, totalMs: 0, tunnelIdleMs: 600_000 },
      retry: { attempts: 2, intervalMs: 0, afterSent: 1 },
      ejection: {
        failures: 3,
        successRatio: 0.5,
        minRequests: 20,
        windowMs: 10_000,
        baseMs: 1000,
        maxMs: 30_000,
        slowStartMs: 10_000,
      },
      profile: 'default',
      scrape,
      injectUsage: true,
    },
  ])
})

test('endpoints may run different engines, each with its own metrics page', () => {
  const { modelServers } = snapshotOfText(`
models:
  m:
    engine: vllm
    scrape: { path: /m, interval: 1s }
    endpoints:
      - http://a:1
      - { url: "http://a:2", engine: triton }
      - { url: "http://a:3", engine: ollama }
      - { url: "http://a:4", scrape: false, labels: { gpu: h100 }, role: decode, rank: 3 }`)
  assert.deepEqual(
    modelServers[0]?.endpoints.map(({ id, engine, scrape, rank, role, labels }) => ({
      id,
      engine,
      scrape,
      rank,
      role,
      labels,
    })),
    [
      {
        id: 'a:1',
        engine: 'vllm',
        scrape: { path: '/m', port: undefined, intervalMs: 1000 },
        rank: undefined,
        role: 'both',
        labels: {},
      },
      {
        id: 'a:2',
        engine: 'triton',
        scrape: { path: '/metrics', port: 8002, intervalMs: 200 },
        rank: undefined,
        role: 'both',
        labels: {},
      },
      { id: 'a:3', engine: 'ollama', scrape: undefined, rank: undefined, role: 'both', labels: {} },
      { id: 'a:4#3', engine: 'vllm', scrape: undefined, rank: 3, role: 'decode', labels: { gpu: 'h100' } },
    ],
  )
})

test('data parallelism makes an endpoint of every rank, and a DNS name one of every address', () => {
  const text = `models:\n  m: { engine: sglang, dataParallel: 2, endpoints: [{ dns: { name: gpu, port: 30000 } }] }`
  const { modelServers } = snapshotOfText(text, { addresses: { gpu: ['10.0.0.1', 'fd00::1'] } })
  assert.deepEqual(
    modelServers[0]?.endpoints.map(({ id, host, rank }) => [id, host, rank]),
    [
      ['10.0.0.1:30000#0', '10.0.0.1', 0],
      ['10.0.0.1:30000#1', '10.0.0.1', 1],
      ['[fd00::1]:30000#0', 'fd00::1', 0],
      ['[fd00::1]:30000#1', 'fd00::1', 1],
    ],
  )
  assert.deepEqual(snapshotOfText(text).modelServers[0]?.endpoints, [])
})

const providers: readonly (readonly [text: string, host: string, basePath: string, header: string, drops: boolean])[] =
  [
    ['provider: openai', 'api.openai.com:443', '', 'authorization: Bearer sk', false],
    ['provider: groq', 'api.groq.com:443', '/openai', 'authorization: Bearer sk', false],
    ['provider: anthropic', 'api.anthropic.com:443', '', 'x-api-key: sk', false],
    ['provider: anthropic, baseUrl: "https://h/a"', 'h:443', '/a', 'x-api-key: sk', false],
    ['provider: openai, baseUrl: "https://h:8443/x/v1"', 'h:8443', '/x', 'authorization: Bearer sk', false],
    [
      'provider: openai, baseUrl: "https://h/v1beta/openai"',
      'h:443',
      '/v1beta/openai',
      'authorization: Bearer sk',
      true,
    ],
  ]

for (const [text, host, basePath, header, dropsVersion] of providers) {
  test(`{ ${text} } goes to ${host}${basePath}`, () => {
    const { modelServers } = snapshotOfText(`models: { m: { ${text}, apiKey: "\${KEY}" } }`, { env: { KEY: 'sk' } })
    const [server] = modelServers
    assert.deepEqual(
      server?.endpoints.map(({ id, engine, scrape }) => [id, engine, scrape]),
      [[host, 'openai', undefined]],
    )
    assert.equal(server.basePath, basePath)
    assert.deepEqual(
      server.setHeaders.map(({ name, value }) => `${name}: ${value}`),
      [header],
    )
    assert.equal(server.provider?.dropsVersion, dropsVersion)
    assert.deepEqual(server.tls, {
      ca: undefined,
      serverName: undefined,
      certificate: undefined,
      insecureSkipVerify: false,
    })
  })
}

test('a provider without a key is worth a warning', () => {
  const { warnings } = translateText('models: { m: { provider: openai } }')
  assert.deepEqual(problemLines(warnings), [
    '1 «openai» models.m.provider: no apiKey: requests reach api.openai.com with whatever credential the client sends',
  ])
})

test('certificates are read relative to the configuration file', () => {
  const { cert, key } = certificateA
  const text = 'listeners: [{ port: 8443, tls: { certFile: tls/a.crt, keyFile: /run/a.key } }]'
  const { listeners } = snapshotOfText(text, { files: { '/etc/tls/a.crt': cert, '/run/a.key': key } })
  const [listener] = listeners
  assert.deepEqual([listener?.name, listener?.http2], ['https-8443', true])
  assert.deepEqual(listener?.tls, {
    certificates: [{ cert, key }],
    clientCa: undefined,
    clientAuth: 'required',
    minVersion: 'TLSv1.2',
  })
  const swapped = translateText(text, { files: { '/etc/tls/a.crt': key, '/run/a.key': cert } })
  assert.deepEqual(swapped.ok ? [] : problemLines(swapped.problems), [
    "1 «tls/a.crt» listeners[0].tls.certFile: file 'tls/a.crt' has no PEM block 'BEGIN CERTIFICATE'",
    "1 «/run/a.key» listeners[0].tls.keyFile: file '/run/a.key' has no PEM block 'BEGIN PRIVATE KEY'",
  ])
})

test('KV events of a model are those of its endpoints that have none of their own, on every rank', () => {
  const { modelServers } = snapshotOfText(`models:
  a:
    engine: vllm
    dataParallel: 2
    kvEvents: { replayPort: 6000 }
    endpoints: [http://a:1, { url: http://b:1, kvEvents: { port: 7000 } }]
  b: { engine: vllm, endpoints: [http://c:1] }
  c: { engine: vllm, endpoints: [http://d:1], kvEvents: { discover: true } }`)
  assert.deepEqual(
    modelServers.map((server) => server.endpoints.map(({ id, kvEvents }) => [id, kvEvents])),
    [
      [
        ['a:1#0', { port: 5557, replayPort: 6000 }],
        ['a:1#1', { port: 5557, replayPort: 6000 }],
        ['b:1#0', { port: 7000, replayPort: undefined }],
        ['b:1#1', { port: 7000, replayPort: undefined }],
      ],
      [['c:1', undefined]],
      [['d:1', { port: 5557, replayPort: undefined, discover: true }]],
    ],
  )
})

test('a profile named default takes the place of the built-in one', () => {
  const { profiles } = snapshotOfText(
    'profiles: { default: { filters: [usable], scorers: [least-request, { type: least-request, weight: 2, window: 7 }] } }',
  )
  assert.deepEqual(profiles.default, {
    filters: [{ type: 'usable', parameters: { window: 5 } }],
    scorers: [
      { type: 'least-request', parameters: { window: 5 }, weight: 1 },
      { type: 'least-request', parameters: { window: 7 }, weight: 2 },
    ],
    picker: { type: 'max-score', parameters: { window: 5 } },
  })
})

test('values of the environment appear in no message', () => {
  const env = { URL: 'http://secret-host-name:8000', LEVEL: 'top-secret-level' }
  const result = translateText(
    'log: { level: "${LEVEL}" }\nmodels: { a: { endpoints: ["${URL}", "${URL}"], profile: "${LEVEL}" } }',
    { env },
  )
  assert.ok(!result.ok)
  assert.ok(!/secret/.test(JSON.stringify(result)), JSON.stringify(result))
  const two = translateText('models: { a: { endpoints: ["${URL}", "${URL}"], profile: "${LEVEL}" } }', { env })
  assert.ok(!two.ok)
  assert.deepEqual(problemLines(two.problems).length, 2)
  assert.ok(!/secret/.test(JSON.stringify(two)), JSON.stringify(two))
})
