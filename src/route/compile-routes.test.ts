import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { RoutePlan } from '#config/snapshot.ts'
import { seededRng } from '#core/clock.ts'
import { isRefusal, type Refusal } from '#core/refusal.ts'
import { compileRoutes } from './compile-routes.ts'
import type { RouteInput, RouteResult } from './compile-rule.ts'
import { routePlan, routingPlan, rulePlan } from './route-case.ts'

const always = (): boolean => true
const served = { big: 'served-big', small: 'served-small', same: 'm', silent: undefined }

function ask(routes: readonly RoutePlan[], given: Partial<RouteInput> = {}, isUsable = always): RouteResult | Refusal {
  const input = { model: 'm', headers: [], path: '/v1/chat/completions', ...given }
  return compileRoutes(routingPlan(routes, served)).route(input, isUsable, seededRng(1))
}

/** `route:rule->model server`, or the reason of the refusal. */
function shown(result: RouteResult | Refusal): string {
  return isRefusal(result) ? result.reason : `${result.route}:${result.ruleIndex}->${result.modelServer}`
}

const header = (name: string, kind: 'exact' | 'prefix' | 'regex', value: string) => ({ name, match: { kind, value } })

describe('precedence: a request goes', () => {
  const old = routePlan('old', { modelName: 'm', rules: [rulePlan('big')] })
  const young = routePlan('young', { modelName: 'm', rules: [rulePlan('small')] })
  const adapters = routePlan('adapters', { adapters: ['a', 'm'], rules: [rulePlan('small')] })
  const premium = rulePlan('big', { headers: [header('user-type', 'exact', 'premium')] })
  const onlyPremium = routePlan('premium', { modelName: 'm', rules: [premium] })
  const unweighted = routePlan('unweighted', {
    modelName: 'm',
    rules: [rulePlan('big', { targets: [{ modelServer: 'big', weight: 0 }] }), rulePlan('big')],
  })
  const cases: { name: string; routes: RoutePlan[]; input?: Partial<RouteInput>; to: string }[] = [
    { name: 'to the oldest route of its name', routes: [old, young], to: 'old:0->big' },
    {
      name: 'to the base model when the name is an older adapter too',
      routes: [adapters, young],
      to: 'young:0->small',
    },
    { name: 'to no adapter when no rule of the base matches', routes: [adapters, onlyPremium], to: 'no-matching-rule' },
    {
      name: 'to the adapter route when no base has the name',
      routes: [old, adapters],
      input: { model: 'a' },
      to: 'adapters:0->small',
    },
    {
      name: 'to the oldest of several adapter routes',
      routes: [routePlan('x', { modelName: 'n', adapters: ['a'], rules: [rulePlan('big')] }), adapters],
      input: { model: 'a' },
      to: 'x:0->big',
    },
    { name: 'past an attached route', routes: [{ ...old, attached: true }, young], to: 'young:0->small' },
    { name: 'nowhere when all its routes are attached', routes: [{ ...old, attached: true }], to: 'unknown-model' },
    { name: 'to a younger route when no rule matches', routes: [onlyPremium, young], to: 'young:0->small' },
    { name: 'to a younger route when the rule has no weight', routes: [unweighted, young], to: 'young:0->small' },
    { name: 'nowhere when no rule of any route matches', routes: [onlyPremium], to: 'no-matching-rule' },
    {
      name: 'nowhere when the route has no rules',
      routes: [routePlan('r', { modelName: 'm' })],
      to: 'no-matching-rule',
    },
    { name: 'nowhere when nobody knows the name', routes: [old], input: { model: 'M' }, to: 'unknown-model' },
    {
      name: 'to the first of several matching rules',
      routes: [routePlan('r', { modelName: 'm', rules: [premium, rulePlan('small'), rulePlan('big')] })],
      to: 'r:1->small',
    },
    {
      name: 'to the more special rule when that comes first',
      routes: [routePlan('r', { modelName: 'm', rules: [premium, rulePlan('small')] })],
      input: { headers: ['user-type', 'premium'] },
      to: 'r:0->big',
    },
  ]
  for (const { name, routes, input, to } of cases) test(name, () => assert.equal(shown(ask(routes, input)), to))
})

