import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRng, systemClock } from './clock.ts'
import { manualClock } from './manual-clock.ts'

test('a seeded source repeats itself and is spread over [0, 1)', () => {
  const draw = (seed: number): number[] => {
    const rng = seededRng(seed)
    return Array.from({ length: 10_000 }, () => rng())
  }
  const values = draw(7)
  assert.deepEqual(draw(7), values)
  assert.notDeepEqual(draw(8), values)
  assert.ok(values.every((value) => value >= 0 && value < 1))
  const buckets = Array.from({ length: 10 }, (_, i) => values.filter((value) => Math.floor(value * 10) === i).length)
  assert.ok(
    buckets.every((count) => count > 850 && count < 1150),
    buckets.join(),
  )
})

test('the system clock is monotonic, tells the date, and its timers can be cancelled', async () => {
  const clock = systemClock()
  const first = clock.nowMs()
  assert.ok(Math.abs(clock.wallMs() - Date.now()) < 1000)
  let fired = 0
  const cancelled = clock.after(1, () => void fired++)
  cancelled.cancel()
  cancelled.cancel()
  await new Promise<void>((resolve) => {
    const keepAlive = setInterval(() => {}, 1000)
    clock.after(5, () => {
      clearInterval(keepAlive)
      resolve()
    })
  })
  assert.equal(fired, 0)
  assert.ok(clock.nowMs() - first >= 4)
})

test('a manual clock fires timers in the order of their time, and those they set', () => {
  const clock = manualClock(100)
  const fired: string[] = []
  const note = (name: string) => () => void fired.push(`${name}@${clock.nowMs()}`)
  clock.after(30, note('c'))
  clock.after(10, note('a'))
  clock.after(10, note('b'))
  clock.after(20, () => {
    note('set')()
    clock.after(5, note('later'))
    clock.after(50, note('much later'))
  })
  clock.after(15, note('cancelled')).cancel()
  assert.equal(clock.pending(), 4)
  clock.advance(9)
  assert.deepEqual(fired, [])
  clock.advance(31)
  assert.deepEqual(fired, ['a@110', 'b@110', 'set@120', 'later@125', 'c@130'])
  assert.equal(clock.nowMs(), 140)
  assert.equal(clock.pending(), 1)
  clock.advance(30)
  assert.deepEqual(fired.at(-1), 'much later@170')
  assert.equal(clock.pending(), 0)
})
