import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseDocuments } from '#config/load-documents.ts'
import type { Snapshot } from '#config/snapshot.ts'
import { type Translation, translate } from '#controller/translate.ts'
import { manualClock } from '#core/manual-clock.ts'
import { isRefusal, refusals } from '#core/refusal.ts'
import { createSlotAllocator } from '#datastore/assign-slots.ts'
import { createEndpointTable } from '#datastore/endpoint-table.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import { scheduleRequest } from '#plugins/plugin-case.ts'
import { createScheduler } from '#schedule/scheduler.ts'

// Router configurations of Kthena (kthena-router.md 4.2), read by the gateway as it is.

const model = '---\nmodels: { m: { endpoints: [http://10.0.0.1:8000, http://10.0.0.2:8000] } }'

function translated(text: string): Translation {
  return translate(parseDocuments({ file: '/etc/router.yaml', text }, {}), {
    plugins,
    defaultProfile,
    readFile: () => ({ fails: 'does not exist' }),
    addresses: () => [],
    nowMs: undefined,
  })
}

function snapshotOf(text: string): Snapshot {
  const result = translated(`${text}\n${model}`)
  assert.ok(result.ok, JSON.stringify(result))
  return result.snapshot
}

const linesOf = (problems: Translation['warnings']): string[] =>
  problems.map(({ line, message, hint }) => `${line} ${message}${hint === undefined ? '' : ` (${hint})`}`)

/** The chart's own default (kthena-router.md 4.2). */
const helm = `scheduler:
  pluginConfig:
    - name: least-request
      args: { maxWaitingRequests: 20 }
    - name: least-latency
      args: { TTFTTPOTWeightFactor: 0.25 }
  plugins:
    Filter:
      enabled: [least-request]
      disabled: [lora-affinity]
    Score:
      enabled:
        - { name: least-request, weight: 1 }
        - { name: gpu-usage, weight: 2 }
        - { name: least-latency, weight: 1 }
        - { name: prefix-cache, weight: 3 }
auth:
  issuer: ""
  audiences: []
  jwksUri: ""
`

const helmProfile = {
  filters: [
    { type: 'usable', parameters: {} },
    { type: 'kthena-least-request-filter', parameters: { maxWaitingRequests: 20 } },
  ],
  scorers: [
    { type: 'kthena-least-request', weight: 1, parameters: {} },
    { type: 'kthena-gpu-usage', weight: 2, parameters: {} },
    { type: 'kthena-least-latency', weight: 1, parameters: { TTFTTPOTWeightFactor: 0.25 } },
    { type: 'kthena-prefix-cache', weight: 3, parameters: {} },
  ],
  picker: { type: 'max-score', parameters: {} },
}

test('the file becomes the profile of all models that name none', () => {
  const { profiles } = snapshotOf(helm)
  assert.deepEqual(profiles.kthena, helmProfile)
  assert.deepEqual(profiles.default, helmProfile)
})

test('so does the ConfigMap that it is mounted from, and a profile named default goes before it', () => {
  const map = `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: kthena-router-config }\ndata:\n  routerConfiguration: |\n${helm.replaceAll(/^(?=.)/gm, '    ')}`
  const both = `${map}---\nprofiles: { default: { scorers: [least-request] } }`
  const { profiles } = snapshotOf(both)
  assert.deepEqual(profiles.kthena, helmProfile)
  assert.equal(profiles.default?.scorers[0]?.type, 'least-request')
})

test('without plug-ins it has those of the original', () => {
  const { profiles } = snapshotOf('scheduler: { pluginConfig: [] }')
  const types = (list: readonly { readonly type: string }[] = []): string[] => list.map(({ type }) => type)
  assert.deepEqual(types(profiles.default?.filters), ['usable', 'kthena-least-request-filter'])
  assert.deepEqual(types(profiles.default?.scorers), [
    'kthena-least-request',
    'kthena-least-latency',
    'kthena-prefix-cache',
  ])
})

