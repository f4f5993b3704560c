/** Profiles by name: written, built in, with producers and with handlers. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseDocuments } from '#config/load-documents.ts'
import type { Snapshot } from '#config/snapshot.ts'
import { snapshotOf as loadSnapshot } from '#controller/load-snapshot.ts'
import { seededRng } from '#core/clock.ts'
import { manualClock } from '#core/manual-clock.ts'
import { isRefusal } from '#core/refusal.ts'
import { createSlotAllocator } from '#datastore/assign-slots.ts'
import { createEndpointTable } from '#datastore/endpoint-table.ts'
import { builtInProfiles } from '#plugins/built-in-profiles.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import { scheduleRequest } from '#plugins/plugin-case.ts'
import { producersOf } from '#schedule/producers-of.ts'
import { createScheduler, type Scheduler } from '#schedule/scheduler.ts'

const engines = 'endpoints: [http://10.0.0.1:8000, http://10.0.0.2:8000, http://10.0.0.3:8000]'
const models = `models: { m: { ${engines} } }\n`

function load(text: string) {
  const documents = parseDocuments({ file: 'gw.yaml', text }, {})
  return loadSnapshot(documents, { env: {}, plugins, defaultProfile, builtInProfiles }, () => [])
}

function told(text: string): { readonly problems: string[]; readonly warnings: string[] } {
  const result = load(text)
  const words = (list: typeof result.warnings): string[] =>
    list.map(({ path, message, hint }) => `${path}: ${message}${hint === undefined ? '' : ` (${hint})`}`)
  return { problems: result.ok ? [] : words(result.problems), warnings: words(result.warnings) }
}

function snapshotOf(text: string): Snapshot {
  const result = load(text)
  assert.ok(result.ok, JSON.stringify(told(text)))
  return result.snapshot
}

function schedulerOf(text: string) {
  const table = createEndpointTable()
  const snapshot = createSlotAllocator(table).assign(snapshotOf(text))
  const scheduler = createScheduler({ table, snapshot, plugins, rng: seededRng(1), clock: manualClock(1_000_000) })
  return { table, snapshot, scheduler }
}

function placedBy(scheduler: Scheduler, headers: readonly string[] = []): string {
  const result = scheduler.pick('models/m', scheduleRequest({ headers }), [])
  if (isRefusal(result)) return result.reason
  result.lease.release()
  return result.profile.name
}

describe('a profile that is built in', () => {
  const names = Object.keys(builtInProfiles)

  for (const name of names) {
    test(`'${name}' can be named by a model, and places requests`, () => {
      const { snapshot, scheduler } = schedulerOf(`models: { m: { ${engines}, profile: ${name} } }\n`)
      assert.deepEqual(Object.keys(snapshot.profiles).toSorted(), ['default', name].toSorted())
      assert.equal(placedBy(scheduler), name)
    })
  }

  test('is there by name only where something names it', () => {
    assert.deepEqual(Object.keys(snapshotOf(models).profiles), ['default'])
    const split = `models: { m: { ${engines} }, n: { split: { m: 1 }, profile: kthena } }\n`
    assert.deepEqual(Object.keys(snapshotOf(split).profiles).toSorted(), ['default', 'kthena'])
    const allowed = `scheduler: { allowedProfiles: [llm-d, house] }\n${models}`
    assert.deepEqual(Object.keys(snapshotOf(allowed).profiles).toSorted(), ['default', 'house', 'llm-d'])
  })

  test('gives way to one of the same name that is written', () => {
    const text = `profiles: { balanced: { scorers: [kv-cache] } }\nmodels: { m: { ${engines}, profile: balanced } }\n`
    const types = snapshotOf(text).profiles['balanced']?.scorers.map(({ type }) => type)
    assert.deepEqual(types, ['kv-cache'])
    const router = 'scheduler: { plugins: { Score: { enabled: [ { name: random, weight: 1 } ] } } }\n---\n'
    const kthena = snapshotOf(`${router}models: { m: { ${engines}, profile: kthena } }\n`).profiles['kthena']
    assert.deepEqual(
      kthena?.scorers.map(({ type }) => type),
      ['kthena-random'],
    )
  })

  test('does not give way to one named as that of strategies: once those took the place of what was written', () => {
    const profiles = 'profiles: { routing-strategy: { scorers: [kv-cache] } }\n'
    const text = `${profiles}scheduler: { allowedStrategies: [random] }\n${models}`
    assert.deepEqual(told(text).problems, [
      "scheduler.allowedStrategies: 'allowedStrategies' takes the name 'routing-strategy', and a profile has it (give the profile another name)",
    ])
    assert.deepEqual(told(`${profiles}${models}`).problems, [])
  })

  test('is among the names of an error', () => {
    assert.deepEqual(told(`models: { m: { ${engines}, profile: ballanced } }\n`).problems, [
      "models.m.profile: no profile 'ballanced' (did you mean 'balanced'?)",
    ])
    const [far] = told(`models: { m: { ${engines}, profile: nothing-like-it } }\n`).problems
    for (const name of [...names, 'default']) assert.ok(far?.includes(name), far)
    assert.deepEqual(told(`scheduler: { allowedProfiles: [constructor] }\n${models}`).problems.length, 1)
  })

  test('is that of an empty configuration of the peer', () => {
    const epp = `apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins: [ { type: queue-scorer }, { type: kv-cache-utilization-scorer }, { type: prefix-cache-scorer } ]
schedulingProfiles:
- name: default
  plugins:
  - { pluginRef: queue-scorer, weight: 2 }
  - { pluginRef: kv-cache-utilization-scorer, weight: 2 }
  - { pluginRef: prefix-cache-scorer, weight: 3 }
`
    const router = 'scheduler: { pluginConfig: [ { name: least-request, args: { maxWaitingRequests: 10 } } ] }\n'
    for (const [name, text] of [
      ['llm-d', `${models}---\n${epp}`],
      ['kthena', `${router}---\n${models}`],
    ] as const) {
      const loaded = snapshotOf(text).profiles['default'] ?? assert.fail()
      const types = ({ filters, scorers, picker }: Pick<typeof loaded, 'filters' | 'scorers' | 'picker'>) => [
        ...filters.map(({ type }) => type),
        ...scorers.map(({ type, weight }) => `${type} ${weight}`),
        picker.type,
      ]
      const own = builtInProfiles[name]
      assert.deepEqual(types(own), types(loaded))
      const producers = [own, loaded].map((plan) => producersOf(plan, plugins).map(({ type }) => type))
      assert.deepEqual(producers[0], producers[1])
    }
  })
})

describe('producers of a profile', () => {
  const profile = (producers: string, scorers = 'cost'): string =>
    `profiles: { default: { producers: ${producers}, scorers: [${scorers}] } }\n${models}`

  test('are those that it names, behind the usual ones of facts that nobody writes', () => {
    const producersFor = (text: string): string[] => {
      const plan = snapshotOf(text).profiles['default'] ?? assert.fail()
      return producersOf(plan, plugins).map(({ type }) => type)
    }
    assert.deepEqual(producersFor(profile('[]')), ['prefix'])
    assert.deepEqual(producersFor(profile('[prefix]')), ['prefix'])
    assert.deepEqual(producersFor(profile('[approx-prefix-cache-producer]', 'prefix-cache-scorer')), [
      'approx-prefix-cache-producer',
    ])
    assert.deepEqual(
      producersFor(profile('[approx-prefix-cache-producer]')),
      ['prefix', 'approx-prefix-cache-producer'],
      'the cost needs what only the house producer finds out; the one named has the last word on what both do',
    )
  })

  test('have parameters, checked like those of others', () => {
    const text = profile('[{ type: inflight-load-producer, outputRatio: 2 }]', 'token-load-scorer')
    const [producer] = snapshotOf(text).profiles['default']?.producers ?? []
    assert.equal(producer?.parameters['outputRatio'], 2)
    assert.deepEqual(
      told(profile('[{ type: inflight-load-producer, ratio: 2 }, cost, prefixx, prefix, prefix]')).problems,
      [
        "profiles.default.producers[0].ratio: unknown key 'ratio' (keys that stand here: addEstimatedOutputTokens, outputRatio, maxEstimatedOutputTokens, syncCrossReplicaState)",
        "profiles.default.producers[1].type: 'cost' is a scorer, not a producer (producers: precise-prefix, prefix, approx-prefix-cache-producer, inflight-load-producer)",
        "profiles.default.producers[2].type: unknown producer 'prefixx' (did you mean 'prefix'?)",
        "profiles.default.producers[4]: 'prefix' stands here a second time",
      ],
    )
  })
})

describe('a profile with a handler', () => {
  const written = `profiles:
  interactive: { filters: [usable], scorers: [latency] }
  by-class:
    handler: { type: header-profile-handler, headerName: x-class, defaultProfile: interactive }
    profiles: [interactive, balanced]
models: { m: { ${engines}, profile: by-class } }
`

  test('places each request by one of the profiles that it names, built in ones included', () => {
    const { scheduler, snapshot } = schedulerOf(written)
    assert.deepEqual(Object.keys(snapshot.profiles).toSorted(), ['balanced', 'by-class', 'default', 'interactive'])
    assert.deepEqual(
      [[], ['x-class', 'balanced'], ['x-class', 'house']].map((headers) => placedBy(scheduler, headers)),
      ['interactive', 'balanced', 'unknown-profile'],
    )
    assert.deepEqual(told(written), {
      problems: [],
      warnings: [
        "profiles.by-class.handler.type: profile handler 'header-profile-handler' is alpha: it may change or go",
      ],
    })
  })

  const cases: { name: string; profiles: string; problems: string[] }[] = [
    {
      name: 'has no plug-ins of its own',
      profiles: '{ x: { handler: in-turn-profile-handler, profiles: [default], scorers: [cost], strategy: random } }',
      problems: [
        "profiles.x.scorers: 'scorers' has no meaning beside 'handler'",
        "profiles.x.strategy: 'strategy' has no meaning beside 'handler'",
      ],
    },
    {
      name: 'names profiles',
      profiles: '{ x: { handler: in-turn-profile-handler } }',
      problems: [
        "profiles.x.handler: 'handler' chooses among 'profiles', and there are none (list the names of others under profiles)",
      ],
    },
    {
      name: 'names profiles that there are, none with a handler',
      profiles:
        '{ x: { handler: in-turn-profile-handler, profiles: [hous, y, default] }, y: { handler: single-profile-handler, profiles: [default] } }',
      problems: [
        "profiles.x.profiles[0]: no profile 'hous' without a handler (did you mean 'house'?)",
        "profiles.x.profiles[1]: no profile 'y' without a handler (profiles: house, balanced, llm-d, kthena, default)",
      ],
    },
    {
      // Once read as the built-in profile, which the name then hid: the configuration was taken, and no thread could use it.
      name: 'names neither itself nor what another with a handler hides, be they built in or not',
      profiles:
        '{ default: { handler: in-turn-profile-handler, profiles: [house, default] }, balanced: { handler: in-turn-profile-handler, profiles: [balanced, kthena] }, x: { handler: in-turn-profile-handler, profiles: [balanced] } }',
      problems: [
        "profiles.default.profiles[1]: no profile 'default' without a handler (profiles: house, llm-d, kthena)",
        "profiles.balanced.profiles[0]: no profile 'balanced' without a handler (profiles: house, llm-d, kthena)",
        "profiles.x.profiles[0]: no profile 'balanced' without a handler (profiles: house, llm-d, kthena)",
      ],
    },
    {
      name: 'names each once: a second one was tried a second time, in vain',
      profiles: '{ x: { handler: in-turn-profile-handler, profiles: [balanced, default, balanced] } }',
      problems: ["profiles.x.profiles[2]: 'balanced' stands here a second time"],
    },
    {
      name: 'names a handler that there is',
      profiles:
        '{ x: { handler: usable, profiles: [default] }, y: { handler: { type: in-turn-profile-handler, z: 1 }, profiles: [default] } }',
      problems: [
        "profiles.x.handler.type: 'usable' is a filter, not a profile handler (profile handlers: in-turn-profile-handler, single-profile-handler, header-profile-handler)",
        "profiles.y.handler.z: unknown key 'z'",
      ],
    },
    {
      name: 'is what profiles need',
      profiles: '{ x: { profiles: [default] } }',
      problems: ["profiles.x.profiles: 'profiles' has no meaning without 'handler'"],
    },
  ]
  for (const { name, profiles, problems } of cases) {
    test(name, () => assert.deepEqual(told(`profiles: ${profiles}\n${models}`).problems, problems))
  }

  test('warns when requests without the header would be refused', () => {
    const text = `profiles: { x: { handler: header-profile-handler, profiles: [house, balanced] } }\n${models}`
    assert.deepEqual(told(text).warnings, [
      "profiles.x.handler.type: profile handler 'header-profile-handler' is alpha: it may change or go",
      "profiles.x.handler.type: requests without the header 'EPP-Profile' are refused: there is no profile 'decode' (defaultProfile) here",
    ])
  })
})

describe('an EndpointPickerConfig with several profiles', () => {
  const document = (handler: string): string => `${models}---
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- { type: encode-filter }
- { type: prefill-filter }
- { type: decode-filter }
- { type: queue-scorer }
- { type: prefix-cache-scorer, parameters: { matchLengthWeight: 0.5 } }
${handler}
schedulingProfiles:
- { name: encode, plugins: [ { pluginRef: encode-filter } ] }
- { name: prefill, plugins: [ { pluginRef: prefill-filter }, { pluginRef: prefix-cache-scorer, weight: 3 } ] }
- { name: decode, plugins: [ { pluginRef: decode-filter }, { pluginRef: queue-scorer }, { pluginRef: prefix-cache-scorer } ] }
`

  test('becomes a profile for each, and header-profile-handler chooses among them', () => {
    const { scheduler, snapshot } = schedulerOf(document('- { type: header-profile-handler }'))
    const plans = snapshot.profiles
    assert.deepEqual(
      Object.entries(plans).map(([name, { filters, scorers }]) => [
        name,
        ...filters.slice(1).map(({ type }) => type),
        ...scorers.map(({ type, weight }) => `${type} ${weight}`),
      ]),
      [
        ['default', 'encode-filter'],
        ['default/encode', 'encode-filter'],
        ['default/prefill', 'prefill-filter', 'prefix-cache-scorer 3'],
        ['default/decode', 'decode-filter', 'queue-scorer 1', 'prefix-cache-scorer 1'],
      ],
    )
    assert.equal(placedBy(scheduler), 'default/decode', 'engines without a role decode')
    assert.equal(placedBy(scheduler, ['epp-profile', 'prefill']), 'no-endpoint', 'no engine only prefills')
    assert.equal(placedBy(scheduler, ['epp-profile', 'default/decode']), 'unknown-profile')
  })

  test('warns of what is alpha once', () => {
    assert.deepEqual(told(document('- { type: header-profile-handler }')), {
      problems: [],
      warnings: ["plugins[5].type: profile handler 'header-profile-handler' is alpha: it may change or go"],
    })
  })

  test('is told of its mistakes once, whatever profiles they stand in', () => {
    const text = document('- { type: header-profile-handler, parameters: { header: x } }').replace(
      'matchLengthWeight: 0.5',
      'matchLengthWeight: 5',
    )
    assert.deepEqual(told(text).problems, [
      "plugins[4].parameters.matchLengthWeight: 'matchLengthWeight' must be at most 1",
      "plugins[5].parameters.header: unknown key 'header' (keys that stand here: headerName, defaultProfile)",
    ])
  })

  test('of one name twice is refused', () => {
    const text = document('- { type: header-profile-handler }').replace('name: encode', 'name: decode')
    assert.deepEqual(told(text).problems, ["schedulingProfiles[2].name: two profiles are named 'decode'"])
  })

  for (const type of ['disagg-profile-handler', 'pd-profile-handler']) {
    test(`is refused with ${type}, which places prefill and decode apart`, () => {
      assert.deepEqual(told(document(`- { type: ${type} }`)).problems, [
        `plugins[5].type: '${type}' cannot be used: this version does not run prefill and decode on different endpoints: give one profile with the scorers for both`,
      ])
    })
  }

  test('is refused with single-profile-handler, as by the Endpoint Picker', () => {
    const [problem] = told(document('- { type: single-profile-handler }')).problems
    assert.match(
      problem ?? '',
      /^schedulingProfiles\[1\]: several scheduling profiles need a profile handler that chooses/,
    )
  })
})
