import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type AgreementRun, agreementOf, type Served, servedFrom, sideOf } from './agreement.ts'
import type { AgreementReport } from './agreement-report.ts'
import { ownArm, ownProfiles } from './arms/own-profiles.ts'
import { withLaterArrivals } from './later-arrivals.ts'
import { agreementMarkdown, agreementSvg } from './report/agreement-markdown.ts'
import { agreementPage } from './report/agreement-page.ts'
import { agreementHead, agreementPointText } from './report/agreement-text.ts'
import { runArm, serveArm } from './run.ts'
import type { WorkloadDefinition } from './workload/workload.ts'
import { workloads } from './workload-table.ts'

const frame = { engines: 2, warmUpMs: 1_000 }

/** Ten requests, one every 100 ms, which take so many times 50 ms to the first token and 10 ms a token after it. */
function served(slowness: number, endpointOf: (index: number) => number = (index) => index % 2): readonly Served[] {
  return Array.from({ length: 10 }, (_, name) => {
    const sentMs = 1_000 + name * 100
    const firstTokenMs = sentMs + 50 * slowness
    return {
      name,
      endpoint: endpointOf(name),
      sentMs,
      firstTokenMs,
      lastTokenMs: firstTokenMs + 90 * slowness,
      promptTokens: 100,
      cachedTokens: 40,
      outputTokens: 10,
    }
  })
}

function runOf(http: readonly Served[]): AgreementRun {
  return { seed: 1, http, asPlaced: served(1), virtual: served(1), again: [served(1), served(1.1)] }
}

function definition(name: string): WorkloadDefinition {
  const found = workloads.find((each) => each.name === name)
  assert.ok(found)
  return found
}

const profile = ownProfiles.get('gateway')
assert.ok(profile)
const setup = {
  arm: ownArm('own', '', profile),
  workload: { ...definition('chat'), engines: 2 },
  seed: 101,
  load: 1,
  warmUpMs: 5_000,
  measuredMs: 20_000,
  readTrace: () => '',
}

describe('what a run came to', () => {
  test('is in the units of its requests', () => {
    const side = sideOf(served(1), frame)
    assert.equal(side.requests, 10)
    assert.deepEqual(side.ttftMs, { mean: 50, p50: 50, p90: 50, p99: 50 })
    assert.equal(side.e2eMs.mean, 140)
    assert.equal(side.tpotMs.mean, 10)
    assert.equal(side.hitRatio, 0.4)
    assert.deepEqual(side.perEndpoint, [5, 5])
    assert.equal(side.requestsMaxOverMean, 1)
    assert.equal(side.outputTokensPerSecond, 100_000 / 1_040)
    assert.equal(side.ttftCurveMs.length, 99)
  })

  test('is what the laboratory says of the same run', () => {
    const side = sideOf(serveArm(setup).map(servedFrom), { engines: 2, warmUpMs: setup.warmUpMs })
    const metrics = runArm(setup)
    for (const key of ['requests', 'ttftMs', 'tpotMs', 'e2eMs', 'outputTokensPerSecond', 'hitRatio'] as const) {
      assert.deepEqual(side[key], metrics[key], key)
    }
    assert.equal(side.requestsMaxOverMean, metrics.requestsMaxOverMean)
  })
})

