import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type LabOutput, LabUsageError } from '#apps/lab.ts'
import { labHttp } from '#apps/lab-http.ts'
import type { AgreementReport } from '#lab/agreement-report.ts'

const options = {
  workloads: ['chat'],
  arm: 'gateway',
  loads: [1],
  rate: 1.5,
  seeds: 1,
  warmUpS: 2,
  seconds: 8,
  timeFactor: 2,
  streamInterval: 8,
  jobs: 1,
  trace: undefined,
  engines: 2,
  preset: 'llama-8b-h100',
  out: undefined,
}

function heard(): { readonly output: LabOutput; readonly text: () => string } {
  const parts: string[] = []
  return { output: { print: (text) => parts.push(text), progress: () => {}, width: 140 }, text: () => parts.join('') }
}

test('the real gateway serves what virtual time serves, about as fast', { timeout: 120_000 }, async () => {
  const out = mkdtempSync(join(tmpdir(), 'infer-gateway-agreement-'))
  try {
    const { output, text } = heard()
    const { points } = await labHttp({ ...options, out }, output)
    const [point] = points
    assert.ok(point)
    const { rows, hitDistance } = point.agreement
    const row = (figure: string) => {
      const found = rows.find((each) => each.figure === figure)
      assert.ok(found, figure)
      return found
    }
    assert.deepEqual(point.conditions[0]?.failures, {})
    // A conversation goes on when its answer has come, which is not at the same instant in both.
    assert.ok(Math.abs(row('requests').http - row('requests').virtual) <= 3)
    assert.ok(row('requests').http > 10)
    // Wide: other programs run while tests do.
    assert.ok(row('e2e mean').ratio > 0.8 && row('e2e mean').ratio < 2, text())
    assert.ok(row('TTFT p50').ratio > 0.7 && row('TTFT p50').ratio < 6, text())
    assert.ok(row('hit').virtual > 0.2, 'later turns find what earlier ones left')
    assert.ok(hitDistance < 0.15, text())
    assert.match(text(), /agree within/)
    assert.deepEqual(readdirSync(out).toSorted(), ['http.html', 'http.json'])
    const json = JSON.parse(readFileSync(join(out, 'http.json'), 'utf8')) as AgreementReport
    assert.equal(json.points[0]?.workload, 'chat')
  } finally {
    rmSync(out, { recursive: true, force: true })
  }
})

test('what cannot be served is said before anything runs', async () => {
  const { output } = heard()
  const cases = [
    { change: { workloads: ['kill'] }, message: /'kill' does not run over HTTP/ },
    { change: { workloads: ['four-gateways'] }, message: /'four-gateways' does not run over HTTP/ },
    { change: { workloads: ['chatt'] }, message: /did you mean chat/ },
    { change: { arm: 'gatewai' }, message: /did you mean gateway/ },
  ]
  for (const { change, message } of cases) {
    await assert.rejects(
      () => labHttp({ ...options, ...change }, output),
      (error) => error instanceof LabUsageError && message.test(error.message),
    )
  }
})
