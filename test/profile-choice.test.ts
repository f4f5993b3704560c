import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { parseDocuments } from '#config/load-documents.ts'
import type { Snapshot } from '#config/snapshot.ts'
import type { Env } from '#config/substitute-env.ts'
import { type Translation, translate } from '#controller/translate.ts'
import { seededRng } from '#core/clock.ts'
import { manualClock } from '#core/manual-clock.ts'
import { isRefusal, refusals } from '#core/refusal.ts'
import { createSlotAllocator } from '#datastore/assign-slots.ts'
import { createEndpointTable } from '#datastore/endpoint-table.ts'
import { compileChoice } from '#pipeline/choose-profile.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'
import { scheduleRequest } from '#plugins/plugin-case.ts'
import { compileRoutes } from '#route/compile-routes.ts'
import { Explainer } from '#schedule/explain.ts'
import { createScheduler } from '#schedule/scheduler.ts'

const engines = 'endpoints: [http://10.0.0.1:8000, http://10.0.0.2:8000, http://10.0.0.3:8000]'
const models = `models: { m: { ${engines} } }`

function translated(text: string, env: Env = {}): Translation {
  return translate(parseDocuments({ file: '/etc/gw.yaml', text }, env), {
    plugins,
    defaultProfile,
    env,
    readFile: () => ({ fails: 'does not exist' }),
    addresses: () => [],
    nowMs: undefined,
  })
}

function snapshotOf(text: string, env: Env = {}): Snapshot {
  const result = translated(text, env)
  assert.ok(result.ok, JSON.stringify(result))
  return result.snapshot
}

function problemsOf(text: string, env: Env = {}): string[] {
  const result = translated(text, env)
  return result.ok
    ? []
    : result.problems.map(({ line, path, message, hint }) => `${line} ${path}: ${message} (${hint})`)
}

describe('what requests may choose', () => {
  test('is nothing unless the configuration says so', () => {
    assert.equal(snapshotOf(models).choice, undefined)
  })

  test('is named in the configuration, by profiles that there are', () => {
    const text = `scheduler: { allowedProfiles: [fast, default], allowedStrategies: [random, prefix-cache] }\nprofiles: { fast: { scorers: [latency] } }\n${models}`
    const { choice, profiles } = snapshotOf(text)
    assert.deepEqual(
      [choice?.profiles, choice?.strategies],
      [
        ['fast', 'default'],
        ['random', 'prefix-cache'],
      ],
    )
    assert.deepEqual(
      profiles['routing-strategy']?.scorers.map(({ type }) => type),
      ['aibrix-random', 'aibrix-prefix-cache'],
    )
    assert.deepEqual(problemsOf(`scheduler: { allowedProfiles: [fastt] }\nprofiles: { fast: {} }\n${models}`), [
      "1 scheduler.allowedProfiles[0]: no profile 'fastt' (did you mean 'fast'?)",
    ])
    assert.deepEqual(problemsOf(`scheduler: { allowedStrategies: [least-requests] }\n${models}`).length, 1)
    assert.equal(snapshotOf(`scheduler: { allowedStrategies: true }\n${models}`).choice?.strategies.length, 12)
  })

  const plan = {
    profiles: ['fast', 'cheap'],
    strategies: ['least-request', 'prefix-cache'],
    strategyProfile: 's',
  } as const
  const cases: readonly (readonly [headers: readonly string[], choice: unknown])[] = [
    [[], undefined],
    [['x-infer-profile', ''], undefined],
    [['x-infer-profile', 'fast'], { name: 'fast' }],
    [['routing-strategy', 'prefix-cache:2,least-request:1'], { name: 's', weights: [1, 2] }],
    [['routing-strategy', 'prefix-cache'], { name: 's', weights: [0, 1] }],
    [['routing-strategy', ''], undefined],
    [['routing-strategy', 'least-request', 'x-infer-profile', 'cheap'], { name: 'cheap' }],
    [['config-profile', 'fast'], { name: 'fast' }],
    [['config-profile', 'fast', 'x-infer-profile', 'cheap'], { name: 'cheap' }],
    [['config-profile', 'fast', 'routing-strategy', 'prefix-cache'], { name: 's', weights: [0, 1] }],
  ]
  for (const [headers, choice] of cases) {
    test(`with ${headers.join(' ') || 'no header'}`, () => assert.deepEqual(compileChoice(plan)(headers), choice))
  }

  const refused: readonly (readonly [headers: readonly string[], message: RegExp])[] = [
    [['x-infer-profile', 'default'], /No profile 'default' can be chosen. Those that can: fast, cheap\./],
    [['x-infer-profile', 'Fast'], /Those that can: fast, cheap/],
    [
      ['routing-strategy', 'random'],
      /names 'random', which may not be chosen here. Those that can be chosen: least-request, prefix-cache\./,
    ],
    [['config-profile', 'auto'], /No profile 'auto' can be chosen/],
    [['routing-strategy', 'pd'], /prefill and decode/],
    [['routing-strategy', 'least-request:x'], /weight/],
  ]
  for (const [headers, message] of refused) {
    test(`is refused with ${headers.join(' ')}`, () => {
      const refusal = compileChoice(plan)(headers)
      assert.ok(isRefusal(refusal))
      assert.deepEqual([refusals[refusal.reason].http, refusal.param], [400, headers[0]])
      assert.match(refusal.message, message)
    })
  }

  test('is nothing by a header that is not allowed', () => {
    const choose = compileChoice({ ...plan, profiles: [] })
    assert.equal(choose(['x-infer-profile', 'nonsense']), undefined)
    assert.equal(choose(['config-profile', 'nonsense']), undefined)
    assert.equal(compileChoice({ ...plan, strategies: [] })(['routing-strategy', 'nonsense']), undefined)
  })

  test('is remembered in bounds, however many lists are sent', () => {
    const choose = compileChoice(plan)
    for (let i = 1; i < 2000; i++) {
      assert.deepEqual(choose(['routing-strategy', `least-request:${i}`]), { name: 's', weights: [i, 0] })
    }
  })
})

