import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BenchResult, ResultRow } from './result.ts'
import { renderResult } from './table.ts'

function resultOf(...rows: ResultRow[]): BenchResult {
  const environment = {
    node: 'v24.21.0',
    nginx: '1.22.1',
    kernel: '6.18.44',
    architecture: 'x64',
    cores: 2,
    realtime: true,
    raisedPriority: false,
  }
  return { date: '2026-11-21', environment, rounds: 3, seconds: 2, rows }
}

function cpuRow(gatewayUs: number | null, problems: string[] = []): ResultRow {
  const rounds = { nginx: [15], gateway: [] }
  return { kind: 'cpu', case: 'small', title: 'small JSON', problems, nginxUs: 15, gatewayUs, target: 2, rounds }
}

test('a reached target is plain, a missed one is bold', () => {
  assert.match(renderResult(resultOf(cpuRow(27))), /\| small JSON +\| +15\.0 \| +27\.0 \| +1\.80 \| +2\.0 \|/)
  assert.match(renderResult(resultOf(cpuRow(33))), /\| +\*\*2\.20\*\* \|/)
})

test('an invalid row is marked, has no figure, and says what is wrong', () => {
  const text = renderResult(resultOf(cpuRow(null, ['gateway: 3 broken'])))
  assert.match(text, /\| \(invalid\) small JSON +\| +15\.0 \| +- \| +- \|/)
  assert.match(text, /^\* Invalid: small JSON: gateway: 3 broken$/m)
})

test('added latency is what the target takes longer than the backend itself', () => {
  const text = renderResult(
    resultOf({
      kind: 'latency',
      case: 'latency',
      title: 'small JSON',
      what: 'last byte',
      problems: [],
      direct: { p50Ms: 0.1, p99Ms: 0.2, longestMs: 0.3 },
      nginx: { p50Ms: 0.2, p99Ms: 0.4, longestMs: 0.6 },
      gateway: { p50Ms: 0.35, p99Ms: 1.3, longestMs: 41 },
      targetP50Ms: 0.4,
      targetP99Ms: 1,
    }),
  )
  assert.match(text, /p50 +\| +0\.10 \| +\+0\.10 \| +\+0\.25 \| +\+0\.4 \|/)
  assert.match(text, /p99 +\| +0\.20 \| +\+0\.20 \| +\*\*\+1\.10\*\* \| +\+1\.0 \|/)
  assert.match(text, /answer, small JSON +\| +0\.3 \| +0\.6 \| +\*\*41\.0\*\* \| +below 40 \|/)
})

test('the conditions are said: versions, cores, rounds, scheduling', () => {
  assert.match(
    renderResult(resultOf(cpuRow(27))),
    /2026-11-21: Node 24\.21\.0, nginx 1\.22\.1, Linux 6\.18\.44 on x64, 2 cores; least of 3 rounds of 2 s, .*normal priority, latencies under SCHED_FIFO\./,
  )
})