describe('agreement', () => {
  test('is complete between equal runs', () => {
    const { rows, within, tailsWithin, hitDistance, moved, sameEndpoint } = agreementOf([runOf(served(1))], frame)
    assert.ok(rows.every(({ ratio, http, virtual }) => ratio === 1 && http === virtual))
    assert.deepEqual(
      { within, tailsWithin, hitDistance, moved, sameEndpoint },
      {
        within: 0,
        tailsWithin: 0,
        hitDistance: 0,
        moved: 0,
        sameEndpoint: 1,
      },
    )
    const [ttft] = rows
    assert.deepEqual(
      ttft?.chance.map((each) => Number(each.toFixed(6))),
      [1, 1.1],
    )
  })

  test('is as far as the ratio that is farthest from 1, over all seeds', () => {
    const { rows, within } = agreementOf([runOf(served(1.5)), runOf(served(1 / 1.5)), runOf(served(1.1))], frame)
    const ttft = rows.find(({ figure }) => figure === 'TTFT mean')
    assert.ok(ttft)
    assert.ok(Math.abs(ttft.ratio - 1.1 ** (1 / 3)) < 1e-9, 'a geometric mean')
    assert.ok(Math.abs(within - (ttft.ratio - 1)) < 1e-9)
  })

  test('of places is about loads and about single requests', () => {
    const swapped = agreementOf([runOf(served(1, (index) => (index + 1) % 2))], frame)
    assert.equal(swapped.moved, 0, 'the endpoints have the same loads, with other names')
    assert.equal(swapped.sameEndpoint, 0)
    const uneven = agreementOf([runOf(served(1, (index) => (index < 8 ? 0 : 1)))], frame)
    assert.ok(Math.abs(uneven.moved - 0.3) < 1e-9)
    assert.equal(uneven.sameEndpoint, 0.5)
  })
})

test('later arrivals are the same requests in the same order, each up to so much later', () => {
  const created = { seed: 101, load: 9, endMs: 10_000, blockSize: 16, readTrace: () => '' }
  for (const name of ['zipf', 'chat']) {
    const workload = definition(name)
    const plain = [...workload.create(created).arrivals]
    const late = withLaterArrivals(workload, { mostMs: 2, seed: 1 }).create(created)
    const arrivals = [...late.arrivals]
    assert.deepEqual(
      arrivals.map(({ answer }) => answer),
      plain.map(({ answer }) => answer),
    )
    assert.ok(arrivals.every(({ atMs }, i) => atMs >= (plain[i]?.atMs ?? 0) && atMs <= (plain[i]?.atMs ?? 0) + 2))
    assert.ok(new Set(arrivals.map(({ atMs }, i) => atMs - (plain[i]?.atMs ?? 0))).size > 10)
    assert.equal(late.onFinished === undefined, name === 'zipf')
  }
})

test('the report says under which conditions it was made, and how far both agree', () => {
  const conditions = {
    loadAverage: 0.4,
    gatewayCores: 0.25,
    enginesCores: 0.3,
    clientsCores: 0.1,
    late: { meanMs: 0.6, p99Ms: 2 },
    gateway: { meanMs: 0.5, p99Ms: 1.5 },
    failures: { 'broken off': 2 },
  }
  const point = {
    workload: 'zipf',
    load: 22.5,
    unit: 'requests/s',
    fleet: '2 x llama-8b-l4',
    timeFactor: 4,
    streamInterval: 8,
    agreement: agreementOf([runOf(served(1.1))], frame),
    conditions: [conditions, { ...conditions, gatewayCores: 0.5, failures: {} }],
  }
  const report: AgreementReport = {
    arm: 'gateway',
    seeds: [101],
    warmUpS: 1,
    seconds: 2,
    processors: 2,
    points: [point],
  }
  const text = agreementPointText(point)
  assert.match(text, /^TTFT mean +55\.0 ms +50\.0 ms +1\.100 +1\.000 to 1\.100 +1\.100$/m)
  assert.match(text, /^agree within 10\.0 %/m)
  assert.match(text, /time factor 4: .* count 4 times/)
  assert.match(text, /gateway 0\.50, engines 0\.30/, 'the worst of the seeds')
  assert.match(text, /^failed: 2 broken off$/m)
  assert.doesNotMatch(text, /busy/)
  const late = { ...conditions, late: { meanMs: 3, p99Ms: 40 } }
  assert.match(agreementPointText({ ...point, conditions: [conditions, late] }), /^This machine was busy/m)
  assert.match(agreementHead(report), /^Arm gateway, seeds 101, 1 s of warm-up/)
  assert.match(agreementPage(report), /<h2>zipf<\/h2>/)
  assert.match(
    agreementMarkdown(report, 'command'),
    /\| zipf, 22\.5 requests\/s, time factor 4 \| 1\.100 \(1\.000 to 1\.100\) \|/,
  )
  assert.match(agreementSvg(report.points), /^<svg /)
})