describe('the profile of a route', () => {
  test('is that of its rule, which goes before that of the model server', () => {
    const text = `profiles: { fast: {}, cheap: {} }
models:
  a: { ${engines}, profile: cheap }
  b: { split: { a: 1 }, profile: fast }
  c: { split: { a: 1 } }`
    const snapshot = snapshotOf(text)
    const routes = compileRoutes(snapshot)
    const profileOf = (model: string): unknown => {
      const route = routes.route(
        { model, headers: [], path: '/v1/chat/completions' },
        () => true,
        () => 0,
      )
      assert.ok(!isRefusal(route))
      return route.profile
    }
    assert.deepEqual(['a', 'b', 'c'].map(profileOf), [undefined, { name: 'fast' }, undefined])
    assert.equal(snapshot.modelServers[0]?.profile, 'cheap')
    assert.deepEqual(problemsOf(text.replace('profile: fast', 'profile: fats')), [
      "4 models.b.profile: no profile 'fats' (did you mean 'fast'?)",
    ])
  })

  test('can be given in manifests, for rules and for model servers', () => {
    const api = 'apiVersion: networking.serving.volcano.sh/v1alpha1'
    const text = `profiles: { fast: {} }
---
${api}
kind: ModelRoute
metadata: { name: r }
spec:
  modelName: m
  rules:
    - { targetModels: [{ modelServerName: v1 }], profile: fast }
---
${api}
kind: ModelServer
metadata: { name: v1 }
spec: { inferenceEngine: vLLM, workloadSelector: { matchLabels: { app: v1 } }, workloadPort: { port: 8000 }, profile: default }`
    const { routes, modelServers } = snapshotOf(text)
    assert.deepEqual([routes[0]?.rules[0]?.profile, modelServers[0]?.profile], ['fast', 'default'])
    assert.deepEqual(
      problemsOf(text.replace('profile: fast', 'profile: slow').replace('profile: default', 'profile: d')),
      [
        "9 spec.rules[0].profile: no profile 'slow' (profiles: default, fast)",
        "14 spec.profile: no profile 'd' (profiles: default, fast)",
      ],
    )
  })
})

describe('a profile by strategies', () => {
  test('is the weighted sum of their scores', () => {
    const { profiles } = snapshotOf(`profiles: { a: { strategy: "prefix-cache:2,least-request" } }\n${models}`)
    assert.deepEqual(
      profiles.a?.scorers.map(({ type, weight }) => [type, weight]),
      [
        ['aibrix-prefix-cache', 2],
        ['aibrix-least-request', 1],
      ],
    )
    assert.deepEqual(problemsOf(`profiles: { a: { strategy: prefix-cach } }\n${models}`), [
      "1 profiles.a.strategy: 'strategy' names 'prefix-cach', which is no strategy: did you mean 'prefix-cache'? (undefined)",
    ])
    assert.deepEqual(problemsOf(`profiles: { a: { strategy: random, picker: random } }\n${models}`), [
      "1 profiles.a.picker: 'picker' has no meaning beside 'strategy' (undefined)",
    ])
  })

  test('is the default where AIBrix has it in the environment, unless the configuration has its own', () => {
    const env = { ROUTING_ALGORITHM: 'prefix-cache', AIBRIX_PREFIX_CACHE_STANDARD_DEVIATION_FACTOR: '2' }
    const [scorer] = snapshotOf(models, env).profiles.default?.scorers ?? []
    assert.deepEqual(scorer, { type: 'aibrix-prefix-cache', weight: 1, parameters: { deviations: 2 } })
    const own = snapshotOf(`profiles: { default: { scorers: [latency] } }\n${models}`, env)
    assert.equal(own.profiles.default?.scorers[0]?.type, 'latency')
    assert.match(problemsOf(models, { ROUTING_ALGORITHM: 'slo' })[0] ?? '', /ROUTING_ALGORITHM names 'slo'/)
  })
})

