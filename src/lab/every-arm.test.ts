import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { armWith, completeValues } from './arm.ts'
import { arms } from './arm-table.ts'
import { runArm } from './run.ts'
import type { RunMetrics } from './run-metrics.ts'
import { workloads } from './workload-table.ts'

const readTrace = (): string => assert.fail('no trace is read')

function runShort(name: string, arm: (typeof arms)[number], load: number): RunMetrics {
  const workload = workloads.find((each) => each.name === name)
  assert.ok(workload, name)
  return runArm({ arm, workload, seed: 1, load, warmUpMs: 500, measuredMs: 4_000, readTrace })
}

describe('every arm', () => {
  test('has a name of its own, and its published constants among the values that are tried', () => {
    assert.equal(new Set(arms.map(({ name }) => name)).size, arms.length)
    for (const { name, kind, source, parameters = {} } of arms) {
      assert.match(name, /^[a-z0-9]+(-[a-z0-9]+)*$/)
      assert.equal(source === undefined, kind !== 'peer', name)
      for (const [key, { value, grid }] of Object.entries(parameters)) {
        assert.ok(grid.includes(value), `${name} ${key}`)
        assert.equal(new Set(grid).size, grid.length, `${name} ${key}`)
      }
    }
  })

  for (const arm of arms) {
    test(`${arm.name} ends all requests and holds none, with prefixes, sessions and an engine that dies`, () => {
      // runArm throws when a request is lost or an arm holds one.
      for (const [name, load] of [
        ['zipf', 20],
        ['chat', 4],
        ['kill', 20],
      ] as const) {
        const { requests, hitRatio, ttftMs, e2eMs } = runShort(name, arm, load)
        assert.ok(requests > 0 && hitRatio >= 0 && hitRatio <= 1, name)
        assert.ok(ttftMs.mean > 0 && e2eMs.mean >= ttftMs.mean, name)
      }
    })
  }

  test('with other values places otherwise, and refuses parameters it does not have', () => {
    const smg = arms.find(({ name }) => name === 'smg')
    assert.ok(smg)
    assert.deepEqual(completeValues(smg.parameters ?? {}, { gate: 8 }), { threshold: 0.3, gate: 8, gateRatio: 1.5 })
    const [published, never] = [smg, armWith(smg, 'smg*', { threshold: 1 })].map((arm) => runShort('zipf', arm, 20))
    assert.ok((published?.hitRatio ?? 0) > (never?.hitRatio ?? 1) + 0.05, 'above a threshold of 1 nothing is affine')
    assert.throws(() => armWith(smg, 'x', { treshold: 1 }), /smg has no parameter 'treshold'/)
  })
})