describe('a rule matches', () => {
  const path = (kind: 'exact' | 'prefix' | 'regex', value: string) => ({ path: { kind, value } }) as const
  const cases: { name: string; rule: Parameters<typeof rulePlan>[1]; input?: Partial<RouteInput>; matches: boolean }[] =
    [
      { name: 'without conditions', rule: {}, matches: true },
      {
        name: 'a header, whatever the case of its name',
        rule: { headers: [header('X-Tier', 'exact', 'a')] },
        input: { headers: ['x-tier', 'a'] },
        matches: true,
      },
      {
        name: 'not another case of the value',
        rule: { headers: [header('x-tier', 'exact', 'a')] },
        input: { headers: ['x-tier', 'A'] },
        matches: false,
      },
      {
        name: 'the first of several values only',
        rule: { headers: [header('x-tier', 'exact', 'b')] },
        input: { headers: ['x-tier', 'a', 'x-tier', 'b'] },
        matches: false,
      },
      { name: 'not an absent header', rule: { headers: [header('x-tier', 'prefix', 'a')] }, matches: false },
      {
        name: 'an absent header that is to be empty',
        rule: { headers: [header('x-tier', 'exact', '')] },
        matches: true,
      },
      {
        name: 'all of its headers',
        rule: { headers: [header('a', 'exact', '1'), header('b', 'regex', '^2')] },
        input: { headers: ['b', '22', 'a', '1'] },
        matches: true,
      },
      {
        name: 'not some of its headers',
        rule: { headers: [header('a', 'exact', '1'), header('b', 'regex', '^2')] },
        input: { headers: ['a', '1'] },
        matches: false,
      },
      { name: 'the path', rule: path('exact', '/v1/chat/completions'), matches: true },
      { name: 'a prefix of the path', rule: path('prefix', '/v1/'), matches: true },
      { name: 'part of the path by regex', rule: path('regex', 'chat|embed'), matches: true },
      { name: 'not another path', rule: path('prefix', '/v2/'), matches: false },
      {
        name: 'not with the right header but the wrong path',
        rule: { ...path('exact', '/x'), headers: [header('a', 'exact', '1')] },
        input: { headers: ['a', '1'] },
        matches: false,
      },
      { name: 'the model of the body', rule: { model: 'm' }, matches: true },
      { name: 'not another model', rule: { model: 'a' }, matches: false },
      {
        name: 'one of the adapters by the model of the body',
        rule: { model: 'a' },
        input: { model: 'a' },
        matches: true,
      },
    ]
  for (const { name, rule, input, matches } of cases) {
    test(name, () => {
      const route = routePlan('r', { modelName: 'm', adapters: ['a'], rules: [rulePlan('big', rule)] })
      assert.equal(shown(ask([route], input)), matches ? 'r:0->big' : 'no-matching-rule')
    })
  }
})

describe('the model name', () => {
  const to = (target: string): RoutePlan[] => [
    routePlan('r', { modelName: 'm', adapters: ['a'], rules: [rulePlan(target)] }),
  ]
  const cases = [
    {
      name: 'becomes what the engine serves',
      target: 'big',
      model: 'm',
      upstreamModel: 'served-big',
      isAdapter: false,
    },
    {
      name: 'stays when the engine serves that very name',
      target: 'same',
      model: 'm',
      upstreamModel: undefined,
      isAdapter: false,
    },
    {
      name: 'stays when the model server names none',
      target: 'silent',
      model: 'm',
      upstreamModel: undefined,
      isAdapter: false,
    },
    { name: 'of an adapter stays', target: 'big', model: 'a', upstreamModel: undefined, isAdapter: true },
  ]
  for (const { name, target, model, upstreamModel, isAdapter } of cases) {
    test(name, () => {
      const result = ask(to(target), { model })
      assert.ok(!isRefusal(result))
      assert.deepEqual([result.upstreamModel, result.isAdapter], [upstreamModel, isAdapter])
    })
  }
})

