import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CpuCase, LatencyCase } from './cases.ts'
import { cpuRow, latencyRow, type Sample } from './measure.ts'
import type { Target } from './result.ts'
import type { LoadReport } from './stack.ts'

const load = { connections: 1, stream: false, promptBytes: 1, frames: 0 }
const cpuCase: CpuCase = { kind: 'cpu', name: 'small', title: 'small JSON', target: 2, load }
const latencyCase: LatencyCase = {
  kind: 'latency',
  name: 'latency',
  title: 'at 50 a second',
  what: 'last byte',
  targetP50Ms: 0.4,
  targetP99Ms: 1,
  load,
}
const goodReport: LoadReport = {
  requests: 100,
  errors: 0,
  badStatus: 0,
  missed: 0,
  unfinished: 0,
  p50Us: 100,
  p99Us: 200,
  maxUs: 300,
  firstTokenP50Us: 0,
  firstTokenP99Us: 0,
  firstTokenMaxUs: 0,
  longestGapUs: 0,
  framesPerRequest: 0,
  bodyBytesPerRequest: 474,
  seconds: 1,
}

function sample(target: Target, cpuUs: number, more: Partial<LoadReport> = {}, problems: string[] = []): Sample {
  return { target, cpuUs, report: { ...goodReport, ...more }, problems }
}

test('a CPU row is the least of the rounds of each target', () => {
  const row = cpuRow(cpuCase, [sample('nginx', 16), sample('gateway', 31), sample('nginx', 15), sample('gateway', 33)])
  assert.equal(row.nginxUs, 15)
  assert.equal(row.gatewayUs, 31)
  assert.deepEqual(row.problems, [])
})

test('a round with a problem is left out, however good its figure', () => {
  const row = cpuRow(cpuCase, [sample('nginx', 15), sample('gateway', 2, {}, ['1 broken']), sample('gateway', 30)])
  assert.deepEqual([row.gatewayUs, row.problems], [30, []])
})

test('a row without a good round of both targets is invalid and says why', () => {
  const row = cpuRow(cpuCase, [sample('nginx', 15), sample('gateway', 2, {}, ['1 broken'])])
  assert.equal(row.gatewayUs, null)
  assert.deepEqual(row.problems, ['gateway: 1 broken'])
})

test('a row is invalid when targets deliver bodies of different size', () => {
  const row = cpuRow(cpuCase, [sample('nginx', 15), sample('gateway', 30, { bodyBytesPerRequest: 470 })])
  assert.deepEqual(row.problems, ['bodies differ in size: 474, 470 bytes'])
})

test('a latency row takes the least of every figure by itself, in milliseconds', () => {
  const row = latencyRow(latencyCase, [
    sample('direct', 0),
    sample('nginx', 0, { p50Us: 210, p99Us: 900 }),
    sample('nginx', 0, { p50Us: 220, p99Us: 400 }),
    sample('gateway', 0, { p50Us: 350, p99Us: 1200, maxUs: 41_000 }),
  ])
  assert.deepEqual(row.direct, { p50Ms: 0.1, p99Ms: 0.2, longestMs: 0.3 })
  assert.deepEqual(row.nginx, { p50Ms: 0.21, p99Ms: 0.4, longestMs: 0.3 })
  assert.deepEqual(row.gateway, { p50Ms: 0.35, p99Ms: 1.2, longestMs: 41 })
})
