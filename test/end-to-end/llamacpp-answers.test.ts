import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareRecordings, describeDifferences } from '#conformance/engine-probe/compare.ts'
import { probeEngine, readRecording } from '#conformance/engine-probe/recording.ts'
import { startLlama } from '#test/engines/start-llama.ts'

test('the recorded answers are those of the real llama.cpp', { timeout: 120_000 }, async (t) => {
  const engine = await startLlama()
  if (engine === undefined) return t.skip('llama.cpp is not installed: scripts/install-test-tools')
  t.after(() => engine.close())
  const { differences } = compareRecordings(await readRecording('llamacpp'), await probeEngine('llamacpp', engine.url))
  assert.equal(describeDifferences(differences), '')
})