describe('the draw by weight', () => {
  const weights = { big: 70, small: 25, same: 5, silent: 0 }
  const targets = Object.entries(weights).map(([modelServer, weight]) => ({ modelServer, weight }))
  const routes = [routePlan('r', { modelName: 'm', rules: [rulePlan('big', { targets })] })]
  const draws = 40_000

  /** Draws many times: the share of each model server, and of the requests that skipped each. */
  function sharesWhen(isUsable: (key: string, allowResting: boolean) => boolean): {
    to: Record<string, number>
    skipped: Record<string, number>
  } {
    const table = compileRoutes(routingPlan(routes, served))
    const rng = seededRng(42)
    const to: Record<string, number> = {}
    const skipped: Record<string, number> = {}
    for (let i = 0; i < draws; i++) {
      const result = table.route({ model: 'm', headers: [], path: '/' }, isUsable, rng)
      assert.ok(!isRefusal(result))
      to[result.modelServer] = (to[result.modelServer] ?? 0) + 1 / draws
      for (const key of result.skippedTargets) skipped[key] = (skipped[key] ?? 0) + 1 / draws
    }
    return { to, skipped }
  }

  function assertShares(found: Record<string, number>, expected: Record<string, number>): void {
    assert.deepEqual(Object.keys(found).toSorted(), Object.keys(expected).toSorted())
    // 40,000 draws: a standard deviation is at most 0.0025.
    for (const [key, share] of Object.entries(expected))
      assert.ok(Math.abs((found[key] ?? 0) - share) < 0.01, `${key} ${found[key]}`)
  }

  test('gives each target its share, and none to weight zero', () => {
    const { to, skipped } = sharesWhen(always)
    assertShares(to, { big: 0.7, small: 0.25, same: 0.05 })
    assertShares(skipped, {})
  })

  test('shares out what a target without usable endpoint would get, and counts the requests moved', () => {
    const { to, skipped } = sharesWhen((key) => key !== 'big')
    assertShares(to, { small: 25 / 30, same: 5 / 30 })
    assertShares(skipped, { big: 0.7 })
  })

  test('counts every target that was passed over', () => {
    const { to, skipped } = sharesWhen((key) => key === 'same')
    assertShares(to, { same: 1 })
    assertShares(skipped, { big: 0.7 + 0.25 * (70 / 75), small: 0.25 + 0.7 * (25 / 30) })
  })

  test('prefers siblings with endpoints that do not rest', () => {
    const { to, skipped } = sharesWhen((key, allowResting) => allowResting || key === 'small')
    assertShares(to, { small: 1 })
    assertShares(skipped, { big: 0.7 + 0.05 * (70 / 95), same: 0.05 + 0.7 * (5 / 30) })
  })

  test('goes by weight among targets whose endpoints all rest, when there are no others', () => {
    const { to, skipped } = sharesWhen((key, allowResting) => allowResting && key !== 'same')
    assertShares(to, { big: 0.7 + 0.05 * (70 / 95), small: 0.25 + 0.05 * (25 / 95) })
    assertShares(skipped, { same: 0.05 })
  })

  test('is refused when no target is usable: a younger route is not asked, nor is weight zero', () => {
    const younger = routePlan('younger', { modelName: 'm', rules: [rulePlan('same')] })
    const down = new Set(['big', 'small', 'same'])
    const oneRule = routePlan('r', { modelName: 'm', rules: [rulePlan('big', { targets: targets.slice(0, 2) })] })
    assert.equal(shown(ask([oneRule, younger], {}, () => false)), 'no-endpoint')
    const result = compileRoutes(routingPlan(routes, served)).route(
      { model: 'm', headers: [], path: '/' },
      (key) => !down.has(key),
      seededRng(1),
    )
    assert.ok(isRefusal(result))
    assert.deepEqual([result.reason, result.retryAfterS], ['no-endpoint', 1])
    assert.match(result.message, /'m'/)
  })

  test('does not consume randomness when there is one target', () => {
    const never = (): number => assert.fail('drawn')
    const one = [routePlan('r', { modelName: 'm', rules: [rulePlan('big')] })]
    const input = { model: 'm', headers: [], path: '/' }
    assert.equal(shown(compileRoutes(routingPlan(one, served)).route(input, always, never)), 'r:0->big')
  })
})

describe('an unknown model', () => {
  const routes = ['llama-3.1-8b', 'llama-3.1-70b', 'qwen3', 'Qwen3-32B'].map((modelName) =>
    routePlan(modelName, { modelName, rules: [rulePlan('big')] }),
  )

  function messageFor(model: string): string {
    const result = ask(routes, { model })
    assert.ok(isRefusal(result) && result.reason === 'unknown-model' && result.param === 'model')
    return result.message
  }

  test('is refused with near names', () => {
    assert.match(
      messageFor('lama-3.1-8b'),
      /'lama-3.1-8b' does not exist\. Did you mean 'llama-3.1-8b' or 'llama-3.1-70b'\?$/,
    )
    assert.match(messageFor('claude'), /GET \/v1\/models lists all/)
  })

  test('is refused briefly, whatever its length', () => {
    const message = messageFor('x'.repeat(1_000_000))
    assert.ok(message.length < 400)
  })

  test('may have the name of an object property', () => {
    for (const model of ['__proto__', 'constructor', 'toString']) assert.match(messageFor(model), /does not exist/)
  })
})
