/** Where a request goes when the endpoints of the target that was drawn fail it: decisions, without sockets. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TargetPlan } from '#config/snapshot.ts'
import { type Rng, seededRng } from '#core/clock.ts'
import { health } from '#core/endpoint.ts'
import { manualClock } from '#core/manual-clock.ts'
import { draftOutcome } from '#core/outcome.ts'
import { isRefusal } from '#core/refusal.ts'
import type { InferenceRequest } from '#core/request.ts'
import { createSlotAllocator } from '#datastore/assign-slots.ts'
import { createEndpointTable } from '#datastore/endpoint-table.ts'
import { modelServerPlan, snapshotOf } from '#datastore/snapshot-case.ts'
import { apiOfPath } from '#dialect/apis.ts'
import { decide } from '#pipeline/decide.ts'
import { compileRuntime } from '#pipeline/runtime.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { plugins } from '#plugins/index.ts'

const api = apiOfPath('/v1/chat/completions')
assert.ok(api !== undefined)

const request: InferenceRequest = {
  id: 'id-1',
  api,
  path: '/v1/chat/completions',
  target: '/v1/chat/completions',
  headers: [],
  body: { slices: [], bytes: 0 },
  model: 'm',
  modelSpans: [],
  stream: false,
  streamOptions: { span: undefined, includeUsageSpan: undefined, includeUsage: false },
  promptSpans: [],
  promptBytes: 0,
  maxTokens: undefined,
  session: undefined,
  cacheSalt: undefined,
}

const servedModels: Readonly<Record<string, string | undefined>> = {
  a: 'served-a',
  b: 'served-b',
  c: undefined,
  d: 'served-d',
}

/** Model servers a (slots 0, 1), b (2, 3), c (4), d (5), and a route to them with these weights. */
function setUp(weights: Readonly<Record<string, number>>, rng: Rng = seededRng(3)) {
  const table = createEndpointTable()
  const clock = manualClock(1_000_000)
  const endpoints: Readonly<Record<string, readonly string[]>> = {
    a: ['a:1', 'a:2'],
    b: ['b:1', 'b:2'],
    c: ['c:1'],
    d: ['d:1'],
  }
  const servers = Object.entries(endpoints).map(([key, ids]) =>
    modelServerPlan(key, ids, { servedModel: servedModels[key] }),
  )
  const targets: TargetPlan[] = Object.entries(weights).map(([modelServer, weight]) => ({ modelServer, weight }))
  const rule = { name: undefined, headers: [], path: undefined, model: undefined, targets }
  const route = { name: 'r', modelName: 'm', adapters: ['sql'], attached: false, rules: [rule] }
  const unassigned = snapshotOf(servers, { routes: [route], profiles: { default: defaultProfile } })
  const snapshot = createSlotAllocator(table).assign(unassigned)
  const runtime = compileRuntime(snapshot, new Map(), { table, plugins, clock, rng })
  /** The endpoints that one request is sent to when each fails it, with the model name that each sees. */
  const walk = (given: Partial<InferenceRequest> = {}) => {
    const outcome = draftOutcome(0)
    const decision = decide({ ...request, ...given }, runtime, { outcome, clock, rng })
    assert.ok(!isRefusal(decision), JSON.stringify(decision))
    const tried: number[] = []
    const path: string[] = []
    const why: string[] = []
    for (;;) {
      const next = decision.choose(tried)
      if (isRefusal(next)) return { path, why, outcome, refusal: next }
      path.push(`${next.endpoint.id} ${next.upstreamModel ?? given.model ?? 'm'}`)
      why.push(next.decision.text())
      next.lease.release()
      tried.push(next.endpoint.slot)
    }
  }
  return { table, clock, walk }
}

const keysOf = (path: readonly string[]): string => path.map((step) => step[0]).join('')

describe('a request that its target fails', () => {
  test('goes to every endpoint of the target, then of its siblings, each with the model name served there', () => {
    const { walk } = setUp({ a: 1, b: 1, c: 1 })
    for (let i = 0; i < 50; i++) {
      const { path, outcome, refusal } = walk()
      assert.equal(path.length, 5)
      assert.match(keysOf(path), /^(?:aabbc|aacbb|bbaac|bbcaa|caabb|cbbaa)$/)
      for (const step of path) assert.equal(step.split(' ')[1], servedModels[step[0] ?? ''] ?? 'm')
      assert.equal(outcome.skippedTargets.length, 2)
      assert.equal(refusal.reason, 'no-endpoint')
    }
  })

  test('goes to the next best of the decision while that is fresh, and a sibling decides for itself', () => {
    const { why } = setUp({ a: 1, b: 1 }).walk()
    const next = 'next best of the try before, retry'
    assert.deepEqual([why[1], why[3]], [next, next])
    assert.ok(!why[0]?.includes('next best') && !why[2]?.includes('next best'), why.join('; '))
  })

  test('goes to siblings by their weights, and never to one of weight zero', () => {
    const { walk } = setUp({ a: 10, b: 30, c: 10, d: 0 })
    const paths = Array.from({ length: 5000 }, () => keysOf(walk().path))
    assert.ok(paths.every((keys) => !keys.includes('d')))
    const afterA = paths.filter((keys) => keys.startsWith('a')).map((keys) => keys[2])
    const shareOfB = afterA.filter((key) => key === 'b').length / afterA.length
    assert.ok(afterA.length > 800 && Math.abs(shareOfB - 0.75) < 0.05, `${shareOfB} of ${afterA.length}`)
  })

  test('passes over siblings whose endpoints are unready', () => {
    const { table, walk } = setUp({ a: 1, b: 1, c: 1 })
    table.health.fill(health.unready, 2, 4)
    for (let i = 0; i < 20; i++) assert.match(keysOf(walk().path), /^(?:aac|caa)$/)
  })

  test('goes to a sibling that works before endpoints of its own that rest or are ejected', () => {
    for (const column of ['ejected', 'restUntilMs'] as const) {
      const { table, clock, walk } = setUp({ a: 1, b: 1 }, () => 0)
      table[column][1] = column === 'ejected' ? 1 : clock.nowMs() + 1000
      table.ejectedUntilMs[1] = clock.nowMs() + 1000
      assert.equal(keysOf(walk().path), 'abba')
    }
  })

  test('keeps its adapter name wherever it goes', () => {
    const { path } = setUp({ a: 1, b: 1 }).walk({ model: 'sql' })
    assert.equal(path.length, 4)
    assert.ok(
      path.every((step) => step.endsWith(' sql')),
      path.join(),
    )
  })

  test('ends at its target when that has no siblings', () => {
    const { path, outcome } = setUp({ a: 5 }).walk()
    assert.equal(keysOf(path), 'aa')
    assert.deepEqual(outcome.skippedTargets, [])
  })
})