describe('a request is placed by the profile it has', () => {
  const table = createEndpointTable()
  const text = `scheduler: { allowedStrategies: true }\nprofiles: { default: { scorers: [least-request] } }\n${models}`
  const snapshot = createSlotAllocator(table).assign(snapshotOf(text))
  const scheduler = createScheduler({ table, snapshot, plugins, rng: () => 0, clock: manualClock(1_000_000) })
  const slots = snapshot.modelServers[0]?.endpoints.map(({ slot }) => slot) ?? []
  const choose = compileChoice(snapshot.choice ?? { profiles: [], strategies: [], strategyProfile: '' })

  const pick = (strategy: string | undefined) => {
    const profile = strategy === undefined ? undefined : choose(['routing-strategy', strategy])
    assert.ok(!isRefusal(profile))
    const explainer = new Explainer()
    const result = scheduler.pick('models/m', scheduleRequest({ profile }), [], explainer)
    assert.ok(!isRefusal(result))
    result.lease.release()
    return { slot: result.endpoint.slot, decision: result.decision, explanation: explainer.explanation() }
  }

  test('with only the strategies that it names', () => {
    slots.forEach((slot, i) => {
      table.kvUse[slot] = [0.9, 0.1, 0.5][i]!
      table.inFlight[slot] = [0, 5, 2][i]!
    })
    assert.equal(pick(undefined).slot, slots[0])
    const { slot, explanation } = pick('least-kv-cache')
    assert.deepEqual([slot, explanation.profile], [slots[1], 'routing-strategy'])
    assert.deepEqual(
      explanation.scorers.map(({ type }) => type),
      ['aibrix-least-kv-cache'],
    )
    assert.equal(pick('least-kv-cache:2,least-request:3').slot, slots[0], '3 against 2 and 1 + 1.8')
    assert.equal(pick('least-kv-cache:5,least-request:1').slot, slots[1])
  })

  test('and shows when a strategy has no signal', () => {
    slots.forEach((slot) => {
      table.kvUse[slot] = Number.NaN
    })
    const { slot, decision } = pick('least-gpu-cache')
    assert.equal(slot, slots[0], 'the one with the fewest requests')
    assert.equal(decision.fallback, 'aibrix-least-gpu-cache')
    assert.equal(decision.text(), 'aibrix-least-gpu-cache 1.00 of 3, no signal for aibrix-least-gpu-cache')
    assert.equal(pick('least-request').decision.fallback, undefined)
    for (const one of slots) table.inFlight[one] = 0
  })

  test('and equals are drawn evenly', () => {
    const rng = seededRng(11)
    const even = createScheduler({ table, snapshot, plugins, rng, clock: manualClock(1_000_000) })
    const profile = choose(['routing-strategy', 'least-request:2,least-busy-time'])
    assert.ok(!isRefusal(profile))
    const counts = new Map(slots.map((slot) => [slot, 0]))
    for (let i = 0; i < 600; i++) {
      const result = even.pick('models/m', scheduleRequest({ profile }), [])
      assert.ok(!isRefusal(result))
      result.lease.release()
      counts.set(result.endpoint.slot, (counts.get(result.endpoint.slot) ?? 0) + 1)
    }
    for (const count of counts.values()) assert.ok(count > 150 && count < 250, `${count}`)
  })

  test('and a session learns where it is even when there is one endpoint to choose from', () => {
    // AIBrix passes over the strategy then, so that nothing is learned (aibrix-and-others.md A1.8).
    const profile = choose(['routing-strategy', 'session-affinity'])
    assert.ok(!isRefusal(profile))
    const result = scheduler.pick('models/m', scheduleRequest({ profile }), slots.slice(0, 2))
    assert.ok(!isRefusal(result))
    assert.equal(result.lease.replyHeaders?.[0], 'x-session-id')
    result.lease.release()
  })
})
