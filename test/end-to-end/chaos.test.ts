import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runChaos } from '#test/chaos/chaos.ts'
import { endWithoutCleanup } from '#test/chaos/processes.ts'
import { violationText } from '#test/chaos/report.ts'

endWithoutCleanup()

test('engines and clients that misbehave in every way leave nothing behind and get nothing wrong', async (t) => {
  const seed = 20
  const result = await runChaos({ seed, seconds: 8, requests: 5000, clients: 60 })
  t.diagnostic(`${result.requests} requests of ${result.sessions} clients, ${result.restarts} engine restarts`)
  assert.equal(result.violations, 0, result.firstViolations.map((found) => violationText(found, seed)).join('\n'))
  assert.ok(result.requests > 200, `only ${result.requests} requests in the time`)
  // A fault that never came about would make the run prove less than it says.
  for (const ending of ['whole', 'error-event', 'cut', 'client left', 'upstream-reset', 'upstream-malformed']) {
    const count = [...result.endings.values()].reduce((sum, counts) => sum + (counts.get(ending) ?? 0), 0)
    assert.ok(count > 0, `nothing ended in '${ending}'`)
  }
})

test('several data threads do no worse', async () => {
  const seed = 21
  const result = await runChaos({ seed, seconds: 4, requests: 3000, clients: 60, config: { threads: 2 } })
  assert.equal(result.violations, 0, result.firstViolations.map((found) => violationText(found, seed)).join('\n'))
})
