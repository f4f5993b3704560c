import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createEndpointTable, maxEndpoints, resetSlot } from './endpoint-table.ts'
import {
  attachHeldLeases,
  createHeldLeases,
  type HeldPrompt,
  hold,
  letGo,
  releaseHeld,
  settleHeldPrompt,
} from './held-leases.ts'

const prompt = (tokens: number): HeldPrompt => ({ uncachedTokens: tokens, contextTokens: tokens })

/** A table and what two threads hold of it, each with a function that takes a lease as a thread does. */
function twoThreads() {
  const table = createEndpointTable()
  const threads = [1, 2].map((holder) => {
    const held = createHeldLeases(maxEndpoints, holder)
    const take = (slot: number, tokens: number): void => {
      Atomics.add(table.inFlight, slot, 1)
      Atomics.add(table.uncachedTokens, slot, tokens)
      hold(held, slot, table.generation[slot] ?? 0, prompt(tokens))
    }
    return { held, take }
  })
  const [one, two] = threads
  assert.ok(one && two)
  return { table, one, two }
}

test('the share of a thread that is gone is taken out of the table, and nothing of the others', () => {
  const { table, one, two } = twoThreads()
  for (let i = 0; i < 3; i++) one.take(7, 100)
  two.take(7, 50)
  two.take(8, 60)
  assert.equal(releaseHeld(table, one.held), 3)
  assert.deepEqual([table.inFlight[7], table.uncachedTokens[7]], [1, 50])
  assert.deepEqual([table.inFlight[8], table.uncachedTokens[8]], [1, 60])
})

test('prompts that were settled and leases that were released are not taken out again', () => {
  const { table, one } = twoThreads()
  one.take(7, 100)
  one.take(7, 30)
  Atomics.sub(table.uncachedTokens, 7, 100)
  settleHeldPrompt(one.held, 7, prompt(100))
  Atomics.sub(table.inFlight, 7, 1)
  letGo(one.held, 7, prompt(100))
  assert.equal(releaseHeld(table, one.held), 1)
  assert.deepEqual([table.inFlight[7], table.uncachedTokens[7]], [0, 0])
})

test('a row that has gone to another endpoint keeps what is counted there', () => {
  const { table, one, two } = twoThreads()
  one.take(7, 100)
  resetSlot(table, 7)
  two.take(7, 10)
  assert.equal(releaseHeld(table, one.held), 0)
  assert.deepEqual([table.inFlight[7], table.uncachedTokens[7]], [1, 10])
})

test('a thread that takes a lease in the next generation of a row no longer holds those of the one before', () => {
  const { table, one } = twoThreads()
  one.take(7, 100)
  resetSlot(table, 7)
  one.take(7, 10)
  assert.equal(releaseHeld(table, one.held), 1)
  assert.deepEqual([table.inFlight[7], table.uncachedTokens[7]], [0, 0])
})

test('the memory can be attached elsewhere, and is empty after a release: its next thread starts with nothing', () => {
  const { table, one } = twoThreads()
  const elsewhere = attachHeldLeases(one.held.buffer, one.held.holder)
  one.take(7, 100)
  assert.equal(elsewhere.inFlight[7], 1)
  releaseHeld(table, elsewhere)
  assert.equal(releaseHeld(table, one.held), 0)
})
