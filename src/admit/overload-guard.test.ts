import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Limits } from '#config/snapshot.ts'
import type { Clock } from '#core/clock.ts'
import { type ManualClock, manualClock } from '#core/manual-clock.ts'
import { snapshotOf } from '#datastore/snapshot-case.ts'
import { OverloadGuard } from './overload-guard.ts'
import { memoryOf, readProcessMemory } from './process-memory.ts'

const mebibyte = 1024 * 1024

/** A guard whose thread and memory are as the test says. */
class Case {
  readonly base: ManualClock = manualClock()
  readonly changes: string[] = []
  /** How late the next timers come. */
  lateMs = 0
  residentBytes: number | undefined = 100 * mebibyte
  heapUsedBytes = 10 * mebibyte
  active = 1
  readonly limits: Limits
  readonly guard: OverloadGuard

  constructor(limits: Partial<Limits> = {}) {
    this.limits = { ...snapshotOf([]).limits, eventLoopDelayMs: 1000, memoryBytes: undefined, ...limits }
    let pausedMs = 0
    const clock: Clock = {
      wallMs: this.base.wallMs,
      nowMs: () => this.base.nowMs() + pausedMs,
      after: (delayMs, fire) =>
        this.base.after(delayMs, () => {
          pausedMs += this.lateMs
          fire()
        }),
    }
    this.guard = new OverloadGuard({
      clock,
      rng: () => 0.5,
      limits: this.limits,
      readMemory: () => ({
        residentBytes: this.residentBytes,
        availableBytes: 1000 * mebibyte,
        heapUsedBytes: this.heapUsedBytes,
        heapLimitBytes: 100 * mebibyte,
      }),
      active: () => this.active,
      onChange: (cause, isShedding) => this.changes.push(`${cause} ${isShedding ? 'on' : 'off'}`),
    })
  }

  /** Lets so many ticks pass, each as late as given. */
  ticks(count: number, lateMs: number): void {
    this.lateMs = lateMs
    this.base.advance(50 * count)
  }

  get isShedding(): boolean {
    return this.guard.refuseNew() !== undefined
  }
}

test('a thread that keeps up takes every request', () => {
  const { guard, ...state } = new Case()
  state.base.advance(10_000)
  assert.equal(guard.refuseNew(), undefined)
  assert.deepEqual(state.changes, [])
})

test('one long pause sheds nothing', () => {
  const state = new Case()
  state.ticks(10, 0)
  state.ticks(1, 3000)
  assert.ok(!state.isShedding)
  state.ticks(1, 100)
  assert.ok(!state.isShedding)
  state.ticks(1, 3000)
  assert.ok(!state.isShedding)
})

test('a thread that stays behind sheds with advice when to come back, until it has kept up for a while', () => {
  const state = new Case()
  state.ticks(2, 1000)
  const refusal = state.guard.refuseNew()
  assert.equal(refusal?.reason, 'overloaded')
  assert.equal(refusal.retryAfterS, 2)
  // Neither a little less than the limit nor one quick round ends it.
  state.ticks(10, 900)
  assert.ok(state.isShedding)
  state.ticks(3, 10)
  state.ticks(1, 700)
  assert.ok(state.isShedding)
  state.ticks(3, 10)
  assert.ok(state.isShedding)
  state.ticks(1, 10)
  assert.ok(!state.isShedding)
  assert.deepEqual(state.changes, ['lag on', 'lag off'])
})

test('a limit of 0 never sheds for lag, and a limit that changes counts at once', () => {
  const state = new Case({ eventLoopDelayMs: 0 })
  state.ticks(10, 60_000)
  assert.ok(!state.isShedding)
  state.guard.configure({ ...state.limits, eventLoopDelayMs: 500 })
  state.ticks(2, 600)
  assert.ok(state.isShedding)
})

const memoryCases = [
  { title: 'resident memory above the limit', limits: { memoryBytes: 200 * mebibyte }, residentBytes: 200 * mebibyte },
  { title: 'resident memory above the share of what there is', limits: {}, residentBytes: 1001 * mebibyte },
  { title: 'a heap that is nearly full', limits: {}, heapUsedBytes: 91 * mebibyte },
] as const

for (const { title, limits, ...full } of memoryCases) {
  test(`${title} sheds new requests until it has come down`, () => {
    const state = new Case(limits)
    state.ticks(10, 0)
    Object.assign(state, full)
    state.ticks(5, 0)
    assert.ok(!state.isShedding, 'one reading is not enough')
    state.ticks(5, 0)
    assert.equal(state.guard.refuseNew()?.reason, 'overloaded')
    Object.assign(state, { residentBytes: 50 * mebibyte, heapUsedBytes: 10 * mebibyte })
    state.ticks(15, 0)
    assert.ok(state.isShedding, 'three readings are not enough')
    state.ticks(5, 0)
    assert.ok(!state.isShedding)
  })
}

test('memory that is never given back does not close a gateway that has nothing to do', () => {
  const state = new Case({ memoryBytes: 64 * mebibyte })
  state.ticks(20, 0)
  assert.ok(state.isShedding)
  state.active = 0
  assert.ok(!state.isShedding)
})

test('memory that cannot be read changes nothing: without a free descriptor the reading failed and ended the thread once', (t) => {
  t.mock.method(process.memoryUsage, 'rss', () => {
    throw new Error('EMFILE: too many open files, uv_resident_set_memory')
  })
  assert.equal(readProcessMemory().residentBytes, undefined)
  const state = new Case({ memoryBytes: 200 * mebibyte })
  state.residentBytes = undefined
  state.ticks(100, 0)
  assert.deepEqual([state.isShedding, state.changes], [false, []])
  state.residentBytes = 300 * mebibyte
  state.ticks(20, 0)
  state.residentBytes = undefined
  state.ticks(100, 0)
  assert.deepEqual([state.isShedding, state.changes], [true, ['memory on']])
  state.guard.close()
})

test('a closed guard leaves no timer', () => {
  const state = new Case()
  state.guard.close()
  assert.equal(state.base.pending(), 0)
})

test('without a limit of its own a container has what the machine has', () => {
  assert.equal(memoryOf(0, 1000), 1000)
  assert.equal(memoryOf(2 ** 64, 1000), 1000)
  assert.equal(memoryOf(500, 1000), 500)
})

test('the memory of this process is read', () => {
  const reading = readProcessMemory()
  const { residentBytes = 0 } = reading
  assert.ok(residentBytes > 10 * mebibyte && residentBytes < reading.availableBytes)
  assert.ok(reading.heapUsedBytes > mebibyte && reading.heapUsedBytes < reading.heapLimitBytes)
})
