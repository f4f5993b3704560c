import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { ProfilePlan } from '#config/snapshot.ts'
import { seededRng } from '#core/clock.ts'
import { createSlotAllocator } from '#datastore/assign-slots.ts'
import { createEndpointTable, maxEndpoints } from '#datastore/endpoint-table.ts'
import { createHeldLeases, releaseHeld } from '#datastore/held-leases.ts'
import { openLeases } from '#datastore/lease.ts'
import { modelServerPlan, snapshotOf } from '#datastore/snapshot-case.ts'
import { balancedProfile } from '#plugins/balanced-profile.ts'
import { defaultProfile } from '#plugins/default-profile.ts'
import { cell, type PickingThreadData } from './picking-thread.ts'

const threads = 3
const modelServer = 'models/m'
const endpointIds = Array.from({ length: 5 }, (_, index) => `10.0.0.${index + 1}:8000`)

/** Threads with a scheduler each, on one endpoint table. */
class PickingThreads {
  readonly table = createEndpointTable()
  readonly held = Array.from({ length: threads }, (_, index) => createHeldLeases(maxEndpoints, index + 1))
  readonly #cells = new Int32Array(new SharedArrayBuffer(8 * 4))
  readonly #workers: Worker[]
  readonly #slots: readonly number[]

  constructor(profile: ProfilePlan = balancedProfile) {
    const plan = modelServerPlan(modelServer, endpointIds)
    const snapshot = createSlotAllocator(this.table).assign(snapshotOf([plan], { profiles: { default: profile } }))
    this.#slots = snapshot.modelServers.flatMap(({ endpoints }) => endpoints.map(({ slot }) => slot))
    this.#workers = this.held.map(({ buffer }, index) => {
      const workerData: PickingThreadData = {
        index,
        snapshot,
        endpoints: this.table.buffer,
        held: buffer,
        control: this.#cells.buffer,
        modelServer,
      }
      return new Worker(new URL('./picking-thread.ts', import.meta.url), { workerData })
    })
  }

  /** Requests in flight by endpoint. Exact, because it reads until two readings are the same and nothing goes down. */
  counts(): number[] {
    for (let before = this.#read(); ; ) {
      const now = this.#read()
      if (now.every((count, at) => count === before[at])) return now
      before = now
    }
  }

  /** Has every thread release some of its leases, whichever they are; they do nothing else meanwhile. */
  release(each: number): Promise<void> {
    return this.#round(0, each, () => {})
  }

  /** Has all threads pick at once; `sample` is called all the time. */
  pick(each: number, sample: () => void): Promise<void> {
    return this.#round(each, 0, sample)
  }

  /** Counts requests on the endpoints as a thread would that does not choose: by hand. */
  addByHand(counts: readonly number[]): void {
    for (const [at, slot] of this.#slots.entries()) Atomics.add(this.table.inFlight, slot, counts[at] ?? 0)
  }

  get failed(): number {
    return Atomics.load(this.#cells, cell.failed)
  }

  async end(): Promise<void> {
    Atomics.store(this.#cells, cell.round, -1)
    Atomics.notify(this.#cells, cell.round)
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }

  #read(): number[] {
    return this.#slots.map((slot) => Atomics.load(this.table.inFlight, slot))
  }

  async #round(picks: number, releases: number, sample: () => void): Promise<void> {
    Atomics.store(this.#cells, cell.picks, picks)
    Atomics.store(this.#cells, cell.releases, releases)
    Atomics.store(this.#cells, cell.done, 0)
    Atomics.add(this.#cells, cell.round, 1)
    Atomics.notify(this.#cells, cell.round)
    while (Atomics.load(this.#cells, cell.done) < threads) {
      sample()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

function spread(counts: readonly number[]): number {
  return Math.max(...counts) - Math.min(...counts)
}

for (const [name, profile] of [
  ['balanced', balancedProfile],
  ['default', defaultProfile],
] as const) {
  test(`${name}: while threads pick at once, the endpoints differ by no more requests than there are threads`, async () => {
    const picking = new PickingThreads(profile)
    try {
      const spreads: number[] = []
      await picking.pick(20_000, () => spreads.push(spread(picking.counts())))
      spreads.push(spread(picking.counts()))
      assert.equal(openLeases(picking.table), threads * 20_000)
      assert.ok(spreads.length > 10, `${spreads.length} samples`)
      assert.ok(Math.max(...spreads) <= threads, `they differed by ${Math.max(...spreads)}`)
      assert.equal(picking.failed, 0)
    } finally {
      await picking.end()
    }
  })
}

test('whichever requests end, and wherever others go, new ones level the endpoints to within the number of threads', async () => {
  const picking = new PickingThreads()
  const rng = seededRng(1)
  try {
    await picking.pick(2000, () => {})
    for (let round = 0; round < 30; round++) {
      await picking.release(300)
      picking.addByHand(endpointIds.map(() => Math.floor(rng() * 500)))
      const gaps = picking.counts().map((count, _, all) => Math.max(...all) - count)
      const missing = gaps.reduce((sum, gap) => sum + gap, 0)
      await picking.pick(Math.ceil(missing / threads) + 50, () => {})
      assert.ok(spread(picking.counts()) <= threads, `round ${round}: ${picking.counts().join(' ')}`)
    }
    assert.equal(picking.failed, 0)
  } finally {
    await picking.end()
  }
})

test('what each thread holds adds up to the table, and is taken out of it when the threads are gone', async () => {
  const picking = new PickingThreads()
  try {
    await picking.pick(1000, () => {})
    await picking.release(100)
  } finally {
    await picking.end()
  }
  assert.deepEqual(
    picking.held.map((held) => releaseHeld(picking.table, held)),
    [900, 900, 900],
  )
  assert.equal(openLeases(picking.table), 0)
  assert.ok(picking.table.uncachedTokens.every((tokens) => tokens === 0))
  assert.deepEqual(
    picking.held.map((held) => releaseHeld(picking.table, held)),
    [0, 0, 0],
  )
})
