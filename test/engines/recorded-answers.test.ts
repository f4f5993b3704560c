import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { compareRecordings, describeDifferences } from '#conformance/engine-probe/compare.ts'
import { probeEngine, readRecording } from '#conformance/engine-probe/recording.ts'
import { vllmFlags } from '#conformance/engine-probe/vllm-questions.ts'
import { startVllm, vllmDirectory } from './start-vllm.ts'

test('the recorded answers are those of the real vLLM', { timeout: 600_000 }, async (t) => {
  const engine = await startVllm(vllmFlags)
  if (engine === undefined) return t.skip('vLLM is not installed: test/engines/setup-vllm')
  t.after(() => engine.close())
  const adapterPath = (name: string) => join(vllmDirectory(), 'model', 'adapters', name)
  const { differences } = compareRecordings(
    await readRecording('vllm'),
    await probeEngine('vllm', engine.url, adapterPath),
  )
  assert.equal(describeDifferences(differences), '')
})
