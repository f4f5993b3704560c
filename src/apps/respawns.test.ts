import assert from 'node:assert/strict'
import { test } from 'node:test'
import { manualClock } from '#core/manual-clock.ts'
import { Respawns } from './respawns.ts'

test('the first death is repaired at once, those that follow ever later, the tenth within a minute never', () => {
  const respawns = new Respawns(manualClock())
  const delays = Array.from({ length: 10 }, () => respawns.next())
  assert.deepEqual(delays, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000, undefined])
})

test('deaths of more than a minute ago are forgotten', () => {
  const clock = manualClock()
  const respawns = new Respawns(clock)
  for (let hours = 0; hours < 100; hours++) {
    assert.equal(respawns.next(), 0)
    clock.advance(60_001)
  }
})
