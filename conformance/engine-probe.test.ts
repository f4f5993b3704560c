import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compareRecordings, describeDifferences, sortOut } from './engine-probe/compare.ts'
import { knownDifferences } from './engine-probe/known-differences.ts'
import { type RecordedEngine, readRecording } from './engine-probe/recording.ts'
import { probeSimulator } from './engine-probe/simulated.ts'

const engines: readonly { readonly kind: RecordedEngine; readonly leastPoints: number }[] = [
  { kind: 'vllm', leastPoints: 3000 },
  { kind: 'llamacpp', leastPoints: 1000 },
]

for (const { kind, leastPoints } of engines) {
  const known = knownDifferences.filter(({ engine }) => engine === kind)

  test(`the simulator answers as the recorded ${kind} does, known differences aside`, { timeout: 60_000 }, async () => {
    const comparison = compareRecordings(await readRecording(kind), await probeSimulator(kind))
    const { unknown, covered } = sortOut(comparison.differences, known)
    assert.equal(describeDifferences(unknown), '')
    const unused = [...covered].filter(([, found]) => found.length === 0).map(([{ reason }]) => reason)
    assert.deepEqual(unused, [], 'a known difference that is none any more')
    assert.ok(comparison.points >= leastPoints, `only ${comparison.points} points compared`)
  })
}

test('a changed answer is a difference, whichever side has it', () => {
  const real = { a: ['status 200', 'body x = 1'], b: ['status 404'] }
  const { differences, equalPoints, equalQuestions } = compareRecordings(real, {
    a: ['status 200', 'body y = 1'],
    b: [],
  })
  assert.deepEqual(
    differences.map(({ question, side, line }) => `${question} ${side} ${line}`),
    ['a real body x = 1', 'a simulator body y = 1', 'b real status 404'],
  )
  assert.deepEqual([equalPoints, equalQuestions], [1, 0])
})
