import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type SlowReader, WriteBudget } from './write-budget.ts'

class Reader implements SlowReader {
  budgetIndex = -1
  unsentBytes = 0
  cuts = 0
  cutSlow(): void {
    this.cuts++
    this.unsentBytes = 0
  }
}

test('those that hold the most are cut until the rest fits', () => {
  const budget = new WriteBudget(100)
  const readers = [30, 60, 10, 50].map((bytes) => Object.assign(new Reader(), { unsentBytes: bytes }))
  for (const reader of readers.slice(0, 3)) budget.add(reader)
  assert.equal(budget.enforce(), 0)
  budget.add(readers[3] as Reader)
  assert.deepEqual(
    readers.map(({ cuts }) => cuts),
    [0, 1, 0, 0],
  )
  assert.deepEqual([budget.behind, budget.unsentBytes()], [3, 90])
})

test('what grows after it was added is found at the next count', () => {
  const budget = new WriteBudget(100)
  const reader = new Reader()
  budget.add(reader)
  reader.unsentBytes = 101
  assert.equal(budget.enforce(), 1)
  assert.deepEqual([reader.cuts, budget.behind], [1, 0])
})

test('property: whatever comes and goes, the list is right and what waits fits', () => {
  const step = fc.record({ which: fc.nat(7), does: fc.constantFrom('add', 'remove', 'enforce'), bytes: fc.nat(60) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const budget = new WriteBudget(100)
      const readers = Array.from({ length: 8 }, () => new Reader())
      for (const { which, does, bytes } of steps) {
        const reader = readers[which] as Reader
        if (does === 'enforce') budget.enforce()
        else if (does === 'remove') budget.remove(reader)
        else {
          reader.unsentBytes = bytes
          budget.add(reader)
        }
        const listed = readers.filter(({ budgetIndex }) => budgetIndex >= 0)
        assert.equal(budget.behind, listed.length)
        assert.equal(new Set(listed.map(({ budgetIndex }) => budgetIndex)).size, listed.length)
        if (does !== 'remove') assert.ok(budget.unsentBytes() <= 100)
      }
    }),
    { seed: 3, numRuns: 300 },
  )
})