describe('what is wrong is told with its place', () => {
  const score = (items: string): string => `scheduler:\n  plugins:\n    Score:\n      enabled: ${items}`
  const cases: readonly (readonly [title: string, text: string, problems: readonly string[]])[] = [
    [
      'unknown plug-ins, which the original skips',
      'scheduler:\n  plugins:\n    Filter: { enabled: [lora-affinty] }\n    Score:\n      enabled: [{ name: gpu-use }]\n  pluginConfig:\n    - name: least-requests',
      [
        "3 unknown filter plug-in 'lora-affinty' (did you mean 'lora-affinity'?)",
        "5 unknown score plug-in 'gpu-use' (did you mean 'gpu-usage'?)",
        "7 unknown plug-in 'least-requests' (did you mean 'least-request'?)",
      ],
    ],
    [
      'unknown keys',
      'scheduler:\n  plugins:\n    filter: {}\n    Score: { enable: [] }\n  pluginConfig: []',
      ["3 unknown key 'filter' (did you mean 'Filter'?)", "4 unknown key 'enable' (did you mean 'enabled'?)"],
    ],
    [
      'arguments out of bounds or unknown',
      'scheduler:\n  pluginConfig:\n    - name: least-latency\n      args: { TTFTTPOTWeightFactor: 1.5 }\n    - name: least-request\n      args:\n        maxWaitingRequest: 3',
      [
        "4 'TTFTTPOTWeightFactor' must be a number from 0 to 1",
        "7 unknown key 'maxWaitingRequest' (did you mean 'maxWaitingRequests'?)",
      ],
    ],
    [
      'weights that are no whole numbers',
      score('[{ name: random, weight: 0.5 }]'),
      ["4 'weight' must be a whole number, at most 1000000"],
    ],
    [
      'authentication, which would not be done',
      helm.replace('jwksUri: ""', 'jwksUri: https://id.example.com/jwks'),
      [
        '20 this version does not check tokens yet (leave auth out, or jwksUri empty, and check tokens in front of the gateway)',
      ],
    ],
    [
      'a second file',
      `${helm}---\n${helm}`,
      ['22 a second router configuration; the first is in /etc/router.yaml, line 1'],
    ],
  ]
  for (const [title, text, problems] of cases) {
    test(title, () => {
      const result = translated(`${text}\n${model}`)
      assert.ok(!result.ok)
      assert.deepEqual(linesOf(result.problems), problems)
    })
  }

  test('in a ConfigMap by the lines of the file', () => {
    const text = `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: c }\ndata:\n  routerConfiguration: |\n    scheduler:\n      plugins:\n        Score:\n          enabled:\n            - { name: prefixcache }`
    const result = translated(`${text}\n${model}`)
    assert.ok(!result.ok)
    assert.deepEqual(linesOf(result.problems), [
      "10 unknown score plug-in 'prefixcache' (did you mean 'prefix-cache'?)",
    ])
  })
})

test('what is not done as written is warned of', () => {
  const text = `scheduler:
  pluginConfig: [{ name: prefix-cache, args: { topKMatches: 3 } }]
  plugins:
    Score:
      enabled:
        - { name: least-request, weight: -1 }
        - { name: random, weight: 1 }
        - { name: prefix-cache, weight: 2 }
        - { name: gpu-usage, weight: 2 }
      disabled: [gpu-usage]`
  const result = translated(`${text}\n${model}`)
  assert.ok(result.ok)
  assert.deepEqual(
    result.snapshot.profiles.default?.scorers.map(({ type, weight }) => [type, weight]),
    [['kthena-prefix-cache', 2]],
  )
  assert.deepEqual(linesOf(result.warnings), [
    "2 the arguments of 'prefix-cache' are checked but not needed: the gateway's index of prompts sizes itself",
    '6 the weight -1 counts as 0',
    "7 'random' beside other scorers is left out",
  ])
})

describe('requests are served where the original refuses them', () => {
  const schedulerOf = (text: string) => {
    const table = createEndpointTable()
    const snapshot = createSlotAllocator(table).assign(snapshotOf(text))
    const scheduler = createScheduler({ table, snapshot, plugins, rng: () => 0, clock: manualClock(1000) })
    return { table, slots: snapshot.modelServers[0]?.endpoints.map(({ slot }) => slot) ?? [], scheduler }
  }

  for (const [title, plugin] of [
    ['without any score plug-in', ''],
    ['with kvcache-aware alone and no match', '{ name: kvcache-aware }'],
    ['with prefix-cache alone and an empty prompt', '{ name: prefix-cache }'],
    ['with gpu-usage alone and engines that do not report it', '{ name: gpu-usage }'],
  ] as const) {
    test(title, () => {
      const { scheduler } = schedulerOf(`scheduler: { plugins: { Score: { enabled: [${plugin}] } } }`)
      for (let i = 0; i < 4; i++) assert.ok(!isRefusal(scheduler.pick('models/m', scheduleRequest(), [])))
    })
  }

  test('and a queue at every engine is 503 with a time to come back, not 400', () => {
    const { table, slots, scheduler } = schedulerOf(helm)
    for (const slot of slots) table.waiting[slot] = 30
    const refusal = scheduler.pick('models/m', scheduleRequest(), [])
    assert.ok(isRefusal(refusal))
    assert.deepEqual([refusals[refusal.reason].http, refusal.retryAfterS], [503, 1])
  })

  test('and requests in flight are given back whatever became of them', () => {
    const { table, slots, scheduler } = schedulerOf(helm)
    for (let i = 0; i < 100; i++) {
      const pick = scheduler.pick('models/m', scheduleRequest(), [])
      assert.ok(!isRefusal(pick))
      pick.lease.release()
      pick.lease.release()
    }
    for (const slot of slots) assert.equal(table.inFlight[slot], 0)
  })
})
